"""The documented events as facts: field tables, examples and, where there is one, the shape notation.

Sources: the public event references of signageOS (`Device.*`) and of Seam (`access_code.*` and
`connected_account.*`; of the latter, what is optional is marked so). Where copies of the reference differ, the newer
layout counts; connections and telemetry, known from the older one only, name the device in both ways. That a recipe's
cleared field is told as null is our reading: the reference does not say.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("data")
PIN = "code"
"""Where Seam's events hold a PIN ours are null: a deviation on purpose, made here so that the data say what is so."""


def _without_pin(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, PIN: None} if PIN in value else value


@dataclass(frozen=True)
class DocumentedField:
    """A row of a field table; nested names are dotted. `mark` says when the field is there."""

    name: str
    type: str
    mark: str


@dataclass(frozen=True)
class Document:
    """One documented event type."""

    type: str
    text: str

    @cached_property
    def _parts(self) -> dict[str, str]:
        _, *parts = re.split(r"^(Fields|Example|Shape)\n", self.text, flags=re.MULTILINE)
        return dict(zip(parts[::2], parts[1::2], strict=True))

    @property
    def fields(self) -> list[DocumentedField]:
        """The field table, in its order, with PINs withheld."""
        rows = []
        for line in self._parts["Fields"].splitlines():
            name, _, rest = line.partition(" | ")
            type_, _, mark = rest.rpartition(" | ")
            is_pin = name.split(".")[-1] == PIN
            rows.append(DocumentedField(name, "Null" if is_pin else type_, mark))
        return rows

    @property
    def wire(self) -> dict[str, Any]:
        """The documented example, with hexadecimal digits where the reference masks them, and PINs withheld."""
        text = re.sub(r"(?<=[0-9a-f]{8})x{16}(?=[0-9a-f]{8})", "0" * 16, self._parts["Example"])
        example: dict[str, Any] = json.loads(text.replace(":XX:XX", ":00:0A"), object_hook=_without_pin)
        return example

    @property
    def payload(self) -> dict[str, Any]:
        """The part of the example that the log stores."""
        inner: dict[str, Any] = self.wire.get("payload", self.wire)
        return inner

    @property
    def shape(self) -> dict[str, Any] | None:
        """The documented shape notation, where the reference has one."""
        notation: dict[str, Any] | None = json.loads(self._parts.get("Shape", "null"))
        return notation


DOCUMENTS = {path.stem: Document(path.stem, path.read_text()) for path in sorted(FOLDER.glob("*.txt"))}
