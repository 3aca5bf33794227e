"""The parameters of a request, from its query or its JSON body, checked one by one."""

from __future__ import annotations

import re
from typing import Any, ClassVar, TypeVar

import msgspec

from heliograph.dialects.seam.queries import read_query, shapes_of
from heliograph.errors import Fault, Invalid, UnsupportedMediaType
from heliograph.http.events import read_time
from heliograph.http.messages import Request, fields_of
from heliograph.ids import parse_uid
from heliograph.strict_json import CONTROL_CHARACTERS, check_unambiguous

NOT_HERE = frozenset(
    (
        "access_grant_id", "access_grant_ids", "access_method_id", "access_method_ids", "acs_access_group_id",
        "acs_credential_id", "acs_encoder_id", "acs_entrance_id", "acs_system_id", "acs_system_ids", "acs_user_id",
        "client_session_id", "connect_webview_id", "customer_ids", "customer_key", "customer_keys", "space_id",
        "space_ids", "unstable_location_id", "user_identifier_key", "user_identity_id",
    )
)  # fmt: skip
"""Seam's parameters for things that Heliograph does not have: to ignore one would answer more than was asked for."""

_QUOTED = re.compile(r"`(\w+)`")
_WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "an array",
    "object": "an object", "null": "null",
}  # fmt: skip


class Id(bytes):
    """The uid of a parameter, which Seam prints as a hyphenated UUID; 32 hexadecimal digits are read too."""


class Moment(int):
    """The time of a parameter in microseconds UTC, read from RFC 3339."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What a route can be asked with, by Seam's names; unknown names are ignored.

    `unavailable` are the names of Seam's that must not be used with the route, because they would have no effect.
    """

    unavailable: ClassVar[frozenset[str]] = NOT_HERE


P = TypeVar("P", bound=Parameters)


def read_parameters(request: Request, model: type[P]) -> P:
    """Read the parameters of a request: from the query, and from the JSON body of every method that has one.

    Raises:
        Invalid: naming every parameter that is not acceptable.
        UnsupportedMediaType: when a body is not JSON.
    """
    values = given_values(request, model)
    faults = [
        Fault(f"/{name}", "unavailable", f"{name!r} is a parameter of Seam's that is not available here.")
        for name in sorted(model.unavailable & values.keys())
        if values[name] not in (None, "", [], {})
    ]
    read: dict[str, Any] = {}
    for field in fields_of(model):
        name = field.encode_name
        try:
            if name in values:
                read[field.name] = _convert(values[name], field.type)
            elif field.required:
                faults.append(Fault(f"/{name}", "required", "Required."))
        except msgspec.ValidationError as error:
            faults.append(Fault(f"/{name}", "value", _in_words(str(error))))
    if faults:
        raise invalid_parameters(faults)
    return model(**read)


def given_values(request: Request, model: type[Parameters]) -> dict[str, Any]:
    """Return what a request gives as parameters, unknown names included, before any type is checked.

    Raises:
        Invalid: when query or body cannot be read, or both give the same parameter.
        UnsupportedMediaType: when a body is not JSON.
    """
    values = read_query(request.scope["query_string"], shapes_of(model))
    body = _read_body(request)
    twice = sorted(values.keys() & body.keys())
    if twice:
        raise invalid_parameters([Fault(f"/{name}", "single", "Given in the query and in the body.") for name in twice])
    return values | body


def invalid_parameters(faults: list[Fault]) -> Invalid:
    """Return the refusal of a whole request for what is wrong with its parameters."""
    if len(faults) == 1:
        name = faults[0].pointer.removeprefix("/")
        return Invalid(f"{name}: {faults[0].message}", tuple(faults))
    names = ", ".join(dict.fromkeys(fault.pointer.removeprefix("/") for fault in faults))
    return Invalid(f"These parameters are not acceptable: {names}.", tuple(faults))


def _read_body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    if request.content_type != "application/json":
        raise UnsupportedMediaType.at("header/content-type", "media-type", "Send the body as application/json.")
    document = check_unambiguous(request.body)
    if not isinstance(document, dict):
        raise Invalid.at("", "type", "The body is not a JSON object.")
    return document


def _convert(value: Any, kind: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        # To JSON 500.0 and 500 are one number.
        value = int(value)
    if isinstance(value, str) and CONTROL_CHARACTERS.search(value):
        raise msgspec.ValidationError("No control characters may stand here")
    return msgspec.convert(value, kind, dec_hook=_read_own)


def _read_own(kind: type, value: Any) -> Any:
    """Read the types that are ours; called by the decoder, which tells where a `ValueError` happened."""
    try:
        if kind is Id:
            return Id(parse_uid(value if isinstance(value, str) else "", ""))
        return Moment(read_time(value if isinstance(value, str) else "", ""))
    except Invalid as refusal:
        raise ValueError(refusal.detail.removesuffix(".")) from None


def _in_words(message: str) -> str:
    """Say in plain words what the decoder says in those of its types."""
    words = _QUOTED.sub(lambda name: _WORDS.get(name[1], name[0]), message)
    return words.replace(" - at `$[", " (at [").replace("]`", "])") + "."
