"""The attributes of a CloudEvent: their names, types, grammars and limits.

Source: the CloudEvents core specification 1.0, "Context Attributes".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from heliograph.errors import Fault, Invalid
from heliograph.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.eventlog.model import Scalar

LONGEST_TYPE = 255
"""Characters in `type`, `targettype`, `datacontenttype` and `time`."""

LONGEST_TEXT = 1024
"""Characters in `id`, `source`, `subject` and `dataschema`."""

LARGEST_EXTENSIONS = 16 * 1024
"""UTF-8 bytes of all extensions, names and values: keeps an envelope, escapes included, below 64 KiB."""

MOST_FAULTS = 100

_NAME = re.compile(r"[a-z0-9]+")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")

# "Type System": no control characters, surrogates or non-characters, of which two end each plane of Unicode.
_PLANE_ENDS = "".join(f"{chr(end - 1)}-{chr(end)}" for end in range(0xFFFF, 0x110000, 0x10000))
_FORBIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_PLANE_ENDS}]")


class Grammar(NamedTuple):
    """What a text must look like as a whole; the rule it breaks otherwise, and the words for people."""

    pattern: re.Pattern[str]
    rule: str
    message: str


# RFC 3986, appendix A. `_U` is a character of user information or a name, `_P` one of a path's segments.
_U = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_P = rf"(?:{_U}|[:@])"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:"
_AUTHORITY = rf"(?:(?:{_U}|:)*@)?(?:\[[0-9A-Za-z.:~_-]+\]|{_U}*)(?::[0-9]*)?"
_REST = rf"(?://{_AUTHORITY}(?=[/?#]|\Z)|(?!//))(?:{_P}|/)*(?:\?(?:{_P}|[/?])*)?(?:\#(?:{_P}|[/?])*)?"

URI_REFERENCE = Grammar(
    re.compile(rf"(?:{_SCHEME}|(?![^/?#]*:)){_REST}"),
    "uri-reference",
    "This must be a URI-reference (RFC 3986); write other characters percent-encoded.",
)
URI = Grammar(re.compile(_SCHEME + _REST), "uri", "This must be a URI with a scheme (RFC 3986).")

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
MEDIA_TYPE = Grammar(
    re.compile(rf"{_WORD}/{_WORD}(?: *; *{_WORD}=(?:{_WORD}|{_QUOTED}))*"),
    "media-type",
    "This must be a media type (RFC 2046), such as 'application/json'.",
)
VERSION = Grammar(re.compile(r"1\.0"), "specversion", "This must be '1.0', the version that is supported.")


class Attributes:
    """The attributes of one event, taken out one by one; faults are collected, at most one per place.

    `place` tells where in the message the attribute of a name stands.
    """

    def __init__(self, values: dict[str, Any], place: Callable[[str], str]) -> None:
        self._values = values
        self._place = place
        self._faults: dict[str, Fault] = {}

    def add(self, name: str, value: str | None) -> None:
        """Add what a header says; None stands for a value that has been refused already."""
        if name in self._values:
            self.refuse(name, "duplicate-header", "A header of a CloudEvent may occur only once.")
        self._values[name] = value

    def refuse(self, name: str, rule: str, message: str) -> None:
        """Collect a fault of the attribute `name`; only the first at its place counts."""
        self.absorb(Invalid.at(self._place(name), rule, message))

    def absorb(self, refusal: Invalid) -> None:
        """Collect the faults of a refusal."""
        for fault in refusal.faults:
            self._faults.setdefault(fault.pointer, fault)

    def settle(self) -> None:
        """Raise what has been collected.

        Raises:
            Invalid: with the first 100 faults, if there are any.
        """
        faults = tuple(self._faults.values())
        if faults:
            detail = faults[0].message if len(faults) == 1 else f"The CloudEvent has {len(faults)} faults."
            raise Invalid(detail, faults[:MOST_FAULTS])

    def text(self, name: str, longest: int, grammar: Grammar | None = None, *, required: bool = False) -> str | None:
        """Take a non-empty text, or None if it is absent or at fault."""
        value = self._values.pop(name, None)
        if value is None:
            if required:
                self.refuse(name, "required", f"The attribute {name!r} is required.")
        elif not isinstance(value, str):
            self.refuse(name, "type", f"The attribute {name!r} must be a string.")
        elif not value:
            self.refuse(name, "non-empty", f"The attribute {name!r} must not be empty.")
        elif len(value) > longest:
            self.refuse(name, "too-long", f"At most {longest} characters are allowed here.")
        elif _FORBIDDEN.search(value):
            self.refuse(name, "characters", "Control characters and non-characters are not allowed here.")
        elif grammar and not grammar.pattern.fullmatch(value):
            self.refuse(name, grammar.rule, grammar.message)
        else:
            return value
        return None

    def integer(self, name: str, lowest: int, highest: int) -> int | None:
        """Take an integer, possibly written as decimal digits, or None if it is absent or at fault."""
        value = self._values.pop(name, None)
        if value is None:
            return None
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if type(value) is not int:
            self.refuse(name, "integer", f"The attribute {name!r} must be an integer, or its decimal digits.")
        elif not lowest <= value <= highest:
            self.refuse(name, "range", f"The attribute {name!r} must be between {lowest} and {highest}.")
        else:
            return value
        return None

    def time(self, name: str) -> int | None:
        """Take a time in microseconds UTC, or None if it is absent or at fault."""
        text = self.text(name, LONGEST_TYPE)
        try:
            return None if text is None else parse_time(text, self._place(name))
        except Invalid as refusal:
            self.absorb(refusal)
            return None

    def extensions(self) -> dict[str, Scalar]:
        """Take all that is left, but for what is at fault."""
        kept: dict[str, Scalar] = {}
        size = 0
        for name, value in self._values.items():
            fault = _extension_fault(name, value)
            if fault:
                self.refuse(name, *fault)
            elif value is not None:
                kept[name] = value
                size += len(name) + len(canonical(value).encode())
                if size > LARGEST_EXTENSIONS:
                    message = f"All extensions together may have at most {LARGEST_EXTENSIONS} bytes."
                    self.refuse(name, "too-long", message)
                    break
        return kept


def _extension_fault(name: str, value: object) -> tuple[str, str] | None:
    """Return the rule that an extension breaks, with its words ("Naming Conventions", "Type System")."""
    if not _NAME.fullmatch(name) or name == "data":
        return "attribute-name", "An attribute's name consists of a-z and 0-9, and is not 'data'."
    if isinstance(value, float):
        return "integer", "A number must be an integer; write any other as a string."
    if isinstance(value, str):
        if _FORBIDDEN.search(value):
            return "characters", "Control characters and non-characters are not allowed here."
    elif isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            return "range", "An integer must fit into 32 bits; write a larger one as a string."
    elif value is not None:
        return "scalar", "An attribute is a string, a boolean or an integer."
    return None


def canonical(value: Scalar) -> str:
    """Write an attribute's value as the text that stands for it in a header ("Type System")."""
    return str(value).lower() if isinstance(value, bool) else str(value)
