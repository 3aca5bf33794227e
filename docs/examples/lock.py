"""A lock that is none: its codes lie in a file, so that they outlive whoever talks to it."""

from __future__ import annotations

import json
from pathlib import Path

Code = dict[str, str | None]
ROOM = 5
SHORTEST, LONGEST = 4, 8


class Refused(Exception):
    """The lock said no; `cause` is a word from the table of causes."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Lock:
    """The codes of one lock by the number that the lock gave them."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def codes(self) -> dict[str, Code]:
        """Return what the lock holds."""
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def put(self, number: str | None, code: Code) -> str:
        """Set a code, in the place of the one with this number if there is one; return its number."""
        held = self.codes()
        pin = code["code"] or ""
        if not SHORTEST <= len(pin) <= LONGEST:
            raise Refused("code_constraints_violated", f"This lock takes {SHORTEST} to {LONGEST} digits.")
        if any(other["code"] == pin for key, other in held.items() if key != number):
            raise Refused("duplicate_code_on_device", "Another code has these digits.")
        if number not in held and len(held) == ROOM:
            raise Refused("no_space_for_access_code_on_device", f"This lock holds {ROOM} codes at most.")
        number = number or str(max(map(int, held), default=0) + 1)
        self._keep(held | {number: code})
        return number

    def remove(self, number: str) -> None:
        """Remove a code; one that is not there is removed already."""
        self._keep({key: code for key, code in self.codes().items() if key != number})

    def _keep(self, codes: dict[str, Code]) -> None:
        # Whoever reads meanwhile finds the old codes or the new ones, never half of them.
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(codes))
        new.replace(self._file)
