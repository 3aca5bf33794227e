"""`heliograph events`: put events on record, find them, load files of them."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

from heliograph.cli.client import Query, path_of
from heliograph.cli.load import load
from heliograph.cli.output import cell_text, field, print_item, print_raw_line, print_table, say
from heliograph.cli.session import Session, Tenant, with_session

app = typer.Typer(name="events", help="Put events on record, find them, load files of them.", no_args_is_help=True)

EPOCH = "1970-01-01T00:00:00Z"
FAR_FUTURE = "2250-01-01T00:00:00Z"
LARGEST_PAGE = 1000
POLL_SECONDS = 1.0
_LONGEST_CELL = 80


class Format(StrEnum):
    """How an event is written."""

    RECORD = "record"
    WIRE = "wire"
    CLOUDEVENTS = "cloudevents"


class Order(StrEnum):
    """Which end of the range comes first."""

    DESC = "desc"
    ASC = "asc"


class TimeField(StrEnum):
    """Which of an event's two times a range is about."""

    RECORDED_AT = "recordedAt"
    OCCURRED_AT = "occurredAt"


AsFormat = Annotated[
    Format, typer.Option("--format", help="How events are written; all but record are printed as JSON.")
]


def _payload_cell(event: Any) -> str:
    if "payloadData" in event:
        return f"({event['payloadContentType']})"
    text = cell_text(event["payload"]) if "payload" in event else ""
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 3] + "..."


def _target_cell(event: Any) -> str:
    return " ".join(event[name] for name in ("targetEntityType", "targetEntityId") if event.get(name))


COLUMNS = {
    "recordedAt": field("recordedAt"), "id": field("id"), "type": lambda event: event.get("type"),
    "code": lambda event: event.get("eventCode"), "criticality": field("criticality"), "target": _target_cell,
    "payload": _payload_cell,
}  # fmt: skip


# -- send -----------------------------------------------------------------------------------------------------------


@app.command()
@with_session
def send(
    session: Session,
    type_name: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Its type, such as door.opened.")
    ] = None,
    code: Annotated[
        int | None, typer.Option("--code", metavar="N", help="Its event code; own ones begin at 10000.")
    ] = None,
    criticality: Annotated[
        int | None, typer.Option(metavar="N", help="1 is the most serious, 5 the least, 0 not applicable.")
    ] = None,
    target_type: Annotated[str | None, typer.Option(metavar="TYPE", help="What kind of thing it concerns.")] = None,
    target_id: Annotated[str | None, typer.Option(metavar="ID", help="Which thing it concerns.")] = None,
    source: Annotated[
        str | None, typer.Option(metavar="URI", help="Who raised it, as a URI; together with --source-id.")
    ] = None,
    source_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Its id there, by which a repeat is known.")
    ] = None,
    occurred_at: Annotated[str | None, typer.Option(metavar="TIME", help="When it happened (RFC 3339).")] = None,
    payload: Annotated[str | None, typer.Option(metavar="JSON", help="What there is to say about it, as JSON.")] = None,
    payload_file: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(metavar="FILE", help="The payload from a file; - is standard input."),
    ] = None,
    content_type: Annotated[str | None, typer.Option(metavar="TYPE", help="What the payload is, if not JSON.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Makes sending it again harmless.")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Put one event on record; print its id once it is stored."""
    if payload is not None and payload_file is not None:
        raise typer.BadParameter("give --payload or --payload-file, not both")
    fields = {
        "type": type_name, "eventCode": code, "criticality": criticality, "targetEntityType": target_type,
        "targetEntityId": target_id, "source": source, "sourceId": source_id, "occurredAt": occurred_at,
        "payloadContentType": content_type,
    }  # fmt: skip
    body = {name: value for name, value in fields.items() if value is not None}
    if payload is not None:
        body |= _payload_fields(payload.encode(), content_type)
    elif payload_file is not None:
        body |= _payload_fields(payload_file.read(), content_type)
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    answer = session.client.request("POST", "/v1/events", {"tenantUid": tenant}, body, headers)
    if answer.status == 200:
        say("It was stored before.")
    print_item(answer.document, session.as_json)


def _payload_fields(payload: bytes, content_type: str | None) -> dict[str, Any]:
    from heliograph.eventlog.model import is_json

    if content_type is not None and not is_json(content_type):
        return {"payloadData": base64.b64encode(payload).decode()}
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"the payload is no JSON ({error}); give its --content-type") from None
    # As it is: the platform keeps payloads byte for byte.
    return {"payload": msgspec.Raw(payload)}


# -- list and get ---------------------------------------------------------------------------------------------------


@app.command("list")
@with_session
def list_events(
    session: Session,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="The first moment (RFC 3339).")] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The moment after the last; without --from, the first.")
    ] = None,
    time_field: Annotated[TimeField, typer.Option(help="Which time --from and --to mean.")] = TimeField.RECORDED_AT,
    criticality: Annotated[list[int] | None, typer.Option(metavar="N", help="One of these criticalities.")] = None,
    max_criticality: Annotated[int | None, typer.Option(metavar="N", help="1 up to this one; 2 means 1 and 2.")] = None,
    code: Annotated[list[int] | None, typer.Option(metavar="N", help="One of these event codes.")] = None,
    type_name: Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help="One of these types.")] = None,
    target_type: Annotated[
        list[str] | None, typer.Option(metavar="TYPE", help="About one of these kinds of things.")
    ] = None,
    target_id: Annotated[list[str] | None, typer.Option(metavar="ID", help="About one of these things.")] = None,
    related_id: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="About one of these things, as target or not.")
    ] = None,
    actor: Annotated[list[str] | None, typer.Option(metavar="UID", help="Raised by one of these.")] = None,
    internal: Annotated[
        bool | None, typer.Option("--internal/--no-internal", help="Raised by the platform itself, or by callers.")
    ] = None,
    order: Annotated[Order, typer.Option(help="Newest first, or oldest.")] = Order.DESC,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many at most.")] = 100,
    subtree: Annotated[bool, typer.Option("--subtree", help="Those of the tenants below as well.")] = False,
    as_format: AsFormat = Format.RECORD,
    everything: Annotated[bool, typer.Option("--all", help="All there are, however many.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="From --from or the newest event onward, then go on as more are stored.")
    ] = False,
    tenant: Tenant = None,
) -> None:
    """List events: by default the newest 100, newest first. Filters may be repeated, and one value must fit."""
    query: Query = {
        "from": since or to or EPOCH, "to": to if since else None, "timeField": time_field, "criticality": criticality,
        "maxCriticality": max_criticality, "eventCode": code, "type": type_name, "targetEntityType": target_type,
        "targetEntityId": target_id, "relatedEntityId": related_id, "actorUid": actor, "internal": internal,
        "order": order, "include": "subtree" if subtree else None, "format": as_format, "tenantUid": tenant,
    }  # fmt: skip
    if follow:
        if to or time_field is TimeField.OCCURRED_AT:
            raise typer.BadParameter(
                "what is followed has no end, and is in the order it was stored in", param_hint="--follow"
            )
        query |= {"from": since or _newest_time(session, query), "order": Order.ASC}
    elif order is Order.ASC and query["to"] is None:
        query["to"] = FAR_FUTURE  # an ascending list without an end would be followed
    as_json = session.as_json or as_format is not Format.RECORD
    _print_pages(_pages(session, query, None if everything or follow else limit, follow), as_json)


class _Page(msgspec.Struct, rename="camel"):
    data: list[msgspec.Raw]
    next_cursor: str | None


def _pages(session: Session, query: Query, limit: int | None, follow: bool = False) -> Iterator[list[msgspec.Raw]]:
    """Return pages until `limit` events have come, or to the end; what is followed has none."""
    left = limit
    while left is None or left > 0:
        size = LARGEST_PAGE if left is None else min(left, LARGEST_PAGE)
        answer = session.client.request("GET", "/v1/events", {**query, "limit": size})
        page = msgspec.json.decode(answer.body, type=_Page)
        yield page.data
        if page.next_cursor is None:
            return
        if follow and not page.data:
            time.sleep(POLL_SECONDS)
        query = {**query, "cursor": page.next_cursor}
        left = None if left is None else left - len(page.data)


def _newest_time(session: Session, query: Query) -> str:
    newest = {**query, "format": Format.RECORD, "order": Order.DESC}
    found = [event for page in _pages(session, newest, 1) for event in page]
    return msgspec.json.decode(found[0])["recordedAt"] if found else EPOCH


def _print_pages(pages: Iterator[list[msgspec.Raw]], as_json: bool) -> None:
    shown = 0
    for page in pages:
        if as_json:
            for event in page:
                print_raw_line(bytes(event))
        elif page:
            print_table([msgspec.json.decode(event) for event in page], COLUMNS, headings=not shown)
        shown += len(page)
    if not shown and not as_json:
        say("(none)")


@app.command()
@with_session
def get(
    session: Session,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event.")],
    as_format: AsFormat = Format.RECORD,
    tenant: Tenant = None,
) -> None:
    """Print one event."""
    answer = session.client.request("GET", path_of("events", event_id), {"format": as_format, "tenantUid": tenant})
    if session.as_json or as_format is not Format.RECORD:
        print_raw_line(answer.body)
    else:
        print_item(answer.document, as_json=False)


app.command("import")(load)
