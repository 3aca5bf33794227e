"""`POST /v1/devices/{uid}/reports`: who may report for which device, what is refused where, and what is answered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.devices import actions as devices
from heliograph.devices.model import Identity, Settings
from heliograph.ids import new_uid
from heliograph.tenancy import access

if TYPE_CHECKING:
    from heliograph.storage.engine import Transaction
    from tests.http.inprocess import Answer, Api

ONLINE = {"session": {"state": "online", "sessionId": "boot-1"}}
NO_DEVICE = (404, "There is no such device.")


class Site:
    """An organization with a key that may report for its devices."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.tenant = api.tenant()
        self.key = api.key(self.tenant, "report device.tenant")
        self.uid, self.token = self.enrol()

    def enrol(self) -> tuple[str, str]:
        """Enrol one more device; return its uid and its own token."""

        def enrol(tx: Transaction) -> tuple[str, str]:
            row = tx.one("select id from tenant where uid = :uid", uid=bytes.fromhex(self.tenant))
            assert row is not None
            identity = Identity(brand="Acme", serial_number=new_uid().hex())
            device, token = devices.create(tx, access.as_system(tx, row[0]), identity, Settings())
            return device.uid.hex(), token.reveal()

        made: tuple[str, str] = self.api.run(enrol)
        return made

    def report(self, body: Any, uid: str | None = None, key: str | None = None) -> Answer:
        """Report for a device, by default the first one and with the organization's key."""
        return self.api.post(f"/v1/devices/{uid or self.uid}/reports", key or self.key, body)

    def refused(self, body: Any, uid: str | None = None, key: str | None = None) -> Answer:
        """Report what must be refused, and check that it left nothing behind."""
        before = self.api.head(self.tenant)
        answer = self.report(body, uid, key)
        assert 400 <= answer.status < 500, answer
        assert self.api.head(self.tenant) == before
        return answer

    def news(self, *types: str) -> list[Any]:
        """Return the records of the given types, oldest first."""
        query = "".join(f"&type=Device.{type}" for type in types)
        return self.api.log(self.tenant, query)


@pytest.fixture
def site(api: Api) -> Site:
    return Site(api)


# -- what is answered -----------------------------------------------------------------------------------------------


def test_empty_report_says_that_the_device_is_alive(site: Site) -> None:
    before = site.api.head(site.tenant)
    answer = site.report({})
    assert answer.status == 200
    body = answer.json()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body.pop("lastSeenAt"))
    assert body == {"connected": False, "ignored": []}
    assert site.api.head(site.tenant) == before


def test_report_answers_the_connection_while_there_is_one(site: Site) -> None:
    online = site.report(ONLINE).json()
    assert online["connected"] is True
    assert site.report({}).json()["connectionUid"] == online["connectionUid"]
    offline = site.report({"session": {"state": "offline"}}).json()
    assert (offline["connected"], "connectionUid" in offline) == (False, False)
    added, deleted = site.news("DeviceConnectionAdded", "DeviceConnectionDeleted")
    assert added["payload"]["connectionUid"] == deleted["payload"]["connectionUid"] == online["connectionUid"]
    assert added["payload"]["serverInstanceUid"] == deleted["payload"]["serverInstanceUid"]


def test_late_parts_are_named_in_the_answer(site: Site) -> None:
    newest = site.report({"reportedAt": "2026-01-02T00:00:00Z", "telemetry": [{"name": "heat", "data": 1}]}).json()
    assert newest["lastSeenAt"] > "2026-01-02T00:01", "it was seen when it reported, not when it says that it did"
    late = site.report(
        {
            "reportedAt": "2026-01-01T00:00:00+00:00",
            "session": {"state": "online"},
            "telemetry": [{"name": "fan", "data": 1}, {"name": "heat", "data": 2}],
        }
    ).json()
    assert late == {
        "connected": False,
        "lastSeenAt": newest["lastSeenAt"],
        "ignored": [
            {"pointer": "/session", "reason": "late_report"},
            {"pointer": "/telemetry/1", "reason": "late_measurement"},
        ],
    }
    fan = site.news("Telemetry.DeviceTelemetryRecordUpdated")[1]
    assert (fan["payload"]["name"], fan["occurredAt"]) == ("fan", "2026-01-01T00:00:00.000000Z")


@pytest.mark.parametrize(
    "data", [None, False, 0, -1.5, 10**30, "", "é\U0001f600", [], {}, {"b": [1, {"a": None}], "a": 2**53}, "x" * 65_534]
)
def test_measurement_is_any_json(site: Site, data: Any) -> None:
    assert site.report({"telemetry": [{"name": "any", "data": data}]}).status == 200
    (record,) = site.news("Telemetry.DeviceTelemetryRecordUpdated")
    assert record["payload"]["data"] == data
    assert type(record["payload"]["data"]) is type(data)


def test_measurement_with_its_names_in_another_order_is_the_same(site: Site) -> None:
    for data in ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}):
        site.report({"telemetry": [{"name": "heat", "data": data}]})
    assert len(site.news("Telemetry.DeviceTelemetryRecordUpdated")) == 1


def test_limit_of_a_low_battery_is_a_setting(site: Site) -> None:
    limit = site.api.settings.low_battery
    for level in ((limit + 1) / 100, limit / 100, 0, 1):
        site.report({"battery": {"level": level, "charging": True}})
    percents = [record["payload"]["percent"] for record in site.news("BatteryLow", "BatteryRecovered")]
    assert percents == [limit, 100]


def test_report_with_everything_at_its_limit_is_taken(site: Site) -> None:
    many = [{"code": f"{n:0100}", "message": "x" * 1000} for n in range(100)]
    telemetry = [{"name": f"{n:0100}", "data": n} for n in range(100)]
    session = {"state": "online", "sessionId": "s" * 255}
    assert site.report({"session": session, "errors": many, "warnings": many, "telemetry": telemetry}).status == 200
    assert len(site.news("Telemetry.DeviceTelemetryRecordUpdated")) == 100


# -- who may report -------------------------------------------------------------------------------------------------


def test_device_reports_for_itself_with_its_own_token(site: Site) -> None:
    assert site.report(ONLINE, key=site.token).status == 200
    (record,) = site.news("DeviceConnectionAdded")
    assert record["actor"] == {"kind": "device", "uid": site.uid}
    assert "originator" not in record["payload"]


def test_device_cannot_report_for_another_one(site: Site) -> None:
    other, _ = site.enrol()
    neighbour, _ = Site(site.api).enrol()
    for uid in (other, neighbour, "0" * 32):
        answer = site.refused(ONLINE, uid, site.token)
        assert (answer.status, answer.json()["detail"]) == NO_DEVICE
    assert site.report({}, other).json()["connected"] is False


def test_device_of_another_organization_does_not_exist(site: Site) -> None:
    neighbour = Site(site.api)
    for uid in (neighbour.uid, "0" * 32):
        answer = site.refused(ONLINE, uid)
        assert (answer.status, answer.json()["detail"]) == NO_DEVICE
    assert neighbour.report({}).json()["connected"] is False


def test_report_needs_its_permission(site: Site) -> None:
    reader = site.api.key(site.tenant, "viewer")
    answer = site.refused({}, key=reader)
    assert answer.status == 403
    assert "report device.tenant" in answer.json()["detail"]


def test_deprovisioned_device_cannot_report(site: Site) -> None:
    def deprovision(tx: Transaction) -> None:
        row = tx.one("select id from tenant where uid = :uid", uid=bytes.fromhex(site.tenant))
        assert row is not None
        devices.deprovision(tx, access.as_system(tx, row[0]), bytes.fromhex(site.uid), None)

    site.report(ONLINE)
    site.api.run(deprovision)
    answer = site.refused({})
    assert (answer.status, answer.json()["detail"]) == (409, "Only an enrolled device can report.")
    assert len(site.news("DeviceConnectionDeleted")) == 1


# -- what is refused ------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "a list": ([], [("", "type")]),
    "an unknown field": ({"sesion": {}}, [("/sesion", "unknown-field")]),
    "unknown fields below": (
        {"session": {"state": "online", "id": 1}, "battery": {"level": 1, "unit": "V"}},
        [("/session/id", "unknown-field"), ("/battery/unit", "unknown-field")],
    ),
    "a time that is none": ({"reportedAt": "yesterday"}, [("/reportedAt", "time")]),
    "a time without offset": ({"reportedAt": "2026-01-01T00:00:00"}, [("/reportedAt", "time")]),
    "a time as a number": ({"reportedAt": 1}, [("/reportedAt", "type")]),
    "a session of another state": ({"session": {"state": "away"}}, [("/session/state", "enum")]),
    "a session without state": ({"session": {}}, [("/session/state", "required")]),
    "an empty session id": ({"session": {"state": "online", "sessionId": ""}}, [("/session/sessionId", "minLength")]),
    "a session id with NUL": (
        {"session": {"state": "online", "sessionId": "a\0"}}, [("/session/sessionId", "pattern")],
    ),
    "a session id that is too long": (
        {"session": {"state": "online", "sessionId": "a" * 256}}, [("/session/sessionId", "maxLength")],
    ),
    "a battery beyond full": ({"battery": {"level": 1.01}}, [("/battery/level", "maximum")]),
    "a battery below empty": ({"battery": {"level": -0.01}}, [("/battery/level", "minimum")]),
    "a battery in words": ({"battery": {"level": "half"}}, [("/battery/level", "type")]),
    "a battery without level": ({"battery": {"charging": True}}, [("/battery/level", "required")]),
    "charging by a number": ({"battery": {"level": 1, "charging": 1}}, [("/battery/charging", "type")]),
    "telemetry without data": ({"telemetry": [{"name": "a"}]}, [("/telemetry/0/data", "required")]),
    "telemetry without name": ({"telemetry": [{"data": 1}]}, [("/telemetry/0/name", "required")]),
    "telemetry with an empty name": ({"telemetry": [{"name": "", "data": 1}]}, [("/telemetry/0/name", "minLength")]),
    "telemetry with a long name": (
        {"telemetry": [{"name": "a" * 101, "data": 1}]}, [("/telemetry/0/name", "maxLength")],
    ),
    "telemetry with a name of two lines": (
        {"telemetry": [{"name": "a\n", "data": 1}]}, [("/telemetry/0/name", "pattern")],
    ),
    "too much telemetry": (
        {"telemetry": [{"name": str(n), "data": n} for n in range(101)]}, [("/telemetry", "maxItems")],
    ),
    "telemetry and codes twice, and data too long": (
        {
            "telemetry": [{"name": "a", "data": 1}, {"name": "b", "data": "x" * 65_535}, {"name": "a", "data": 2}],
            "errors": [{"code": "c", "message": ""}, {"code": "c", "message": ""}],
            "warnings": [{"code": "c", "message": ""}, {"code": "d", "message": ""}, {"code": "d", "message": ""}],
        },
        [
            ("/telemetry/1/data", "max-length"), ("/telemetry/2/name", "unique"),
            ("/errors/1/code", "unique"), ("/warnings/2/code", "unique"),
        ],
    ),
    "an error without message": ({"errors": [{"code": "a"}]}, [("/errors/0/message", "required")]),
    "a warning with a long message": (
        {"warnings": [{"code": "a", "message": "x" * 1001}]}, [("/warnings/0/message", "maxLength")],
    ),
    "too many errors": (
        {"errors": [{"code": str(n), "message": ""} for n in range(101)]}, [("/errors", "maxItems")],
    ),
    "errors that are no list": ({"errors": "none"}, [("/errors", "type")]),
}  # fmt: skip


@pytest.mark.parametrize(("body", "faults"), BAD.values(), ids=BAD)
def test_bad_report_is_refused_whole_and_its_faults_are_named(
    site: Site, body: Any, faults: list[tuple[str, str]]
) -> None:
    answer = site.refused({**ONLINE, **body} if isinstance(body, dict) else body)
    assert answer.status == 400
    assert sorted(answer.faults()) == sorted(faults)
    assert site.report({}).json()["connected"] is False


def test_uid_that_is_none_is_refused(site: Site) -> None:
    answer = site.refused({}, "4711")
    assert (answer.status, answer.faults()) == (400, [("path/uid", "uid")])


def test_number_that_cannot_be_kept_is_refused(site: Site) -> None:
    body = b'{"telemetry":[{"name":"n","data":1e400}]}'
    target = f"/v1/devices/{site.uid}/reports"
    answer = site.api.request("POST", target, site.key, body, [("content-type", "application/json")])
    assert (answer.status, answer.faults()) == (400, [("", "number-range")])
    assert site.news("Telemetry.DeviceTelemetryRecordUpdated") == []
