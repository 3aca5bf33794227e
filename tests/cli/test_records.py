"""What becomes of the lines of a file, before any of them is sent."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.cli import records as module
from heliograph.cli.records import Format, Record, Unreadable, Unusable, records

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = "urn:test"


def read(text: str | bytes, format: Format = "ndjson") -> list[Record | Unreadable]:
    """Read a whole file."""
    data = text.encode() if isinstance(text, str) else text
    return list(records(io.BytesIO(data), format, SOURCE))


def events(text: str | bytes, format: Format = "ndjson") -> list[Any]:
    """Return the events as they are sent."""
    found = read(text, format)
    assert all(isinstance(record, Record) for record in found), found
    return [json.loads(record.event) for record in found if isinstance(record, Record)]


def refusals(text: str | bytes, format: Format = "ndjson") -> list[tuple[int, str]]:
    """Return line and rule of each record that cannot be sent."""
    return [(record.line, record.rule) for record in read(text, format) if isinstance(record, Unreadable)]


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Bound lines to 100 bytes; the bound that the CSV reader is given is the whole process's, so it is put back."""
    before = csv.field_size_limit()
    monkeypatch.setattr(module, "LONGEST_LINE", 100)
    yield
    csv.field_size_limit(before)


# -- NDJSON ---------------------------------------------------------------------------------------------------------


def test_line_without_an_identity_gets_the_import_and_its_number() -> None:
    assert events('{"eventCode":1}\n\n  \n{"eventCode":2}') == [
        {"source": SOURCE, "sourceId": "1", "eventCode": 1},
        {"source": SOURCE, "sourceId": "4", "eventCode": 2},
    ]


def test_null_is_no_identity() -> None:
    assert events('{"source":null,"eventCode":1}\n{"sourceId":null,"source":null}') == [
        {"source": SOURCE, "sourceId": "1", "eventCode": 1},
        {"source": SOURCE, "sourceId": "2"},
    ]


@pytest.mark.parametrize("line", ['{"source":"/a","sourceId":"1"}', '{"source":"/a"}', '{"sourceId":"1"}'])
def test_identity_of_the_file_is_left_alone(line: str) -> None:
    assert [record.event for record in read(line) if isinstance(record, Record)] == [line.encode()]


def test_payload_stays_byte_for_byte() -> None:
    line = b'{"payload":{ "n" : 1.50, "big":123456789012345678901234567890, "t":"\\u00e9" } }'
    (record,) = read(line)
    assert isinstance(record, Record)
    assert record.event == b'{"source":"urn:test","sourceId":"1",' + line[1:]


def test_empty_object_stays_json() -> None:
    assert events("{ }") == [{"source": SOURCE, "sourceId": "1"}]


def test_cloudevent_is_told_by_its_version() -> None:
    found = [record for record in read('{"specversion":"1.0","id":"1"}\n{"eventCode":1}') if isinstance(record, Record)]
    assert [record.is_cloudevent for record in found] == [True, False]
    assert found[0].event == b'{"specversion":"1.0","id":"1"}'


@pytest.mark.parametrize(
    "line", [b"nonsense", b"[1]", b'"text"', b'{"type":', b"\xff", b'{"source":"\xff"}', b"[" * 5000]
)
def test_line_that_is_no_object_is_left_for_the_platform_to_refuse(line: bytes) -> None:
    assert [record.event for record in read(line) if isinstance(record, Record)] == [line]


def test_byte_order_mark_and_carriage_returns_are_no_content() -> None:
    assert events(b'\xef\xbb\xbf{"eventCode":1}\r\n{"eventCode":2}\r\n')[1]["eventCode"] == 2


@pytest.mark.usefixtures("short_lines")
def test_line_beyond_all_bounds_is_refused_and_never_held() -> None:
    text = '{"eventCode":1}\n' + "x" * 1000 + '\n{"eventCode":2}\n'
    assert refusals(text) == [(2, "too-long")]
    found = read(text)
    assert [record.line for record in found] == [1, 2, 3]
    assert len(found[1].text) <= 101
    assert isinstance(found[2], Record)
    assert found[2].end == len(text)


_documents = st.dictionaries(
    st.text(max_size=5), st.none() | st.integers(-(2**60), 2**60) | st.text(max_size=5), max_size=4
)


@given(st.lists(_documents, max_size=5), st.booleans())
def test_every_line_comes_out_as_it_was_with_an_identity_at_most(
    documents: list[dict[str, Any]], compact: bool
) -> None:
    separators = (",", ":") if compact else (" , ", " : ")
    text = "\n".join(json.dumps(document, separators=separators) for document in documents)
    for number, (document, event) in enumerate(zip(documents, events(text), strict=True), 1):
        has_identity = any(document.get(name) is not None for name in ("source", "sourceId"))
        if has_identity or "specversion" in document:
            assert event == document
        else:
            assert event == {**document, "source": SOURCE, "sourceId": str(number)}


# -- CSV ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_cells_become_fields_whatever_separates_them(mark: str) -> None:
    text = "\ufefftype|eventCode|criticality|targetEntityId\r\ndoor.opened|10001||door-7\r\n".replace("|", mark)
    assert events(text, "csv") == [
        {"type": "door.opened", "eventCode": 10001, "targetEntityId": "door-7", "source": SOURCE, "sourceId": "2"}
    ]


def test_identity_of_a_row_is_the_line_it_begins_on() -> None:
    text = 'type,payload\n"a","{""n"":\n1}"\n\n"b","2"\n'
    assert events(text, "csv") == [
        {"type": "a", "payload": {"n": 1}, "source": SOURCE, "sourceId": "2"},
        {"type": "b", "payload": 2, "source": SOURCE, "sourceId": "5"},
    ]
    first = read(text, "csv")[0]
    assert isinstance(first, Record)
    assert b"\n" not in first.event
    assert first.text == b'"a","{""n"":\n1}"'


def test_identity_columns_are_taken_when_they_are_filled() -> None:
    text = "eventCode,source,sourceId\n1,/a,7\n2,,\n3,/a,\n"
    assert [(event.get("source"), event.get("sourceId")) for event in events(text, "csv")] == [
        ("/a", "7"), (SOURCE, "3"), ("/a", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "content_type", "fields"),
    [
        ('{"a":1}', "", {"payload": {"a": 1}}),
        ("42", "", {"payload": 42}),
        ("it opened", "", {"payloadData": "aXQgb3BlbmVk", "payloadContentType": "text/plain; charset=utf-8"}),
        ("42", "text/plain", {"payloadData": "NDI=", "payloadContentType": "text/plain"}),
        ("[1]", "application/vnd.x+json", {"payload": [1], "payloadContentType": "application/vnd.x+json"}),
    ],
)
def test_payload_cell_is_json_or_text(cell: str, content_type: str, fields: dict[str, Any]) -> None:
    quoted = cell.replace('"', '""')
    (event,) = events(f'payload,payloadContentType\n"{quoted}",{content_type}\n', "csv")
    assert event == {**fields, "source": SOURCE, "sourceId": "2"}


def test_number_that_is_none_is_left_for_the_platform_to_refuse() -> None:
    assert events("eventCode\nx1\n", "csv")[0]["eventCode"] == "x1"


def test_bad_rows_are_refused_alone() -> None:
    text = b"type,payload,payloadContentType\na,1\na,1,2,3\na,{,application/json\n\xff,1,\nb,1,\n"
    assert refusals(text, "csv") == [(2, "columns"), (3, "columns"), (4, "payload-json"), (5, "utf-8")]
    assert isinstance(read(text, "csv")[-1], Record)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The file is empty"),
        ("type,colour\n", "unknown field: 'colour'"),
        ("type,type\n", "names a field twice"),
        ('{"type":"a"}\n', "unknown field"),
    ],
)
def test_file_without_a_usable_header_is_refused_as_a_whole(text: str, message: str) -> None:
    with pytest.raises(Unusable, match=message):
        read(text, "csv")


@pytest.mark.usefixtures("short_lines")
def test_cell_beyond_all_bounds_ends_the_import() -> None:
    with pytest.raises(Unusable, match="Line 2 "):
        read("type\n" + "x" * 200, "csv")
    with pytest.raises(Unusable, match="no CSV"):
        read('type\n"' + "x\n" * 200, "csv")
