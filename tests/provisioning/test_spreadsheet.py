"""Import files: whatever people make of a table is read, from any row on, and what cannot be is said exactly."""

from __future__ import annotations

import csv
import io
import json
import string
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import Fault, Invalid
from heliograph.jobs.model import guarded, unguarded
from heliograph.provisioning.columns import (
    MOST_COLUMNS,
    SPELLINGS,
    Layout,
    Options,
    field_of,
    read_mapping,
)
from heliograph.provisioning.cutting import LONGEST_ROW, MOST_OPEN_QUOTES
from heliograph.provisioning.spreadsheet import HEAD_BYTES, MOST_ROWS, BadRow, Row, read_rows, sniff
from heliograph.provisioning.wishes import RowWish, wish_of
from heliograph.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = b"brand,serialNumber,macAddress\n"


def read(file: bytes, **options: Any) -> list[Row | BadRow]:
    """Return all rows of a file."""
    layout = sniff(file[:HEAD_BYTES], Options(**options))
    return list(read_rows([file[layout.data_offset :]], layout, layout.data_offset))


def cells(file: bytes, **options: Any) -> list[list[str]]:
    """Return the cells of a file of which all rows can be read."""
    rows = read(file, **options)
    assert [row for row in rows if isinstance(row, BadRow)] == []
    return [list(row.cells.values()) for row in rows]


def refusal(file: bytes, **options: Any) -> Fault:
    """Return the one fault for which a whole file is refused."""
    with pytest.raises(Invalid) as refused:
        read(file, **options)
    (fault,) = refused.value.faults
    return fault


def bad(file: bytes) -> list[tuple[int, int, str]]:
    """Return number, line and rule of each row that cannot be read."""
    return [(row.number, row.line, row.faults[0].rule) for row in read(file) if isinstance(row, BadRow)]


def wish(file: bytes, **options: Any) -> tuple[RowWish | None, list[Fault]]:
    """Return what the only row of a file asks for."""
    layout = sniff(file, Options(**options))
    (row,) = read_rows([file[layout.data_offset :]], layout, layout.data_offset)
    assert isinstance(row, Row)
    return wish_of(row, layout)


# -- any table, any cut, any row on ---------------------------------------------------------------------------------

TEXTS = st.text(st.sampled_from(string.ascii_letters + " \"',;|\t\r\n=+-@\uff1däß漢🛰"), max_size=12)


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, list[dict[str, str]]]:
    """A file as Python's csv.writer writes it, and its rows by column."""
    columns = draw(st.permutations(["Vendor", "S/N", "MAC", "Remarks", "customMetadata.floor"]))
    columns = list(dict.fromkeys([*columns[: draw(st.integers(0, 2))], "Vendor", "S/N", *columns]))
    rows = draw(st.lists(st.lists(TEXTS, min_size=len(columns), max_size=len(columns)), max_size=6))
    line_end = draw(st.sampled_from(["\r\n", "\n", "\r"]))
    # The writer leaves a line end of another kind unquoted where it may, and no reader could tell it from its own.
    minimal = line_end == "\r\n" and draw(st.booleans())
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL if minimal else csv.QUOTE_ALL
    out = io.StringIO(newline="")
    delimiter = draw(st.sampled_from(",;\t|"))
    out.write(draw(st.sampled_from(["", f"sep={delimiter}{line_end}", f'"sep={delimiter}"{line_end}'])))
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerow(columns)
    writer.writerows(rows)
    file = out.getvalue()
    if draw(st.booleans()):
        file = file.removesuffix(line_end)
    meant = [[unguarded(cell) for cell in row] for row in rows]
    kept = [dict(zip(columns, row, strict=True)) for row in meant if any(map(str.strip, row))]
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig"]))
    return file.encode(encoding), kept


@given(tables(), st.integers(1, 7))
@settings(max_examples=300)
def test_table_reads_back_the_same_however_it_is_written_and_cut(
    table: tuple[bytes, list[dict[str, str]]], size: int
) -> None:
    file, expected = table
    layout = sniff(file, Options())
    parts = [file[at : at + size] for at in range(layout.data_offset, len(file), size)]
    rows = list(read_rows(parts, layout, layout.data_offset))
    assert [row.cells for row in rows] == expected
    assert [row.number for row in rows] == list(range(1, len(expected) + 1))


@given(tables())
def test_reading_goes_on_behind_any_row(table: tuple[bytes, list[dict[str, str]]]) -> None:
    file, _ = table
    layout = msgspec.json.decode(msgspec.json.encode(sniff(file, Options())), type=Layout)
    rows = list(read_rows([file[layout.data_offset :]], layout, layout.data_offset))
    for place, row in enumerate(rows):
        rest = read_rows([file[row.offset_after :]], layout, row.offset_after, row.number + 1, row.line_after)
        assert list(rest) == rows[place + 1 :]


@given(st.lists(st.binary(max_size=30), max_size=8), st.sampled_from(["csv", "jsonl"]))
@settings(max_examples=300)
def test_any_bytes_become_rows_or_faults_and_can_be_gone_on_behind(lines: list[bytes], kind: str) -> None:
    begin = HEADER if kind == "csv" else b"{}\n"
    file = begin + b"\n".join(lines)
    layout = Layout(format=kind, columns=("brand", "serialNumber", "macAddress"))  # type: ignore[arg-type]  # drawn
    rows = list(read_rows([file], layout, 0))
    for place, row in enumerate(rows):
        rest = read_rows([file[row.offset_after :]], layout, row.offset_after, row.number + 1, row.line_after)
        assert list(rest) == rows[place + 1 :]


def test_line_of_a_row_counts_quoted_line_ends_and_blank_lines() -> None:
    file = b'\xef\xbb\xbf\r\nbrand,"serial\r\nnumber"\r\nA,"1\r2\n3"\r\n\r\nB,4\r\n;,'.replace(b";", b"C")
    assert [(row.number, row.line, row.line_after) for row in read(file)] == [(1, 4, 7), (2, 8, 9), (3, 9, 10)]


def test_carriage_return_and_line_feed_in_two_parts_are_one_line_end() -> None:
    layout = sniff(HEADER, Options())
    rows = list(read_rows([b"A,1,\r", b"\nB,2,\r", b"\n"], layout, 0))
    assert [(row.line, row.offset_after, row.cells["brand"]) for row in rows] == [(2, 6, "A"), (3, 12, "B")]


def test_large_file_is_never_held_as_a_whole() -> None:
    layout = sniff(HEADER, Options())
    taken = 0

    def parts() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 64 * 1024
            yield b"A,123456789,\n,,\n" * 4096

    ahead = [taken - row.offset_after for row in read_rows(parts(), layout, 0)]
    assert len(ahead) == 100 * 4096
    assert max(ahead) <= 3 * 64 * 1024


# -- the delimiter and the header -----------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_in_the_header_with_quotes_respected(delimiter: str) -> None:
    header = delimiter.join(["Brand", '"Serial, no; of | the\tdevice"', '"Serial No."'])
    layout = sniff(f"{header}\n".encode(), Options())
    assert layout.delimiter == delimiter
    assert layout.mapping == {"Brand": "brand", "Serial No.": "serialNumber"}


@pytest.mark.parametrize(("given", "meant"), [("^", "^"), ("tab", "\t"), ("\\t", "\t"), ("semicolon", ";")])
def test_delimiter_that_is_given_wins(given: str, meant: str) -> None:
    assert cells(f"brand{meant}sn\nA{meant}1\n".encode(), delimiter=given) == [["A", "1"]]


@pytest.mark.parametrize("given", ["", "ab", '"', "\n", "a", "7", "ä"])
def test_delimiter_that_is_none_is_refused(given: str) -> None:
    fault = refusal(HEADER, delimiter=given)
    assert (fault.pointer, fault.rule) == ("query/delimiter", "delimiter")


@pytest.mark.parametrize("line", ["sep=^", '"sep=^"', "SEP=^"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_first_line_may_name_the_delimiter(line: str, line_end: str, mark: str) -> None:
    file = (mark + line_end.join([line, "brand^sn", "A^1", "B^2;3"])).encode()
    assert cells(file) == [["A", "1"], ["B", "2;3"]]
    assert [row.line for row in read(file)] == [3, 4]


def test_delimiter_that_is_given_wins_over_the_line_that_names_one() -> None:
    assert cells(b"sep=;\nbrand,sn\nA,1\n", delimiter=",") == [["A", "1"]]


@pytest.mark.parametrize("line", [b"sep=", b"sep=ab", b"sep=a", b'sep="', b"separator=;", b"\nsep=;"])
def test_line_that_names_no_delimiter_is_the_header(line: bytes) -> None:
    assert refusal(line + b"\nbrand,sn\nA,1\n").rule == "brand-column"


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("Serial", "serialNumber"), ("S/N", "serialNumber"), ("SERIAL NO.", "serialNumber"),
        ("serial_number", "serialNumber"), ("MAC", "macAddress"), ("mac-address", "macAddress"),
        ("WiFi MAC", "macAddress"), ("Manufacturer", "brand"), ("vendor", "brand"), ("Make", "brand"),
        ("Name", "deviceName"), ("LABEL", "deviceName"), ("Site", "location"), ("metadata", "customMetadata"),
        ("customMetadata.Floor", "customMetadata.Floor"), ("Custom metadata. Floor", "customMetadata.Floor"),
        ("Metadata.a.b", "customMetadata.a.b"), ("customMetadata." + "k" * 40, "customMetadata." + "k" * 40),
        ("customMetadata." + "k" * 41, None), ("customMetadata.", None), ("metadata.", None), ("S.N", "serialNumber"),
        ("heliograph_error", None), ("Remarks", None),
        ("", None),
    ],
)  # fmt: skip
def test_column_is_known_by_its_common_names(column: str, field: str | None) -> None:
    assert field_of(column) == field


def test_each_field_is_known_by_our_own_name_and_no_name_means_two_fields() -> None:
    assert [field_of(field) for field in SPELLINGS] == list(SPELLINGS)
    assert [field_of(name) for names in SPELLINGS.values() for name in names] == [
        field for field, names in SPELLINGS.items() for _ in names
    ]


def test_columns_that_mean_nothing_are_ignored_and_listed() -> None:
    layout = sniff(b"Remarks,brand,heliograph_outcome,sn,,\n", Options())
    assert layout.ignored == ("Remarks", "heliograph_outcome", "column 5", "column 6")


def test_explicit_mapping_wins_over_the_names() -> None:
    mapping = {"Asset": "serialNumber", "made by": "brand", "Name": "-", "Model": "", "Etage": "metadata.floor"}
    layout = sniff(b"Asset,Made By,Name,Model,Etage,Serial\n", Options(mapping=mapping))
    assert layout.mapping == {"Asset": "serialNumber", "Made By": "brand", "Etage": "customMetadata.floor"}
    assert layout.ignored == ("Name", "Model", "Serial")


def test_mapping_option_is_read_from_texts() -> None:
    texts = ["a:serialNumber", "b: c : brand", "d:-", "e:", "f:Site", "g:metadata.x"]
    assert read_mapping(texts) == {
        "a": "serialNumber", "b: c": "brand", "d": "", "e": "", "f": "location", "g": "customMetadata.x"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "rule"),
    [(["a"], "mapping"), ([":brand"], "mapping"), (["a:b"], "unknown-field"), (["a:-", "a:-"], "duplicate-column")],
)
def test_mapping_option_that_means_nothing_is_refused(texts: list[str], rule: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_mapping(texts)
    assert [(fault.pointer, fault.rule) for fault in refused.value.faults] == [("query/map", rule)]


@pytest.mark.parametrize(
    ("file", "rule", "words"),
    [
        (b"", "empty", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty", "empty"),
        (b",,\nA,1,\n", "header", "no header"),
        (b"Samsung,Q5,0001\nSamsung,Q5,0002\n", "brand-column", "'Samsung', 'Q5', '0001'"),
        (b"brand,model\n", "identifier-column", "'brand', 'model'"),
        (b"serial,mac\n", "brand-column", "'serial', 'mac'"),
        (b"brand,sn,x,x\n", "duplicate-column", "'x' occurs twice"),
        (b"brand,sn,serial\n", "duplicate-field", "'sn' and 'serial' both mean serialNumber"),
        (b'brand,"sn\n', "quote", "not closed"),
        (b'[{"brand":"A"}]', "jsonl", "array"),
        ("brand;sn\nA;1\n".encode("utf-16"), "encoding", "UTF-16"),
        ("brand;sn\nA;1\n".encode("utf-16-be"), "encoding", "byte 0, on line 1, is 0x00"),
        (b"\xff\xfe\0\0b\0\0\0", "encoding", "UTF-32"),
        (b"sep=;\r\n", "empty", "empty"),
        (b"PK\x03\x04\x14\x00", "file-format", "spreadsheet program's own format"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "file-format", "spreadsheet program's own format"),
        (b"\x1f\x8b\x08\x00", "file-format", "gzip"),
        ("sep=;\nbrand;sn\nKöln;2\n".encode("latin-1"), "encoding", "byte 16, on line 3, is 0xf6"),
        ("brand,sn\nA,1\nKöln,2\n".encode("latin-1"), "encoding", "byte 14, on line 3, is 0xf6"),
    ],
)
def test_file_that_is_no_table_of_devices_is_refused_as_a_whole(file: bytes, rule: str, words: str) -> None:
    fault = refusal(file)
    assert fault.rule == rule
    assert words in fault.message


def test_mapped_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    fault = refusal(HEADER, mapping={"Serial": "serialNumber"})
    assert (fault.pointer, fault.rule) == ("query/map", "unknown-column")
    assert "'brand', 'serialNumber', 'macAddress'" in fault.message


@pytest.mark.parametrize("name", [b"c%d", b"some longer name of column %d"])
def test_100000_columns_are_one_short_message(name: bytes) -> None:
    fault = refusal(b";".join(name % n for n in range(100_000)) + b"\n")
    assert fault.rule == "too-many-columns"
    assert f"more than {MOST_COLUMNS} columns" in fault.message
    assert len(fault.message) < 400


def test_header_of_200_columns_is_read() -> None:
    names = ["brand", "sn", *(f"c{n}" for n in range(MOST_COLUMNS - 2))]
    assert len(sniff(",".join(names).encode(), Options()).ignored) == MOST_COLUMNS - 2


# -- rows that cannot be read ---------------------------------------------------------------------------------------


def test_row_with_too_few_or_too_many_cells_is_told_and_the_others_are_read() -> None:
    file = HEADER + b"A,1\nA,2,,\nA,3,\n"
    assert bad(file) == [(1, 2, "cells"), (2, 3, "cells")]
    first, _, third = read(file)
    assert isinstance(first, BadRow)
    assert first.faults[0].message == "The row has 2 cells, but the header has 3."
    assert (first.text, first.cells) == ("A,1", {"brand": "A", "serialNumber": "1"})
    assert third.cells["serialNumber"] == "3"


def test_quote_that_is_never_closed_costs_its_own_line_only() -> None:
    file = HEADER + b'A,"1,\nB,2,\n\xc3\xa4,3,\n'
    assert bad(file) == [(1, 2, "quote")]
    assert [row.cells.get("brand") for row in read(file)] == [None, "B", "ä"]


def test_text_behind_a_closing_quote_is_told() -> None:
    file = HEADER + b'A,"the "big" one",\nB,"x\ny",\n'
    assert bad(file) == [(1, 2, "quote")]
    assert read(file)[1].cells["serialNumber"] == "x\ny"


def test_quote_within_a_cell_stands_for_itself() -> None:
    assert cells(b'brand,sn,model\nA,1,55" TV\n') == [["A", "1", '55" TV']]


def test_file_full_of_open_quotes_is_given_up() -> None:
    line = b'x","\n'
    assert refusal(HEADER + line * (LONGEST_ROW // 4)).rule == "quote"
    assert len(read(HEADER + b'A,"' + b"\n" * 5 + b"A,1,\n")) == 2
    assert len(line) * MOST_OPEN_QUOTES < LONGEST_ROW


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_row_of_64_kib_is_read_and_a_longer_one_is_skipped(quote: bytes) -> None:
    room = LONGEST_ROW - len(b"A,,") - 2 * len(quote)
    for end in (b"\n", b"\r\n", b"\r"):
        fits = b"A," + quote + b"x" * room + quote + b"," + end
        assert bad(HEADER + fits + b"B,2,") == []
        long = b"A," + quote + b"x" * (room + 1) + quote + b"," + end
        assert [rule for _, _, rule in bad(HEADER + long + b"B,2,\n")] in (["row-too-long"], ["quote"])
        assert [row.line for row in read(HEADER + long + b"B,2,\n")] == [2, 3]


def test_row_without_end_is_told_once() -> None:
    assert bad(HEADER + b"x" * 1_000_000) == [(1, 2, "row-too-long")]


def test_byte_that_is_no_utf8_far_into_the_file_is_named() -> None:
    before = HEADER + b"A,1,\n" * (HEAD_BYTES // 4)
    file = before + b'B,"\n\xe4",\nC,3,\n'
    number, line = HEAD_BYTES // 4 + 1, HEAD_BYTES // 4 + 2
    assert bad(file) == [(number, line, "utf-8")]
    row = read(file)[-2]
    assert isinstance(row, BadRow)
    assert f"Byte {len(before) + 4} of the file, on line {line + 1}, is 0xe4" in row.faults[0].message


def test_character_that_the_end_of_the_head_cuts_in_two_is_no_fault() -> None:
    assert sniff(HEADER + "ä".encode()[:1], Options()).columns


def test_row_after_the_millionth_is_refused() -> None:
    layout = sniff(HEADER, Options())
    rows = read_rows([b"A,1,\nA,2,\n"], layout, 0, MOST_ROWS)
    assert next(rows).number == MOST_ROWS
    with pytest.raises(Invalid, match="at most 1,000,000 rows"):
        next(rows)


# -- JSONL ----------------------------------------------------------------------------------------------------------


def test_jsonl_is_recognised_and_each_bad_line_told() -> None:
    lines = [
        '{"brand":"A","serialNumber":"1"}', "", "[1]", '{"a":1,"a":2}', '{"a":', '"x"', '{"brand":"B"}',
        json.dumps({"brand": "x" * LONGEST_ROW}), '{"brand":"C"}',
    ]  # fmt: skip
    file = "\r\n".join(lines).encode()
    assert bad(file) == [
        (2, 3, "object"), (3, 4, "duplicate-name"), (4, 5, "json"), (5, 6, "object"), (7, 8, "row-too-long")
    ]  # fmt: skip
    assert [row.cells["brand"] for row in read(file) if isinstance(row, Row)] == ["A", "B", "C"]


def test_line_of_jsonl_that_is_no_utf8_is_told_with_its_byte() -> None:
    before = b"{}\n" * HEAD_BYTES
    row = read(before + b'{"a":"\xe4"}')[-1]
    assert isinstance(row, BadRow)
    assert f"Byte {len(before) + 6} of the file" in row.faults[0].message


def test_line_of_jsonl_asks_for_what_the_api_takes() -> None:
    document = {
        "brand": " A ", "model": None, "serialNumber": "1", "macAddress": "02:00:00:00:00:01", "deviceName": "",
        "tagUids": ["t", "t", "u"], "policy": "p", "locationUid": "l", "confirmedOwnership": True, "onRepeat": "reset",
        "claimCode": "c", "claimCodeExpiresAt": "2030-01-01T00:00:00Z", "customMetadata": {"floor": True},
        "heliograph_rule": "x",
    }  # fmt: skip
    assert wish(json.dumps(document).encode()) == (
        RowWish(
            brand="A",
            serial_number="1",
            mac_address="02:00:00:00:00:01",
            tags=("t", "u"),
            policy="p",
            location="l",
            confirmed_ownership=True,
            on_repeat="reset",
            claim_code="c",
            claim_code_expires_at=parse_time("2030-01-01T00:00:00Z", ""),
            custom_metadata={"floor": True},
        ),
        [],
    )


def test_line_of_jsonl_with_wrong_fields_has_all_of_them_told() -> None:
    found, faults = wish(b'{"brand":1,"serial":"2","onRepeat":"never"}')
    assert found is None
    assert sorted(fault.pointer for fault in faults) == ["/brand", "/onRepeat", "/serial"]
    found, faults = wish(b'{"brand":"A","tags":[],"tagUids":[]}')
    assert [(fault.pointer, fault.rule) for fault in faults] == [("/tagUids", "exclusive")]


def test_fields_of_jsonl_are_mapped_where_that_is_asked_for() -> None:
    found, faults = wish(b'{"vendor":"A","note":7}', mapping={"vendor": "brand", "note": "-"})
    assert (found, faults) == (RowWish(brand="A"), [])


# -- what a row asks for --------------------------------------------------------------------------------------------


def test_cells_become_what_the_row_asks_for() -> None:
    header = (
        "Vendor;Model;S/N;MAC;Name;Tags;Policy;Site;Confirmed;On repeat;Claim code;Claim code expiry;"
        "customMetadata.Etage;X"
    )
    row = 'A;B;1; 02-00-00-00-00-01 ;"N;1";"x; y|z,x";P;L;X;Reset;c;2030-01-01T00:00:00Z;3;ignored'
    assert wish(f"{header}\n{row}\n".encode()) == (
        RowWish(
            brand="A",
            model="B",
            serial_number="1",
            mac_address="02-00-00-00-00-01",
            device_name="N;1",
            tags=("x", "y", "z"),
            policy="P",
            location="L",
            confirmed_ownership=True,
            on_repeat="reset",
            claim_code="c",
            claim_code_expires_at=parse_time("2030-01-01T00:00:00Z", ""),
            custom_metadata={"Etage": "3"},
        ),
        [],
    )


def test_blank_cells_ask_for_nothing() -> None:
    header = b"brand,sn,mac,name,tags,policy,site,confirmed,on repeat,claim code,claim code expiry,customMetadata.x\n"
    assert wish(header + b"A, ,,,,,,,,,,\n") == (RowWish(brand="A"), [])


def test_metadata_are_a_json_object_in_one_cell_or_a_column_each() -> None:
    found, faults = wish(b'brand,sn,metadata.floor,Metadata\nA,1,3,"{""door"": true}"\n')
    assert (found, faults) == (RowWish(brand="A", serial_number="1", custom_metadata={"floor": "3", "door": True}), [])


@pytest.mark.parametrize("cell", ["7", "[1]", "{", '{"a":1,"a":2}'])
def test_metadata_that_are_no_json_object_are_told(cell: str) -> None:
    quoted = cell.replace('"', '""')
    _, faults = wish(f'brand,sn,customMetadata\nA,1,"{quoted}"\n'.encode())
    assert [(fault.pointer, fault.rule) for fault in faults] == [("/customMetadata", "object")]


def test_cells_that_mean_nothing_are_told_together() -> None:
    found, faults = wish(b"brand,sn,confirmed,on repeat,claim code expiry\nA,1,maybe,never,tomorrow\n")
    assert found == RowWish(brand="A", serial_number="1")
    assert [fault.pointer for fault in faults] == ["/confirmedOwnership", "/onRepeat", "/claimCodeExpiresAt"]


@pytest.mark.parametrize(
    ("text", "meant"), [("yes", True), ("TRUE", True), ("1", True), ("x", True), ("No", False), ("0", False)]
)
def test_ownership_is_confirmed_in_the_usual_words(text: str, meant: bool) -> None:
    found, _ = wish(f"brand,sn,confirmed\nA,1,{text}\n".encode())
    assert found is not None
    assert found.confirmed_ownership is meant


@given(TEXTS)
def test_guard_against_formulas_is_taken_off_again(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
