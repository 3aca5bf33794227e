"""Reading JSON from outside: every fault is named by its place, and nothing ambiguous is accepted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar, cast

import jsonschema_rs
import msgspec

from heliograph.errors import Fault, Invalid

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode

END_OF_TEXT = r"$(?!\n)"
"""The end of a pattern: in Python's expressions `$` alone also matches before a final line feed."""

CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no name, identifier or parameter may hold: the codes of C0 and C1, and DEL (ISO/IEC 6429)."""

MASK = "the value"
"""Stands for the caller's value in the messages of schemas: what is refused may be secret, and is often long."""

_BOUNDS = {
    "Expected `object` of length <=": "maxProperties",
    "Expected `object` of length >=": "minProperties",
    "Expected `array` of length <=": "maxItems",
    "Expected `array` of length >=": "minItems",
    "Expected `str` of length <=": "maxLength",
    "Expected `str` of length >=": "minLength",
    "Expected `str` matching": "pattern",
}
"""How the decoder begins to say what a schema calls by another name."""

MOST_FAULTS = 100
LARGEST_LISTED = 16 * 1024
"""Bytes of a document all of whose faults are listed."""

_PATH_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_BYTE = re.compile(r"\(byte (\d+)\)")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*?)`(?: - at `(?P<path>.*)`)?\Z", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<name>.*?)`(?: - at `(?P<path>.*)`)?\Z", re.DOTALL)


def read(body: bytes, model: type[T]) -> T:
    """Decode `body` into `model`, refusing what JSON leaves ambiguous.

    Duplicate names (RFC 8259 section 4), lone surrogates, invalid UTF-8, NaN, a byte order mark and unknown
    fields are refused everywhere in the document, also inside parts that `model` keeps as raw bytes.

    Raises:
        Invalid: with one fault per broken rule, each with an RFC 6901 pointer.
    """
    check_unambiguous(body)
    return convert(body, model)


def refuse_crowd(body: bytes, most_values: int, most_objects: int) -> None:
    """Refuse a body with more in it than is ever taken, before reading it costs the time and memory of all that.

    Values are counted by their commas and objects by their braces, those in texts included, so both bounds must be
    generous.

    Raises:
        Invalid: naming the bound.
    """
    for sign, most, what in ((b",", most_values, "values"), (b"{", most_objects, "objects")):
        if body.count(sign) > most:
            raise Invalid.at("", "max-items", f"The body has more than {most} {what}.")


def convert(body: bytes, model: type[T]) -> T:
    """Decode `body`, already known to be unambiguous, into `model`.

    Raises:
        Invalid: as for `read`.
    """
    try:
        return cast(T, _decoder(cast(Hashable, model)).decode(body))
    except msgspec.ValidationError as error:
        raise Invalid(
            "The body does not fit the documented shape.", tuple(_faults(body, cast(Hashable, model), error))
        ) from None


@lru_cache(maxsize=256)
def _decoder(model: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(model)


def check_unambiguous(body: bytes) -> Any:
    """Return the decoded document, or refuse it when two readers could read it differently.

    What re-encodes to itself has no duplicate names, so usual compact bodies never meet the slow reader.

    Raises:
        Invalid: naming the byte or the name at fault.
    """
    try:
        document = _decode_any(body)
        if _encode(document) != body:
            reread = json.loads(body, object_pairs_hook=_mark_duplicates)
            if isinstance(reread, dict | list):
                _refuse_duplicates(reread)
    except msgspec.ValidationError:
        raise Invalid.at("", "number-range", "The body has a number that is too large to be kept.") from None
    except msgspec.DecodeError as error:
        raise _malformed(body, str(error)) from None
    except UnicodeDecodeError as error:
        raise Invalid.at("", "utf-8", f"The body is not valid UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise Invalid.at("", "nesting", "The JSON is nested too deeply.") from None
    except ValueError as error:
        raise Invalid.at("", "json", f"The body is not acceptable JSON: {error}.") from None
    return document


def _malformed(body: bytes, reason: str) -> Invalid:
    if not body:
        return Invalid.at("", "json", "The body is empty; JSON is expected.")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return Invalid.at("", "utf-8", f"The body is not valid UTF-8 at byte {error.start}.")
    if "surrogate" in reason or _LONE_SURROGATE.search(body):
        return Invalid.at("", "surrogate", "The body has half of a surrogate pair, which is no character.")
    place = _BYTE.search(reason)
    where = f" at byte {place.group(1)}" if place else ""
    return Invalid.at("", "json", f"The body is not valid JSON{where}: {_BYTE.sub('', reason).strip()}.")


class _Repeated(dict[str, Any]):
    """An object in which a name occurred twice; found again afterwards to tell where it stands."""

    name: str


def _mark_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    marked = _Repeated(found)
    marked.name = next(name for name, count in counts.items() if count > 1)
    return marked


_Trail = tuple["_Trail", str | int] | None
"""The way to a place in a document, backwards: a step behind the way to its parent, so that siblings share it."""


def _refuse_duplicates(document: Any) -> None:
    unvisited: list[tuple[_Trail, Any]] = [(None, document)]
    while unvisited:
        trail, value = unvisited.pop()
        if isinstance(value, _Repeated):
            raise Invalid.at(
                pointer_to(*_steps_of(trail), value.name),
                "duplicate-name",
                f"The name {value.name!r} occurs twice in one object.",
            )
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        unvisited += [((trail, step), part) for step, part in parts if isinstance(part, dict | list)]


def _steps_of(trail: _Trail) -> list[str | int]:
    steps: list[str | int] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return steps[::-1]


def pointer_to(*steps: str | int) -> str:
    """Write an RFC 6901 pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _faults(body: bytes, model: Hashable, error: msgspec.ValidationError) -> list[Fault]:
    """List every fault; the decoder stops at its first, so the schema of the same type finds the rest."""
    if len(body) > LARGEST_LISTED:
        return [_fault_of(str(error))]
    found = schema_faults(_validator(model), _decode_any(body), size=len(body))
    return found or [_fault_of(str(error))]


@lru_cache(maxsize=256)
def _validator(model: Hashable) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(msgspec.json.schema(model), offline=True, mask=MASK)


def schema_faults(validator: jsonschema_rs.Validator, document: Any, *prefix: str | int, size: int) -> list[Fault]:
    """List what a JSON Schema refuses in `document`, at most 100 faults; make the validator with `MASK`.

    Of a document that took many bytes (`size`) only the first fault is named: the validator looks for all of them, and
    a megabyte of nothing but faults would take it many seconds.
    """
    faults: list[Fault] = []
    try:
        if size > LARGEST_LISTED:
            broken = _first_error(validator, document)
        else:
            broken = list(islice(validator.iter_errors(document), MOST_FAULTS))
    except ValueError:
        return [Fault(pointer_to(*prefix), "nesting", "The JSON is nested too deeply to be checked.")]
    for found in broken:
        unexplained = [found]
        while unexplained:
            error = unexplained.pop()
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.AnyOf):
                unexplained.extend(reversed(_meant_branch(error.kind.context)))
            else:
                # Inside a union, too, the path is counted from the document's root.
                faults.extend(_schema_fault(error, [*prefix, *error.instance_path]))
        if len(faults) >= MOST_FAULTS:
            break
    return faults[:MOST_FAULTS]


def _first_error(validator: jsonschema_rs.Validator, document: Any) -> list[jsonschema_rs.ValidationError]:
    try:
        validator.validate(document)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _meant_branch(branches: Any) -> Any:
    """Choose what is wrong by the branch of a union that was meant: not null, and wrong in the fewest ways."""
    meant = [branch for branch in branches if branch and not str(branch[0].message).endswith('type "null"')]
    return min(meant, key=len) if meant else branches[0]


def _schema_fault(error: Any, steps: list[str | int]) -> list[Fault]:
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        return [
            Fault(pointer_to(*steps, name), "unknown-field", f"Unknown field {name!r}.")
            for name in kind.unexpected[:MOST_FAULTS]
        ]
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        name = kind.property
        return [Fault(pointer_to(*steps, name), "required", f"The field {name!r} is required.")]
    keyword = str(error.schema_path[-1]) if error.schema_path else "schema"
    return [Fault(pointer_to(*steps), keyword, sentence(error.message))]


def sentence(message: str) -> str:
    """Make a whole sentence of a schema's message, and not too long a one."""
    return message[0].upper() + message[1:300] + "."


def _fault_of(message: str) -> Fault:
    for pattern, rule, words in (
        (_UNKNOWN_FIELD, "unknown-field", "Unknown field {!r}."),
        (_MISSING_FIELD, "required", "The field {!r} is required."),
    ):
        match = pattern.match(message)
        if match:
            name = match["name"]
            return Fault(pointer_to(*_steps(match["path"] or "$"), name), rule, words.format(name))
    words, _, path = message.partition(" - at `")
    rule = next((rule for start, rule in _BOUNDS.items() if words.startswith(start)), "type")
    return Fault(pointer_to(*_steps(path.rstrip("`"))), rule, words + ".")


def _steps(path: str) -> list[str]:
    return [name or index for name, index in _PATH_STEP.findall(path)]
