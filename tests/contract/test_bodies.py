"""What the catalogue accepts and refuses, and that an independent validator of the schemas agrees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from heliograph.catalog.system import SYSTEM
from heliograph.errors import Invalid
from tests.contract.bodies import ALL, DOCUMENTED, defined, sample_of, valid_bodies
from tests.contract.mutations import Mutation, mutations, places, with_value, without

if TYPE_CHECKING:
    from heliograph.catalog.definition import EventDefinition
    from tests.contract.documents import Document


def refused_pointers(type_: str, body: dict[str, Any]) -> set[str]:
    """Return the places that the catalogue names as wrong; none when it accepts the body."""
    try:
        SYSTEM.check(type_, json.dumps(body).encode())
    except Invalid as refusal:
        return {fault.pointer for fault in refusal.faults} or {"no place named"}
    return set()


def mutations_of(definition: EventDefinition) -> list[Mutation]:
    schema = SYSTEM.schema(definition)
    return [mutation for body in valid_bodies(definition) for mutation in mutations(schema, body)]


def through_the_struct(definition: EventDefinition, body: dict[str, Any]) -> object:
    return msgspec.json.decode(msgspec.json.encode(msgspec.json.decode(json.dumps(body), type=definition.struct)))


@pytest.mark.parametrize("document", DOCUMENTED)
def test_documented_example_is_accepted(document: Document) -> None:
    SYSTEM.check(document.type, json.dumps(document.payload).encode())


@pytest.mark.parametrize("document", DOCUMENTED)
def test_documented_example_fits_the_wire_schema_as_an_independent_validator_reads_it(
    document: Document,
) -> None:
    schema = SYSTEM.wire_schema(defined(document.type))
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(document.wire)


@pytest.mark.parametrize("definition", ALL)
def test_body_comes_back_unchanged_when_read_and_written(definition: EventDefinition) -> None:
    for body in valid_bodies(definition):
        assert through_the_struct(definition, body) == body


@pytest.mark.parametrize("definition", ALL)
def test_sample_is_accepted(definition: EventDefinition) -> None:
    SYSTEM.check(definition.type, msgspec.json.encode(definition.sample))


@pytest.mark.parametrize("definition", ALL)
def test_examples_and_sample_together_show_every_field(definition: EventDefinition) -> None:
    schema = SYSTEM.schema(definition)
    shown: dict[str, set[str]] = {}
    for body in valid_bodies(definition):
        for place in places(schema, body):
            if place.fields() and isinstance(place.value, dict):
                shown.setdefault(place.node["title"], set()).update(place.value)
    assert shown == {name: set(node["properties"]) for name, node in schema["$defs"].items()}


@pytest.mark.parametrize("definition", ALL)
def test_one_broken_rule_is_refused_at_its_place_and_nowhere_else(definition: EventDefinition) -> None:
    found = {mutation.name: refused_pointers(definition.type, mutation.body) for mutation in mutations_of(definition)}
    expected = {mutation.name: {mutation.pointer} for mutation in mutations_of(definition)}
    assert found == expected
    assert len(found) > 2


@pytest.mark.parametrize("definition", ALL)
def test_independent_validator_agrees_on_every_body(definition: EventDefinition) -> None:
    oracle = Draft202012Validator(SYSTEM.schema(definition))
    assert [body for body in valid_bodies(definition) if not oracle.is_valid(body)] == []
    assert [broken.name for broken in mutations_of(definition) if oracle.is_valid(broken.body)] == []


@pytest.mark.parametrize("definition", ALL)
@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_any_choice_of_optional_fields_is_accepted(definition: EventDefinition, data: st.DataObject) -> None:
    schema = SYSTEM.schema(definition)
    body = data.draw(st.sampled_from(valid_bodies(definition)))
    optional = [place.steps for place in places(schema, body) if place.optional]
    left_out = data.draw(st.sets(st.sampled_from(optional)) if optional else st.just(set()))
    fewer = without(body, *left_out)
    assert refused_pointers(definition.type, fewer) == set()
    assert through_the_struct(definition, fewer) == fewer
    assert Draft202012Validator(schema).is_valid(fewer)


@pytest.mark.parametrize("definition", ALL)
@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_every_fault_is_named_when_there_are_several(definition: EventDefinition, data: st.DataObject) -> None:
    body = sample_of(definition)
    missing = data.draw(st.sets(st.sampled_from(sorted(body)), min_size=1))
    required = SYSTEM.schema(definition)["$defs"][definition.struct.__name__]["required"]
    broken = with_value(without(body, *((name,) for name in missing)), ("unexpected",), 1)
    expected = {f"/{name}" for name in missing & set(required)} | {"/unexpected"}
    assert refused_pointers(definition.type, broken) == expected


@pytest.mark.parametrize("definition", ALL)
def test_what_may_be_null_is_accepted_as_null_and_comes_back_so(definition: EventDefinition) -> None:
    schema = SYSTEM.schema(definition)
    oracle = Draft202012Validator(schema)
    for body in valid_bodies(definition):
        for place in places(schema, body):
            if place.nullable:
                cleared = with_value(body, place.steps, None)
                assert refused_pointers(definition.type, cleared) == set()
                assert through_the_struct(definition, cleared) == cleared
                assert oracle.is_valid(cleared)


@pytest.mark.parametrize("data", [None, 0, True, "text", [], {"nested": [{}, None]}])
def test_telemetry_is_any_json(data: object) -> None:
    body = {**sample_of(defined("Device.Telemetry.DeviceTelemetryRecordUpdated")), "data": data}
    assert refused_pointers("Device.Telemetry.DeviceTelemetryRecordUpdated", body) == set()


@pytest.mark.parametrize("document", [d for d in DOCUMENTED if str(d.id).startswith("Device.")])
def test_wire_schema_refuses_the_other_kind(document: Document) -> None:
    other = {"domain": "telemetry", "telemetry": "domain"}[document.wire["kind"]]
    schema = SYSTEM.wire_schema(defined(document.type))
    assert not Draft202012Validator(schema).is_valid({**document.wire, "kind": other})


@pytest.mark.parametrize(("field", "value"), [("id", None), ("kind", "other"), ("type", "Device.Other"), ("extra", 1)])
@pytest.mark.parametrize("document", [d for d in DOCUMENTED if str(d.id).startswith("Device.")])
def test_wire_schema_refuses_another_envelope(document: Document, field: str, value: object) -> None:
    schema = SYSTEM.wire_schema(defined(document.type))
    assert not Draft202012Validator(schema).is_valid({**document.wire, field: value})
    if field in document.wire:
        assert not Draft202012Validator(schema).is_valid(without(document.wire, (field,)))


def test_ids_of_the_flat_family_are_accepted_in_either_case() -> None:
    body = sample_of(defined("access_code.unmanaged.created"))
    body["access_code_id"] = body["access_code_id"].upper()
    assert refused_pointers("access_code.unmanaged.created", body) == set()


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-02T08:15:30Z",
        "2026-03-02T08:15:30.412345Z",
        "2026-03-02T08:15:30.412+00:00",
        "2026-13-02T08:15:30.412Z",
        "2026-03-02 08:15:30.412Z",
    ],
)
def test_times_of_the_flat_family_have_milliseconds_and_z(time: str) -> None:
    body = {**sample_of(defined("access_code.unmanaged.created")), "created_at": time}
    assert refused_pointers("access_code.unmanaged.created", body) == {"/created_at"}


def test_custom_metadata_may_hold_texts_and_truth_values_under_any_name() -> None:
    body = {
        **sample_of(defined("access_code.unmanaged.created")),
        "device_custom_metadata": {"": "", "a/b": True},
    }
    assert refused_pointers("access_code.unmanaged.created", body) == set()
    body["device_custom_metadata"] = {"a/b": {"nested": "text"}}
    assert refused_pointers("access_code.unmanaged.created", body) == {"/device_custom_metadata/a~1b"}
