"""What devices say of themselves, on both databases: what is known afterwards, and exactly what is put on record."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.devices.model import Device, Identity, Presence, Settings
from heliograph.errors import Conflict
from heliograph.ids import new_uid
from heliograph.presence import actions, events, model
from heliograph.presence.model import (
    Applied,
    BatteryReport,
    Complaint,
    Ignored,
    Measurement,
    Options,
    Report,
    SessionReport,
)
from heliograph.times import print_time
from tests.conformance.stores import START_OF_TIME, open_logs, whole_log

if TYPE_CHECKING:
    from heliograph.eventlog.model import Event
    from heliograph.storage.engine import Engine, Transaction
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope
    from tests.conformance.stores import HandClock

SECOND = 1_000_000
MINUTE = 60 * SECOND
INSTANCE = "0197a1cf05b27d1e9c7d8e9fa0b1c2d3"
COMPANY = "0197a1c2d3e07b119a2b3c4d5e6f7081"
OPTIONS = Options(INSTANCE, 20)

ONLINE, OFFLINE = SessionReport("online"), SessionReport("offline")
ADDED, DELETED = "DeviceConnectionAdded", "DeviceConnectionDeleted"
LOW, RECOVERED, CHANGED = "BatteryLow", "BatteryRecovered", "ConditionsChanged"
MEASURED = "DeviceTelemetryRecordUpdated"
DEFINITIONS = {definition.type: definition for definition in events.EVENTS}


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


class Bench:
    """An organization with devices that report, and a reader of its log."""

    def __init__(self, store: Store, time: HandClock) -> None:
        self.store = store
        self.time = time
        self.scope: Scope = msgspec.structs.replace(open_logs(store)[0], parent_uid=COMPANY)
        self.device = self.enrolled()
        self._read = 0

    def enrolled(self, state: Any = "enrolled") -> Device:
        """Return one more device."""
        identity = Identity(brand="Acme", serial_number=new_uid().hex())
        return Device(uid=new_uid(), state=state, identity=identity, settings=Settings(), created_at=0, updated_at=0)

    def report(self, *, device: Device | None = None, options: Options = OPTIONS, **parts: Any) -> Applied:
        """Let a device report."""
        act = partial(
            actions.apply, scope=self.scope, device=device or self.device, report=Report(**parts), options=options
        )
        return self.store.execute(act, [self.scope.tenant_id])

    def news(self) -> list[Event]:
        """Return the events since last asked."""
        everything = whole_log(self.store, self.scope)
        news = everything[self._read :]
        self._read = len(everything)
        return news

    def told(self) -> list[str]:
        """Return the last words of the types of the events since last asked."""
        return [str(event.envelope.type).rsplit(".", 1)[1] for event in self.news()]

    def bodies(self) -> list[dict[str, Any]]:
        """Return the payloads of the events since last asked, each held against its catalogued shape."""
        return [body_of(event) for event in self.news()]


def body_of(event: Event) -> dict[str, Any]:
    assert event.payload is not None
    definition = DEFINITIONS[str(event.envelope.type)]
    msgspec.json.decode(event.payload, type=definition.struct)
    return dict(msgspec.json.decode(event.payload))


@pytest.fixture
def bench(store: Store, time: HandClock) -> Bench:
    return Bench(store, time)


def battery(percent: int, charging: bool | None = None) -> BatteryReport:
    return BatteryReport(percent, charging)


def measured(**data: str) -> tuple[Measurement, ...]:
    return tuple(Measurement(name, text.encode()) for name, text in data.items())


def complaints(*codes: str) -> tuple[Complaint, ...]:
    return tuple(Complaint(code, f"It is {code}.") for code in codes)


SEQUENCES: dict[str, list[tuple[dict[str, Any], list[str]]]] = {
    "a report that says nothing": [({}, []), ({}, [])],
    "online without a name, again and again": [({"session": ONLINE}, [ADDED]), ({"session": ONLINE}, [])],
    "the same session": [({"session": SessionReport("online", "a")}, [ADDED])]
    + [({"session": SessionReport("online", name)}, []) for name in ("a", None)],
    "another session": [
        ({"session": SessionReport("online", "a")}, [ADDED]),
        ({"session": SessionReport("online", "b")}, [DELETED, ADDED]),
        ({"session": SessionReport("offline", "a")}, []),
        ({"session": SessionReport("offline", "b")}, [DELETED]),
        ({"session": SessionReport("offline", "b")}, []),
    ],
    "offline without ever having been online": [({"session": OFFLINE}, [])],
    "a named session after one without a name": [
        ({"session": ONLINE}, [ADDED]),
        ({"session": SessionReport("online", "a")}, [DELETED, ADDED]),
    ],
    "online, offline, online": [
        ({"session": ONLINE}, [ADDED]), ({"session": OFFLINE}, [DELETED]), ({"session": ONLINE}, [ADDED]),
    ],
    "a battery that runs down and wavers": [
        ({"battery": battery(21)}, []), ({"battery": battery(20)}, [LOW]), ({"battery": battery(19)}, []),
        ({"battery": battery(29)}, []), ({"battery": battery(20)}, []), ({"battery": battery(30)}, [RECOVERED]),
        ({"battery": battery(30)}, []), ({"battery": battery(0, charging=True)}, [LOW]),
        ({"battery": battery(5, charging=True)}, []), ({"battery": battery(100)}, [RECOVERED]),
    ],
    "telemetry": [
        ({"telemetry": measured(heat="41", fan="null")}, [MEASURED, MEASURED]),
        ({"telemetry": measured(heat="41", fan="null")}, []),
        ({"telemetry": measured(heat="41", fan="0")}, [MEASURED]),
        ({"telemetry": measured(heat="41.5")}, [MEASURED]),
        ({"telemetry": measured(heat="41")}, [MEASURED]),
    ],
    "errors and warnings": [
        ({"errors": complaints("dark"), "warnings": complaints("hot", "full")}, [CHANGED]),
        ({"warnings": complaints("full", "hot")}, []),
        ({"errors": complaints("dark")}, []),
        ({"errors": (), "warnings": complaints("hot")}, [CHANGED]),
        ({"errors": ()}, []),
        ({"warnings": ()}, [CHANGED]),
    ],
    "everything at once": [
        (
            {"telemetry": measured(heat="1"), "errors": complaints("dark"), "battery": battery(1), "session": ONLINE},
            [ADDED, LOW, CHANGED, MEASURED],
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_reports_put_on_record_what_they_change_and_no_more(
    bench: Bench, sequence: list[tuple[dict[str, Any], list[str]]]
) -> None:
    for parts, expected in sequence:
        bench.time.wall += SECOND
        applied = bench.report(**parts)
        assert bench.told() == expected
        assert applied.presence.last_seen_at == bench.time.wall


# -- bodies ---------------------------------------------------------------------------------------------------------


def test_domain_events_name_the_owner_the_device_and_nobody_who_acted(bench: Bench) -> None:
    at = START_OF_TIME - 7 * SECOND
    presence = bench.report(session=ONLINE, telemetry=measured(heat='{"celsius":41.5}'), reported_at=at).presence
    bench.report(session=OFFLINE)
    assert presence.connection_uid is not None
    assert presence.connected_at == at
    device = bench.device.uid.hex()
    shared = {
        "owner": {
            "ownershipType": "organization",
            "organizationUid": bench.scope.tenant_uid,
            "parentCompanyUid": COMPANY,
        },
        "deviceUid": device,
        "deviceIdentityHash": device,
    }
    connection = {"connectionUid": presence.connection_uid.hex(), "serverInstanceUid": INSTANCE}
    added, heat, deleted = bench.news()
    assert body_of(added) == {**shared, "type": "Device.DeviceConnectionAdded", **connection}
    assert body_of(deleted) == {**shared, "type": "Device.DeviceConnectionDeleted", **connection}
    assert body_of(heat) == {
        **shared,
        "type": "Device.Telemetry.DeviceTelemetryRecordUpdated",
        "name": "heat",
        "data": {"celsius": 41.5},
    }
    envelopes = [event.envelope for event in (added, heat, deleted)]
    assert [envelope.kind for envelope in envelopes] == ["domain", "telemetry", "domain"]
    assert [envelope.event_code for envelope in envelopes] == [2120, 2130, 2121]
    assert [envelope.occurred_at for envelope in envelopes] == [at, at, None]
    assert {(envelope.target_entity_type, envelope.target_entity_id) for envelope in envelopes} == {("Device", device)}


def test_connection_that_ends_names_the_process_that_took_it_up(bench: Bench) -> None:
    bench.report(session=ONLINE)
    bench.report(session=SessionReport("online", "b"), options=Options("ab" * 16, 20))
    bench.report(session=OFFLINE, options=Options("cd" * 16, 20))
    assert [body["serverInstanceUid"] for body in bench.bodies()] == [INSTANCE, INSTANCE, "ab" * 16, "ab" * 16]


def test_battery_events_tell_level_and_charging(bench: Bench) -> None:
    for report in (battery(9, charging=False), battery(70, charging=True), battery(8)):
        bench.report(battery=report)
    device = bench.device.uid.hex()
    events_ = bench.news()
    assert [body_of(event) for event in events_] == [
        {"uid": device, "percent": 9, "charging": False},
        {"uid": device, "percent": 70, "charging": True},
        {"uid": device, "percent": 8},
    ]
    assert [(event.envelope.event_code, event.envelope.criticality) for event in events_] == [
        (2003, 2), (2004, 5), (2003, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("limit", "recovered"), [(0, 10), (20, 30), (90, 100), (95, 100)])
def test_battery_is_low_and_recovers_at_the_limits_set(bench: Bench, limit: int, recovered: int) -> None:
    options = Options(INSTANCE, limit)
    for percent, expected in (
        (limit + 1, []), (limit, [LOW]), (recovered - 1, []), (recovered, [RECOVERED]),
    ):  # fmt: skip
        bench.report(battery=battery(percent), options=options)
        assert bench.told() == expected


def test_changed_conditions_name_what_came_and_what_went(bench: Bench) -> None:
    bench.report(errors=complaints("dark", "mute"))
    bench.report(errors=complaints("mute", "loose"), warnings=complaints("hot"))
    device = bench.device.uid.hex()
    assert bench.bodies() == [
        {"uid": device, "errors": {"added": ["dark", "mute"], "removed": []}},
        {
            "uid": device,
            "errors": {"added": ["loose"], "removed": ["dark"]},
            "warnings": {"added": ["hot"], "removed": []},
        },
    ]


def test_condition_keeps_the_time_at_which_it_began(bench: Bench) -> None:
    bench.report(errors=complaints("dark"))
    bench.time.wall += MINUTE
    presence = bench.report(errors=(Complaint("dark", "Darker still."), *complaints("mute"))).presence
    assert [(error.code, error.message, error.created_at) for error in presence.errors] == [
        ("dark", "Darker still.", print_time(START_OF_TIME)),
        ("mute", "It is mute.", print_time(START_OF_TIME + MINUTE)),
    ]


def test_low_battery_stays_a_warning_whatever_the_device_reports(bench: Bench) -> None:
    bench.report(battery=battery(10), warnings=complaints("hot"))
    assert bench.told() == [LOW, CHANGED]
    applied = bench.report(warnings=complaints("cold", "battery_low"))
    assert applied.ignored == (Ignored("/warnings/1", "reserved_code"),)
    assert [warning.code for warning in applied.presence.warnings] == ["battery_low", "cold"]
    assert bench.report(warnings=()).presence.warnings[0].message == "The battery is down to 10 percent."
    presence = bench.report(battery=battery(30)).presence
    assert presence.warnings == ()
    assert bench.report(warnings=complaints("battery_low")).presence.warnings == ()


# -- time -----------------------------------------------------------------------------------------------------------


def test_late_report_changes_nothing_that_something_newer_has_told(bench: Bench) -> None:
    seen = bench.report(
        session=ONLINE, battery=battery(50), telemetry=measured(heat="1"), errors=complaints("dark")
    ).presence
    bench.news()
    applied = bench.report(
        reported_at=START_OF_TIME - 1,
        session=OFFLINE,
        battery=battery(5),
        telemetry=measured(heat="2", fan="3"),
        errors=(),
        warnings=complaints("hot"),
    )
    parts = ("/session", "/battery", "/errors", "/warnings")
    late = tuple(Ignored(part, "late_report") for part in parts)
    assert applied.ignored == (*late, Ignored("/telemetry/0", "late_measurement"))
    assert applied.presence == seen
    (fan,) = bench.news()
    assert (body_of(fan)["name"], fan.envelope.occurred_at) == ("fan", START_OF_TIME - 1)


def test_measurement_is_judged_by_the_time_of_the_one_under_its_name(bench: Bench) -> None:
    bench.report(telemetry=measured(heat="1"), reported_at=START_OF_TIME - 10)
    bench.report()
    for at, reasons in ((-11, ["late_measurement"]), (-10, []), (-5, []), (-6, ["late_measurement"])):
        applied = bench.report(telemetry=measured(heat=str(at)), reported_at=START_OF_TIME + at)
        assert [part.reason for part in applied.ignored] == reasons
    assert [body["data"] for body in bench.bodies()] == [1, -10, -5]


def test_equal_measurement_still_counts_as_the_newest(bench: Bench) -> None:
    for at in (-10, -5):
        bench.report(telemetry=measured(heat="1"), reported_at=START_OF_TIME + at)
    bench.report()
    assert bench.report(telemetry=measured(heat="2"), reported_at=START_OF_TIME - 7).ignored
    assert bench.told() == [MEASURED]


def test_report_at_the_very_time_of_the_last_one_is_not_late(bench: Bench) -> None:
    bench.report(session=ONLINE, reported_at=START_OF_TIME)
    assert bench.report(session=OFFLINE, reported_at=START_OF_TIME).ignored == ()
    assert bench.told() == [ADDED, DELETED]


def test_time_more_than_five_minutes_ahead_is_replaced_by_ours(bench: Bench) -> None:
    believed = bench.report(reported_at=START_OF_TIME + 5 * MINUTE)
    assert believed.ignored == ()
    assert bench.report(reported_at=START_OF_TIME + 5 * MINUTE - 1, session=ONLINE).ignored, "it is late beside that"
    other = bench.enrolled()
    applied = bench.report(device=other, session=ONLINE, reported_at=START_OF_TIME + 5 * MINUTE + 1)
    assert applied.ignored == (Ignored("/reportedAt", "ahead_of_time"),)
    assert bench.report(device=other, session=OFFLINE, reported_at=START_OF_TIME).ignored == (), "it counted as now"
    assert [event.envelope.occurred_at for event in bench.news()] == [None, START_OF_TIME]


def test_report_without_a_time_is_never_late(bench: Bench) -> None:
    bench.report(session=ONLINE, telemetry=measured(heat="1"), reported_at=START_OF_TIME + MINUTE)
    assert bench.report(session=OFFLINE, telemetry=measured(heat="2")).ignored == ()
    assert bench.told() == [ADDED, MEASURED, DELETED, MEASURED]


def test_end_of_another_session_is_ignored(bench: Bench) -> None:
    bench.report(session=SessionReport("online", "b"))
    applied = bench.report(session=SessionReport("offline", "a"))
    assert applied.ignored == (Ignored("/session", "other_session"),)
    assert applied.presence.session == "b"


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "deprovisioned"])
def test_device_that_is_not_enrolled_cannot_report(bench: Bench, state: str) -> None:
    with pytest.raises(Conflict):
        bench.report(device=bench.enrolled(state), session=ONLINE)
    assert bench.told() == []


def test_refused_report_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "MOST_MEASUREMENTS", 2)
    bench.report(telemetry=measured(a="1", b="1"))
    with pytest.raises(Conflict):
        bench.report(session=ONLINE, telemetry=measured(a="2", c="1"))
    assert bench.report(telemetry=measured(a="1", b="2")).presence.connection_uid is None
    assert [(body["name"], body["data"]) for body in bench.bodies()] == [("a", 1), ("b", 1), ("b", 2)]


# -- silence and leaving --------------------------------------------------------------------------------------------


def test_silent_devices_go_offline_in_chunks_the_longest_silent_first(bench: Bench) -> None:
    devices = [bench.enrolled() for _ in range(5)]
    for device in reversed(devices):
        bench.report(device=device, session=ONLINE)
        bench.time.wall += SECOND
    bench.report(device=devices[1])
    bench.report(device=bench.device)
    connected = {body["deviceUid"]: body["connectionUid"] for body in bench.bodies()}
    before = START_OF_TIME + 4 * SECOND
    silent = [devices[number].uid.hex() for number in (4, 3, 2)]
    ended: list[dict[str, Any]] = []
    for more, chunk in ((True, silent[:2]), (False, silent[2:]), (False, [])):
        step = partial(actions.end_silent, scope=bench.scope, before=before, limit=2)
        assert bench.store.execute(step, [bench.scope.tenant_id]) is more
        bodies = bench.bodies()
        assert [body["deviceUid"] for body in bodies] == chunk
        ended += bodies
    assert all(body["type"] == "Device.DeviceConnectionDeleted" for body in ended)
    assert {body["deviceUid"]: body["connectionUid"] for body in ended} == {uid: connected[uid] for uid in silent}


def test_silent_device_comes_online_again_with_a_new_connection(bench: Bench) -> None:
    first = bench.report(session=SessionReport("online", "a"), battery=battery(50)).presence
    step = partial(actions.end_silent, scope=bench.scope, before=START_OF_TIME + 1, limit=10)
    bench.store.execute(step, [bench.scope.tenant_id])
    silent = bench.report().presence
    assert (silent.connection_uid, silent.session, silent.battery_level) == (None, None, 50)
    second = bench.report(session=SessionReport("online", "a")).presence
    assert bench.told() == [ADDED, DELETED, ADDED]
    assert second.connection_uid not in (None, first.connection_uid)


@pytest.mark.parametrize("wrong", [-400 * SECOND, -86_400 * SECOND, 4 * MINUTE])
def test_silence_is_measured_by_our_clock_however_wrong_the_device_s_is(bench: Bench, wrong: int) -> None:
    for _ in range(3):
        bench.time.wall += MINUTE
        applied = bench.report(session=ONLINE, reported_at=bench.time.wall + wrong)
        assert (applied.ignored, applied.presence.last_seen_at) == ((), bench.time.wall)
        _end_silence_of(bench, 5 * MINUTE)
    assert bench.told() == [ADDED]
    bench.time.wall += 5 * MINUTE + 1
    _end_silence_of(bench, 5 * MINUTE)
    assert bench.told() == [DELETED]


def _end_silence_of(bench: Bench, silence: int) -> None:
    step = partial(actions.end_silent, scope=bench.scope, before=bench.time.wall - silence, limit=10)
    bench.store.execute(step, [bench.scope.tenant_id])


def test_late_report_is_no_sign_of_life(bench: Bench) -> None:
    bench.report(session=ONLINE)
    bench.time.wall += MINUTE
    assert bench.report(reported_at=START_OF_TIME - 1).presence.last_seen_at == START_OF_TIME


def test_silence_of_another_organization_is_left_alone(bench: Bench, store: Store, time: HandClock) -> None:
    neighbour = Bench(store, time)
    neighbour.report(session=ONLINE)
    step = partial(actions.end_silent, scope=bench.scope, before=START_OF_TIME + 1, limit=10)
    assert bench.store.execute(step, [bench.scope.tenant_id]) is False
    assert neighbour.told() == [ADDED]


def test_device_that_leaves_goes_offline_once_and_can_be_forgotten(bench: Bench) -> None:
    bench.report(session=ONLINE, telemetry=measured(heat="1"))
    for _ in range(2):
        end = partial(actions.end_connection, scope=bench.scope, device=bench.device)
        bench.store.execute(end, [bench.scope.tenant_id])
    assert bench.told() == [ADDED, MEASURED, DELETED]
    forget = partial(actions.forget, scope=bench.scope, device_uid=bench.device.uid)
    bench.store.execute(forget, [bench.scope.tenant_id])
    again = bench.report(reported_at=START_OF_TIME - MINUTE, telemetry=measured(heat="1"))
    assert again == Applied(Presence(last_seen_at=START_OF_TIME), ())
    assert bench.told() == [MEASURED]


def test_all_that_a_device_has_said_is_forgotten_in_one_small_transaction(bench: Bench) -> None:
    names = [f"n{number}" for number in range(model.MOST_MEASUREMENTS)]
    bench.report(session=ONLINE, telemetry=measured(**dict.fromkeys(names, "1")))
    with pytest.raises(Conflict):
        bench.report(telemetry=measured(more="1"))

    def forget(tx: Transaction) -> int:
        rows = 0
        run = type(tx).run

        class Counted:
            def run(self, sql: str, **values: Any) -> int:
                nonlocal rows
                changed = run(tx, sql, **values)
                rows += changed
                return changed

        actions.forget(cast("Transaction", Counted()), bench.scope, bench.device.uid)
        return rows

    assert bench.store.execute(forget, [bench.scope.tenant_id]) == len(names) + 1 <= 500


# -- whatever is reported -------------------------------------------------------------------------------------------

SESSIONS = st.builds(SessionReport, st.sampled_from(("online", "offline")), st.sampled_from((None, "a", "b")))
MOMENTS = st.sampled_from((None, -MINUTE, -SECOND, 0, SECOND, 4 * MINUTE, 6 * MINUTE))
HAPPENINGS = st.lists(
    st.tuples(st.just("report"), st.none() | SESSIONS, MOMENTS, st.integers(0, 90)) | st.just(("silence",)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happenings=HAPPENINGS)
def test_connections_are_added_and_deleted_in_turn_whatever_is_reported(
    store: Store, time: HandClock, happenings: list[tuple[Any, ...]]
) -> None:
    bench = Bench(store, time)
    open_now: list[str] = []
    last_seen = 0
    for number, happening in enumerate(happenings):
        if happening[0] == "silence":
            step = partial(actions.end_silent, scope=bench.scope, before=time.wall - 30 * SECOND, limit=1)
            bench.store.execute(step, [bench.scope.tenant_id])
            presence = None
        else:
            _, session, offset, waited = happening
            time.wall += waited * SECOND
            at = None if offset is None else time.wall + offset
            presence = bench.report(session=session, reported_at=at, telemetry=measured(n=str(number))).presence
            assert presence.last_seen_at >= last_seen
            last_seen = presence.last_seen_at
        for body in bench.bodies():
            if body["type"].endswith(ADDED):
                assert open_now == []
                open_now.append(body["connectionUid"])
            elif body["type"].endswith(DELETED):
                assert body["connectionUid"] == open_now.pop()
        if presence is not None:
            assert open_now == ([] if presence.connection_uid is None else [presence.connection_uid.hex()])
