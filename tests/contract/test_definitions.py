"""What holds for all definitions: codes never change, schemas stand alone, nothing is a float or a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from heliograph.access_codes.managed_events import ChangedProperty
from heliograph.catalog.system import SYSTEM
from heliograph.eventlog.model import FIRST_FREE_CODE
from tests.contract.bodies import ALL, sample_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliograph.catalog.definition import EventDefinition

CODES = {
    "Platform.TechnicalError": 100,
    "Platform.ClockBehind": 101,
    "Platform.ClockJumped": 102,
    "Tenant.Created": 1000,
    "Tenant.Updated": 1001,
    "Account.Created": 1100,
    "Account.Updated": 1101,
    "Account.Revoked": 1102,
    "Key.Created": 1200,
    "Key.Revoked": 1201,
    "Grant.Added": 1300,
    "Grant.Revoked": 1301,
    "EventType.Created": 1400,
    "EventType.Updated": 1401,
    "EventType.Deleted": 1402,
    "Job.Started": 1500,
    "Job.Finished": 1501,
    "Device.Added": 2000,
    "Device.Updated": 2001,
    "Device.Removed": 2002,
    "Device.BatteryLow": 2003,
    "Device.BatteryRecovered": 2004,
    "Device.ConditionsChanged": 2005,
    "Device.ProvisioningRecipeCreated": 2100,
    "Device.ProvisioningRecipeUpdated": 2101,
    "Device.ProvisioningRecipeStatusUpdated": 2102,
    "Device.ProvisioningRecipeDeleted": 2103,
    "Device.Verification.DevicePaired": 2110,
    "Device.Verification.DeviceUnpaired": 2111,
    "Device.DeviceConnectionAdded": 2120,
    "Device.DeviceConnectionDeleted": 2121,
    "Device.Telemetry.DeviceTelemetryRecordUpdated": 2130,
    "Tag.Created": 2300,
    "Tag.Updated": 2301,
    "Tag.Deleted": 2302,
    "Location.Created": 2310,
    "Location.Updated": 2311,
    "Location.Deleted": 2312,
    "Policy.Created": 2320,
    "Policy.Updated": 2321,
    "Policy.Deleted": 2322,
    "access_code.created": 3000,
    "access_code.changed": 3001,
    "access_code.name_changed": 3002,
    "access_code.code_changed": 3003,
    "access_code.time_frame_changed": 3004,
    "access_code.scheduled_on_device": 3005,
    "access_code.set_on_device": 3006,
    "access_code.failed_to_set_on_device": 3007,
    "access_code.removed_from_device": 3008,
    "access_code.failed_to_remove_from_device": 3009,
    "access_code.deleted": 3010,
    "access_code.modified_external_to_seam": 3011,
    "access_code.deleted_external_to_seam": 3012,
    "access_code.unmanaged.created": 3100,
    "access_code.unmanaged.removed": 3101,
    "access_code.unmanaged.converted_to_managed": 3102,
    "access_code.unmanaged.failed_to_convert_to_managed": 3103,
    "connected_account.connected": 3200,
    "connected_account.disconnected": 3201,
    "connected_account.deleted": 3202,
    "ConnectedAccount.Updated": 3210,
    "Endpoint.Created": 4000,
    "Endpoint.Updated": 4001,
    "Endpoint.Warned": 4002,
    "Endpoint.Disabled": 4003,
    "Endpoint.Enabled": 4004,
    "Endpoint.Test": 4005,
    "Endpoint.Deleted": 4006,
    "Endpoint.Paused": 4007,
    "Endpoint.Resumed": 4008,
    "Endpoint.SecretRotated": 4009,
    "Delivery.Exhausted": 4010,
    "Delivery.Recovered": 4011,
}
RECORDS = [pytest.param(found, id=found.type) for found in SYSTEM if found.family == "record"]
SECRET_NAMES = {"secret", "token", "password", "pin", "code", "hash", "key", "salt", "privatekey"}
ID = re.compile(r'"([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')


def inner_values(value: object) -> Iterator[object]:
    """List a JSON value and all that it contains."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from inner_values(item)


def nodes(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [value for value in inner_values(schema) if isinstance(value, dict)]


def test_codes_are_what_they_always_were() -> None:
    assert {definition.type: definition.code for definition in SYSTEM} == CODES


def test_codes_are_unique_and_the_platform_s() -> None:
    codes = [definition.code for definition in SYSTEM]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < FIRST_FREE_CODE for code in codes)


def test_failures_are_graded_more_serious_than_the_usual() -> None:
    graded = {definition.type: definition.criticality for definition in SYSTEM}
    failures = {
        "Platform.TechnicalError",
        "Platform.ClockJumped",
        "Delivery.Exhausted",
        "Endpoint.Disabled",
        "Endpoint.Warned",
        "Device.BatteryLow",
        "access_code.failed_to_remove_from_device",
        "access_code.failed_to_set_on_device",
        "access_code.unmanaged.failed_to_convert_to_managed",
        "connected_account.disconnected",
    }
    assert {type_ for type_, criticality in graded.items() if criticality == 2} == failures
    assert min(graded.values()) == 2


@pytest.mark.parametrize("definition", ALL)
def test_both_schemas_are_valid_and_stand_alone(definition: EventDefinition) -> None:
    for schema in (SYSTEM.schema(definition), SYSTEM.wire_schema(definition)):
        assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
        Draft202012Validator.check_schema(schema)
        references = {node["$ref"] for node in nodes(schema) if "$ref" in node}
        assert references == {f"#/$defs/{name}" for name in schema["$defs"]}


@pytest.mark.parametrize("definition", ALL)
def test_every_object_with_named_fields_is_closed(definition: EventDefinition) -> None:
    named = [node for node in SYSTEM.schema(definition)["$defs"].values() if "properties" in node]
    assert [node["title"] for node in named if node["additionalProperties"] is not False] == []
    assert named


@pytest.mark.parametrize("definition", ALL)
def test_nothing_is_a_float(definition: EventDefinition) -> None:
    schema, sample = SYSTEM.schema(definition), sample_of(definition)
    assert "number" not in [node.get("type") for node in nodes(schema)]
    assert [value for value in inner_values([schema, sample]) if isinstance(value, float)] == []


@pytest.mark.parametrize("definition", ALL)
def test_field_named_for_a_secret_is_always_null(definition: EventDefinition) -> None:
    fields = [field for node in SYSTEM.schema(definition)["$defs"].values() for field in node["properties"].items()]
    names = {name.replace("_", "").lower() for name, rule in fields if rule != {"type": "null"}}
    assert names & SECRET_NAMES == set()


def test_no_change_of_a_pin_can_be_told() -> None:
    with pytest.raises(ValueError, match="PIN"):
        ChangedProperty(property="code", from_=None, to="1234")
    assert ChangedProperty(property="code", from_=None, to=None).to is None


@pytest.mark.parametrize("definition", ALL)
def test_ids_in_a_sample_are_of_the_kind_that_the_platform_makes(definition: EventDefinition) -> None:
    ids = [found.replace("-", "") for found in ID.findall(msgspec.json.encode(definition.sample).decode())]
    assert [uid for uid in ids if uid[12] != "7" or uid[16] not in "89ab"] == []


@pytest.mark.parametrize("definition", RECORDS)
def test_wire_schema_of_a_record_describes_its_payload_inside_the_native_record(
    definition: EventDefinition,
) -> None:
    validator = Draft202012Validator(SYSTEM.wire_schema(definition))
    record = {
        "id": "0197b3d1-5275-7d53-84f5-061728394051",
        "seq": 7,
        "type": definition.type,
        "family": "record",
        "eventCode": definition.code,
        "internal": True,
        "payloadContentType": "application/json",
        "payload": sample_of(definition),
    }
    assert validator.is_valid(record)
    assert not validator.is_valid({**record, "payload": {}})
    assert not validator.is_valid({**record, "eventCode": definition.code + 1})
