"""The rules of definitions and of the catalogue that holds them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heliograph.catalog.definition import Body, Catalog, EventDefinition
from heliograph.errors import Invalid


class Door(Body, frozen=True, kw_only=True):
    """Stands for any payload."""

    door: str
    open: bool


class Window(Body, frozen=True, kw_only=True):
    """Another payload."""

    pane: int


OPENED = EventDefinition(
    type="Door.Opened",
    family="record",
    code=7,
    criticality=4,
    target="Door",
    struct=Door,
    sample=Door(door="B2", open=True),
    meaning="A door was opened.",
)
CLOSED = replace(OPENED, type="Door.Closed", code=3)


def test_type_is_found_when_it_is_defined() -> None:
    catalog = Catalog((OPENED, CLOSED))
    assert catalog.get("Door.Opened") is OPENED
    assert catalog.get("Door.Slammed") is None
    assert len(catalog) == 2


def test_definitions_are_listed_by_rising_code() -> None:
    assert list(Catalog((OPENED, CLOSED))) == [CLOSED, OPENED]


def test_catalog_is_refused_when_two_definitions_share_a_type() -> None:
    with pytest.raises(ValueError, match=r"same type: \['Door\.Opened'\]"):
        Catalog((OPENED, replace(OPENED, code=8)))


def test_catalog_is_refused_when_two_definitions_share_a_code() -> None:
    with pytest.raises(ValueError, match=r"same code: \[7\]"):
        Catalog((OPENED, CLOSED, replace(CLOSED, type="Door.Slammed", code=7)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": 10_000}, "code 10000 is not one of the platform's"),
        ({"code": -1}, "code -1 is not"),
        ({"criticality": 6}, "6 is no criticality"),
        ({"criticality": -1}, "-1 is no criticality"),
        ({"kind": "domain"}, "the domain family has a kind"),
        ({"family": "domain"}, "the domain family has a kind"),
        ({"struct": Window}, "not an instance of the struct"),
    ],
)
def test_definition_is_refused_when_its_fields_contradict_each_other(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(OPENED, **change)


@pytest.mark.parametrize("code", [0, 9_999])
def test_definition_may_use_the_first_and_the_last_code_of_the_platform(code: int) -> None:
    assert replace(OPENED, code=code).code == code


def test_payload_is_accepted_when_it_fits() -> None:
    Catalog((OPENED,)).check("Door.Opened", b'{"door": "B2", "open": false}')


def test_all_faults_are_listed_when_a_payload_has_several() -> None:
    with pytest.raises(Invalid) as refusal:
        Catalog((OPENED,)).check("Door.Opened", b'{"open": "yes", "a/b": 1}')
    found = {(fault.pointer, fault.rule) for fault in refusal.value.faults}
    assert found == {("/door", "required"), ("/open", "type"), ("/a~1b", "unknown-field")}


def test_type_is_named_when_it_is_unknown() -> None:
    with pytest.raises(Invalid, match=r"no event type 'Door\.Slammed'") as refusal:
        Catalog((OPENED,)).check("Door.Slammed", b"{}")
    assert [fault.rule for fault in refusal.value.faults] == ["unknown-type"]


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"null", b'{"door": "B2", "door": "B3", "open": true}', b'{"door": NaN}']
)
def test_payload_is_refused_when_it_is_no_unambiguous_object(payload: bytes) -> None:
    with pytest.raises(Invalid):
        Catalog((OPENED,)).check("Door.Opened", payload)


def test_schema_says_what_it_is_of() -> None:
    schema = Catalog.schema(OPENED)
    assert (schema["title"], schema["description"]) == ("Door.Opened", "A door was opened.")
    assert schema["$defs"]["Door"]["properties"] == {"door": {"type": "string"}, "open": {"type": "boolean"}}


def test_wire_schema_wraps_the_payload_when_the_family_is_domain() -> None:
    schema = Catalog.wire_schema(replace(OPENED, family="domain", kind="telemetry"))
    assert list(schema["properties"]) == schema["required"] == ["id", "kind", "type", "payload"]
    assert schema["properties"]["kind"] == {"const": "telemetry"}
    assert schema["additionalProperties"] is False


def test_wire_schema_is_the_stored_one_when_the_family_is_flat() -> None:
    flat = replace(OPENED, family="flat")
    assert Catalog.wire_schema(flat) == Catalog.schema(flat)
