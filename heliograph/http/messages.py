"""A request as the handlers see it, and what they answer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from heliograph.errors import Fault, Invalid, TooLarge, Unavailable, UnsupportedMediaType
from heliograph.strict_json import CONTROL_CHARACTERS, read

if TYPE_CHECKING:
    from heliograph.http.callers import KnownCaller
    from heliograph.http.services import Services
    from heliograph.tenancy.model import Caller

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

JSON = b"application/json"
_encode = msgspec.json.Encoder().encode
_LIST_FIELD = (list, tuple)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
MOST_PARAMETERS = 1000


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
    """One request; `known` and `caller` tell who asks, on routes that need a key; `parameters` come from the path.

    `body` is empty on routes that stream it: their handlers read it by `chunks`.
    """

    __slots__ = ("_headers", "body", "caller", "id", "known", "parameters", "receive", "scope", "services")

    def __init__(
        self, scope: MutableMapping[str, Any], id: str, services: Services, parameters: dict[str, str]
    ) -> None:
        self.scope = scope
        self.id = id
        self.services = services
        self.parameters = parameters
        self.body = b""
        self.receive: Receive
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

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; the client is slowed down to the pace at which this is read.

        Raises:
            TooLarge: when it is announced with more than `limit` bytes, else at once when it turns out to have more.
            Unavailable: when the client leaves before the end.
        """
        # Asked before the body is: a client that waits to be told to continue need not send it.
        if int(self.header(b"content-length") or 0) > limit:
            raise _too_large(limit)
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Unavailable("The client left.")
            part: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            if part:
                yield part

    def json(self, model: type[T]) -> T:
        """Read the body as strict JSON.

        Raises:
            UnsupportedMediaType: when it is sent as anything else.
            Invalid: see `heliograph.strict_json.read`.
        """
        if self.content_type != "application/json":
            raise UnsupportedMediaType.at("header/content-type", "media-type", "Send the body as application/json.")
        return read(self.body, model)

    def query(self, model: type[S]) -> S:
        """Read the query string; repeated names fill lists, unknown names are refused.

        Raises:
            Invalid: naming `query/<name>`.
        """
        return read_query(self.scope["query_string"], model)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body has more than {limit} bytes.")


@lru_cache(maxsize=256)
def fields_of(model: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the fields of a struct; to ask for them anew compiles every annotation anew."""
    return msgspec.structs.fields(model)


def read_query(query_string: bytes, model: type[S]) -> S:
    """Read a query string into a struct whose fields are scalars or tuples of scalars.

    Raises:
        Invalid: naming `query/<name>` and the rule.
    """
    kinds = {field.encode_name: field.type for field in fields_of(model)}
    given: dict[str, list[str]] = {}
    for name, text in query_pairs(query_string):
        given.setdefault(name, []).append(text)
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, texts in given.items():
        kind = kinds.get(name)
        try:
            if kind is None:
                faults.append(Fault(f"query/{name}", "unknown-parameter", f"Unknown parameter {name!r}."))
            elif CONTROL_CHARACTERS.search("".join(texts)):
                words = f"The parameter {name!r} has a control character."
                faults.append(Fault(f"query/{name}", "control-characters", words))
            elif getattr(kind, "__origin__", None) in _LIST_FIELD:
                values[name] = [_read_text(text, kind.__args__[0]) for text in texts]
            elif len(texts) > 1:
                faults.append(Fault(f"query/{name}", "single", f"The parameter {name!r} is given more than once."))
            else:
                values[name] = _read_text(texts[0], kind)
        except msgspec.ValidationError as error:
            faults.append(Fault(f"query/{name}", "value", f"The parameter {name!r} is not acceptable: {error}."))
    if faults:
        raise Invalid("The query is not valid.", tuple(faults))
    return msgspec.convert(values, model)


def query_pairs(query_string: bytes) -> list[tuple[str, str]]:
    """Split a query string into its names and values, in their order.

    Raises:
        Invalid: when it is not percent-encoded UTF-8, or has too many parts.
    """
    try:
        if _BROKEN_ESCAPE.search(query_string):
            raise ValueError(query_string)
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Invalid.at("query", "encoding", "The query string is not valid percent-encoded UTF-8.") from None
    if len(pairs) > MOST_PARAMETERS:
        raise Invalid.at("query", "max-items", f"A query has at most {MOST_PARAMETERS} parameters.")
    return pairs


def _read_text(text: str, kind: Any) -> Any:
    """Read a text as what the parameter is: the text itself, or the integer or truth value that it spells.

    Raises:
        msgspec.ValidationError: when it is nothing of that kind.
    """
    spelled: Any = {"true": True, "false": False}.get(text)
    if spelled is None and _INTEGER.fullmatch(text):
        spelled = int(text)
    try:
        return msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return msgspec.convert(text if spelled is None else spelled, kind)
