"""Seam's SDKs, unmodified, each in a process of its own that a test asks to take steps; see `driver.py`."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.server import ROOT

FOLDER = Path(__file__).parent
PINS_LEFT_OUT = {"AccessCodeSetOnDeviceEvent.code", "AccessCodeScheduledOnDeviceEvent.code"}
"""What Seam's events have and ours never do: no event of ours has a PIN."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One version of an SDK, and what it is able to do.

    `typed` says that its classes are part of what it returns, and `exact` that they say what may be missing; `pages`
    that it has a paginator, `fields` that its errors tell what was wrong with each parameter, `retries` that it tries
    deletions again.
    """

    command: tuple[str, ...]
    installed: Path
    typed: bool = False
    exact: bool = False
    pages: bool = True
    fields: bool = True
    retries: bool = True


def _python(major: int) -> dict[str, Any]:
    home = ROOT / f".venv-seam-{major}"
    return {"command": (str(home / "bin" / "python"), str(FOLDER / "driver.py")), "installed": home / ".sdk"}


def _node(major: int) -> dict[str, Any]:
    package = f"seam-http-{major}"
    installed = FOLDER / "node" / "node_modules" / package
    return {"command": ("node", str(FOLDER / "node" / "driver.js"), package), "installed": installed}


PYTHON = {
    "python-2": Kind(**_python(2), typed=True, fields=False, retries=False),
    "python-3": Kind(**_python(3), typed=True, exact=True),
}
NODE = {
    "node-1": Kind(**_node(1), pages=False),
    "node-2": Kind(**_node(2)),
}


class Refused(NamedTuple):
    """An exception of an SDK: its class, what it says, and the messages by parameter where the SDK can tell."""

    name: str
    code: str | None
    status: int | None
    message: str
    request_id: str | None
    fields: dict[str, list[str]] | None


class Sdk:
    """A running SDK; ended by `close`."""

    def __init__(self, kind: Kind) -> None:
        assert kind.installed.exists(), f"{kind.installed} is missing; `make setup` installs it."
        self.kind = kind
        self.types: Any = None
        """The names of the classes of the last answer: one, or one for each item."""
        # The SDKs take settings from variables of these names too.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SEAM_")}
        self._process = subprocess.Popen(
            kind.command,
            cwd=ROOT,
            env=inherited | {"NO_PROXY": "127.0.0.1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def connect(self, endpoint: str, key: str) -> None:
        """Go on as a client of that address with that key."""
        self._value({"endpoint": endpoint, "api_key": key})

    def call(self, name: str, /, **parameters: Any) -> Any:
        """Call a method that must succeed; return its result, objects as dictionaries."""
        return self._value({"call": name, "with": parameters})

    def pages(self, name: str, /, **parameters: Any) -> Any:
        """Read a list to its end, page by page."""
        return self._value({"pages": name, "with": parameters})

    def refused(self, name: str, /, **parameters: Any) -> Refused:
        """Call a method that must fail; return the SDK's own exception."""
        answer = self._ask({"call": name, "with": parameters})
        assert "error" in answer, answer
        return Refused(**answer["error"])

    def _value(self, wish: dict[str, Any]) -> Any:
        answer = self._ask(wish)
        assert "error" not in answer, answer
        self.types = answer["types"]
        if self.kind.exact:
            lacking = set(answer["lacking"]) - PINS_LEFT_OUT
            assert not lacking, f"The SDK takes for granted what it was not answered: {lacking}"
            assert "DeepAttrDict" not in self.types, "The SDK knows no class for what it was answered."
        return answer["value"]

    def _ask(self, wish: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"The SDK's process has ended with {self._process.wait()}."
        return json.loads(line)
