"""A request as the handlers see it, and what they answer."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from heliograph.errors import Fault, Invalid
from heliograph.strict_json import read

if TYPE_CHECKING:
    from heliograph.http.callers import KnownCaller
    from heliograph.http.services import Services
    from heliograph.tenancy.model import Caller

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
_encode = msgspec.json.Encoder().encode
_LIST_FIELD = (list, tuple)


class Response:
    """A status, a body already encoded, and headers beside content type and length."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self, status: int, body: bytes = b"", content_type: bytes = JSON, headers: Headers | None = None
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers or []


def json_response(status: int, value: Any, headers: Headers | None = None) -> Response:
    """Answer with a value as JSON."""
    return Response(status, _encode(value), JSON, headers)


class Request:
    """One request; `known` and `caller` tell who asks, on routes that need a key; `parameters` come from the path."""

    __slots__ = ("_headers", "body", "caller", "id", "known", "parameters", "scope", "services")

    def __init__(
        self, scope: MutableMapping[str, Any], id: str, services: Services, parameters: dict[str, str]
    ) -> None:
        self.scope = scope
        self.id = id
        self.services = services
        self.parameters = parameters
        self.body = b""
        self.known: KnownCaller
        self.caller: Caller
        self._headers: dict[bytes, bytes] = dict(scope["headers"])

    def header(self, name: bytes) -> str | None:
        """Return a header's value, names in lower case.

        Raises:
            Invalid: when a header that has one value is sent twice, or is not ASCII.
        """
        value = self._headers.get(name)
        if value is None:
            return None
        if len(self._headers) != len(self.scope["headers"]) and len(self.headers(name)) > 1:
            words = f"The header {name.decode()!r} is sent more than once."
            raise Invalid.at(f"header/{name.decode()}", "single", words)
        try:
            return value.decode("ascii").strip()
        except UnicodeDecodeError:
            raise Invalid.at(f"header/{name.decode()}", "ascii", "The header is not ASCII.") from None

    def headers(self, name: bytes) -> list[bytes]:
        """Return every value that a header was sent with."""
        return [value for found, value in self.scope["headers"] if found == name]

    def has_header(self, name: bytes) -> bool:
        """Tell whether a header was sent."""
        return name in self._headers

    @property
    def content_type(self) -> str:
        """The media type of the body without parameters, in lower case; empty when none is named."""
        return (self.header(b"content-type") or "").partition(";")[0].strip().lower()

    def json(self, model: type[T]) -> T:
        """Read the body as strict JSON.

        Raises:
            Invalid: see `heliograph.strict_json.read`.
        """
        return read(self.body, model)

    def query(self, model: type[S]) -> S:
        """Read the query string; repeated names fill lists, unknown names are refused.

        Raises:
            Invalid: naming `query/<name>`.
        """
        return read_query(self.scope["query_string"], model)


def read_query(query_string: bytes, model: type[S]) -> S:
    """Read a query string into a struct whose fields are scalars or tuples of scalars.

    Raises:
        Invalid: naming `query/<name>` and the rule.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except (UnicodeDecodeError, ValueError):
        raise Invalid.at("query", "encoding", "The query string is not valid percent-encoded UTF-8.") from None
    for name, value in pairs:
        if name not in fields:
            faults.append(Fault(f"query/{name}", "unknown-parameter", f"Unknown parameter {name!r}."))
        elif _is_list(fields[name].type):
            values.setdefault(name, []).append(value)
        elif name in values:
            faults.append(Fault(f"query/{name}", "single", f"The parameter {name!r} is given more than once."))
        else:
            values[name] = value
    faults += [fault for name, value in values.items() for fault in _query_faults(fields[name], name, value)]
    if faults:
        raise Invalid("The query is not valid.", tuple(faults))
    try:
        return msgspec.convert(values, model, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid.at("query", "required", str(error)) from None


def _is_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) in _LIST_FIELD


def _query_faults(field: msgspec.structs.FieldInfo, name: str, value: Any) -> list[Fault]:
    try:
        msgspec.convert(value, field.type, strict=False)
    except msgspec.ValidationError as error:
        reason = str(error).partition(" - at ")[0]
        return [Fault(f"query/{name}", "value", f"The parameter {name!r} is not acceptable: {reason}.")]
    return []
