"""`/seam/events`: the log's flat events by Seam's parameters, byte for byte."""

from __future__ import annotations

import gc
import re
import weakref
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from heliograph.dialects.seam import events as dialect
from heliograph.eventlog.bodies import Bodies, list_cached
from tests.dialects.house import SINCE, House, faults, hyphenated, seam
from tests.http.inprocess import Api

UNMANAGED = "access_code.unmanaged.created"
NOBODY = "00000000-0000-0000-0000-000000000000"


def ids(records: list[Any]) -> list[str]:
    return [record["id"] for record in records]


def print_micro(microseconds_later: int, moment: str) -> str:
    """Return a time of the native API, moved by microseconds within its second."""
    head, fraction = moment.rstrip("Z").split(".")
    return f"{head}.{int(fraction) + microseconds_later:06d}Z"


def test_events_are_listed_oldest_first_byte_for_byte_as_they_were_stored(house: House) -> None:
    records = house.log()
    assert {record["type"] for record in records} == {UNMANAGED, "connected_account.connected"}
    answer = house.get("/events/list", since=SINCE)
    bodies = [record["payload"] for record in records]
    assert answer.json()["events"] == bodies
    for record in records:
        wire = house.api.get(f"/v1/events/{record['id']}?format=wire", house.key).body
        assert wire in answer.body
    assert answer.json().keys() == {"events", "pagination", "ok"}


def test_only_events_of_the_platform_with_seams_shape_are_shown(house: House) -> None:
    before = house.events()
    theirs = house.publish(eventCode=10001, type="door.opened", targetEntityType="Device",
                           targetEntityId=house.locks[0].replace("-", ""))  # fmt: skip
    assert house.events() == before
    for asked in (
        {"event_ids": [theirs]},
        {"event_type": "door.opened"},
        {"event_types": ["door.opened", "Device.Added"]},
    ):
        assert house.events(**asked) == []
    assert house.get("/events/get", event_id=theirs).json()["error"]["type"] == "event_not_found"
    assert house.get("/events/get", event_type="door.opened").status == 404


# -- time -----------------------------------------------------------------------------------------------------------


def test_since_excludes_its_own_microsecond(house: House) -> None:
    records = house.log()
    for number, record in enumerate(records):
        assert house.events(since=record["recordedAt"]) == ids(records[number + 1 :])
        before = print_micro(-1, record["recordedAt"])
        assert house.events(since=before)[:1] == [record["id"]]


def test_interval_is_paged_to_its_end(house: House) -> None:
    records = house.log()
    assert len(records) > 2
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = house.post("/events/list", between=[SINCE, "2100-01-01T00:00:00Z"], limit=1, **cursor).json()
        found += [event["event_id"] for event in answer["events"]]
        if not answer["pagination"]["has_next_page"]:
            break
        cursor = {"page_cursor": answer["pagination"]["next_page_cursor"]}
    assert found == ids(records)


def test_between_excludes_both_ends(house: House) -> None:
    records = house.log()
    first, last = records[0]["recordedAt"], records[-1]["recordedAt"]
    assert house.events(between=[first, last]) == ids(records[1:-1])
    assert house.events(between=[print_micro(-1, first), print_micro(1, last)]) == ids(records)
    assert house.events(between=[first, first]) == []


def test_poller_that_goes_on_from_the_printed_time_misses_nothing(house: House) -> None:
    records = house.log()
    for record, following in pairwise(records):
        printed = record["payload"]["created_at"]
        assert re.fullmatch(r".*\.\d{3}Z", printed)
        assert following["id"] in house.events(since=printed)


def test_since_in_the_future_finds_nothing(house: House) -> None:
    assert house.events(since="2200-01-01T00:00:00Z") == []


def test_plus_of_an_offset_need_not_be_escaped(house: House) -> None:
    answer = house.api.get("/seam/events/list?since=2020-01-01T00:00:00+01:00", house.key)
    assert [event["event_id"] for event in answer.json()["events"]] == house.events()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "Must specify either since or between"),
        ({"limit": 5}, "Must specify either since or between"),
        ({"since": SINCE, "between": [SINCE, SINCE]}, "Cannot specify both since and between"),
    ],
)
def test_exactly_one_range_is_needed(house: House, parameters: dict[str, Any], message: str) -> None:
    for ask in (house.get, house.post):
        answer = ask("/events/list", **parameters)
        assert answer.status == 400
        assert answer.json()["error"]["message"] == message
        assert faults(answer) == {"_errors": [message]}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-02-30T00:00:00Z"}, "since"),
        ({"between": [SINCE]}, "between"),
        ({"between": [SINCE, SINCE, SINCE]}, "between"),
        ({"between": [SINCE, "x"]}, "between"),
        # As texts they would be in order.
        ({"between": ["2026-01-01T00:00:00-05:00", "2026-01-01T01:00:00+05:00"]}, "between"),
    ],
)
def test_range_that_cannot_be_is_told_by_its_parameter(house: House, parameters: dict[str, Any], name: str) -> None:
    for ask in (house.get, house.post):
        answer = ask("/events/list", **parameters)
        assert (answer.status, faults(answer).keys() - {"_errors"}) == (400, {name})


# -- filters --------------------------------------------------------------------------------------------------------


def expected(house: House, **wanted: Any) -> list[str]:
    """Return the ids of events whose bodies have these values, which are sets."""
    bodies = [record["payload"] for record in house.log()]
    return [body["event_id"] for body in bodies if all(body.get(name) in accepted for name, accepted in wanted.items())]


def test_each_filter_lets_through_what_its_name_says(house: House) -> None:
    lock, other = house.locks
    code, second = house.codes["4711"], house.codes["4713"]
    found: dict[str, tuple[Any, set[str]]] = {
        "device_id": (lock, {lock}),
        "device_ids": ([lock, other], {lock, other}),
        "access_code_id": (code, {code}),
        "access_code_ids": ([code, second, NOBODY], {code, second}),
        "connected_account_id": (house.account, {house.account}),
        "event_type": (UNMANAGED, {UNMANAGED}),
        "event_types": ([UNMANAGED, "connected_account.connected"], {UNMANAGED, "connected_account.connected"}),
        "event_ids": (house.events()[1:3], set(house.events()[1:3])),
    }
    for name, (asked, accepted) in found.items():
        listed = house.events(**{name: asked})
        assert listed == expected(house, **{re.sub("s$", "", name): accepted}), name
        assert listed, name
        # Ids may be written without hyphens too.
        if "type" not in name:
            bare = [id.replace("-", "") for id in asked] if isinstance(asked, list) else asked.replace("-", "")
            assert house.events(**{name: bare}) == listed


def test_every_filter_is_covered_here_or_by_the_tests_of_pages_and_time() -> None:
    assert set(dialect.ListEvents.__struct_fields__) == {
        "since", "between", "page_cursor", "limit", "unstable_offset", "device_id", "device_ids", "access_code_id",
        "access_code_ids", "connected_account_id", "event_type", "event_types", "event_ids",
    }  # fmt: skip


def test_filters_are_all_to_be_met(house: House) -> None:
    lock, other = house.locks
    code = house.codes["4711"]
    assert house.events(device_id=lock, access_code_id=code) == expected(house, access_code_id={code})
    assert house.events(device_id=other, access_code_id=code) == []
    assert house.events(device_id=lock, device_ids=[lock, other]) == expected(house, device_id={lock})
    assert house.events(device_id=lock, device_ids=[other]) == []
    assert house.events(event_type=UNMANAGED, event_types=["connected_account.connected"]) == []
    assert house.events(device_id=lock, connected_account_id=house.account, event_type=UNMANAGED) == expected(
        house, device_id={lock}, event_type={UNMANAGED}
    )
    first, *_ = house.events(access_code_id=code)
    assert house.events(event_ids=[first, NOBODY], device_id=lock) == [first]
    assert house.events(event_ids=[first], device_id=other) == []


def test_id_of_another_kind_of_thing_finds_nothing(house: House) -> None:
    lock, code = house.locks[0], house.codes["4711"]
    assert house.events(device_id=code) == []
    assert house.events(access_code_id=lock) == []
    assert house.events(connected_account_id=lock) == []


def test_filters_find_the_same_behind_the_index_as_in_it(house: House) -> None:
    """What was just recorded is not yet in the filter index, and found all the same."""
    house.report(house.locks[1], "4713", "9999")
    code = house.codes["9999"]
    assert house.events(access_code_id=code, device_id=house.locks[1]) == expected(house, access_code_id={code})


def test_filter_may_name_a_hundred_things_and_no_more(house: House) -> None:
    many = [f"00000000-0000-0000-0000-{number:012}" for number in range(99)]
    code = house.codes["4711"]
    names = ("device_ids", "access_code_ids", "event_ids")
    assert house.events(access_code_ids=[*many, code]) == expected(house, access_code_id={code})
    assert house.events(**{name: [*many, code] for name in names}) == []
    for name in names:
        answer = house.post("/events/list", since=SINCE, **{name: [*many, code, NOBODY]})
        assert faults(answer)[name] == ["Expected an array of length <= 100."]


# -- pages ----------------------------------------------------------------------------------------------------------


def test_limit_and_offset_cut_a_piece(house: House) -> None:
    every = house.events()
    assert len(every) >= 4
    assert house.events(limit=2) == every[:2]
    assert house.events(limit=2.0) == every[:2]
    assert house.events(limit=2, unstable_offset=1) == every[1:3]
    assert house.events(unstable_offset=len(every)) == []
    assert house.events(limit=10_000) == every


class _Traceable:
    """Stands for the payload of an event that nobody is shown."""


def test_skipped_events_are_not_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    every = house.events()
    alive: list[weakref.ref[_Traceable]] = []
    most = 0

    def traced(*args: Any, **named: Any) -> Bodies:
        nonlocal most
        gc.collect()
        most = max(most, sum(one() is not None for one in alive))
        page = list_cached(*args, **named)
        if len(alive) == len(every) - 1:
            return page
        payloads = [_Traceable() for _ in page.payloads]
        alive.extend(weakref.ref(one) for one in payloads)
        return msgspec.structs.replace(page, payloads=tuple(payloads))

    monkeypatch.setattr(dialect, "EVENTS_AT_ONCE", 1)
    monkeypatch.setattr(dialect, "list_cached", traced)
    answer = house.get("/events/list", since=SINCE, unstable_offset=len(every) - 1)
    assert [event["event_id"] for event in answer.json()["events"]] == every[-1:]
    assert len(alive) == len(every) - 1 > 2
    assert most <= 1, "one page at a time"


@pytest.mark.parametrize("asked", [{"limit": 4}, {"limit": 1, "unstable_offset": 3}])
def test_one_long_list_is_gathered_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch, asked: dict[str, int]
) -> None:
    held = []

    def noted(*args: Any, **named: Any) -> Bodies:
        held.append(house.api.edge.services.large_work.locked())
        return list_cached(*args, **named)

    monkeypatch.setattr(dialect, "LARGE", 3)
    monkeypatch.setattr(dialect, "list_cached", noted)
    house.get("/events/list", since=SINCE, **asked)
    assert held == [True]
    house.get("/events/list", since=SINCE, limit=3)
    assert held == [True, False]
    assert not house.api.edge.services.large_work.locked()


def test_pages_go_on_by_cursor_and_neither_repeat_nor_skip(house: House) -> None:
    every = house.events()
    found: list[str] = []
    parameters: dict[str, Any] = {"since": SINCE, "limit": 1, "unstable_offset": 1}
    while True:
        page = house.post("/events/list", **parameters).json()
        found += [event["event_id"] for event in page["events"]]
        pagination = page["pagination"]
        assert pagination.keys() == {"has_next_page", "next_page_cursor", "next_page_url"}
        if not pagination["has_next_page"]:
            assert pagination == {"has_next_page": False, "next_page_cursor": None, "next_page_url": None}
            break
        target = pagination["next_page_url"].removeprefix("http://localhost")
        parameters["page_cursor"] = pagination["next_page_cursor"]
        assert (
            house.api.get(target, house.key).json()["events"]
            == house.post("/events/list", **parameters).json()["events"]
        )
        house.report(house.locks[0], str(5000 + len(found)))
    assert found == every[1:]


@pytest.mark.parametrize(
    "changed",
    [{"limit": 2}, {"since": "2020-01-01T00:00:00.001Z"}, {"device_ids": [NOBODY]}, {"event_type": UNMANAGED}],
)
def test_cursor_with_other_parameters_is_refused(house: House, changed: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"since": SINCE, "limit": 1}
    asked["page_cursor"] = house.get("/events/list", **asked).json()["pagination"]["next_page_cursor"]
    assert house.get("/events/list", **asked).status == 200
    answer = house.get("/events/list", **{**asked, **changed})
    assert (answer.status, answer.json()["error"]["type"]) == (400, "mismatched_page_parameters")
    assert "page_cursor" in faults(answer)


def test_cursor_of_another_workspace_is_refused(api: Api, house: House) -> None:
    other = House.build(api)
    asked: dict[str, Any] = {"since": SINCE, "limit": 1}
    asked["page_cursor"] = house.get("/events/list", **asked).json()["pagination"]["next_page_cursor"]
    assert other.get("/events/list", **asked).json()["error"]["type"] == "mismatched_page_parameters"


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", ""])
def test_damaged_cursor_is_refused(house: House, cursor: str) -> None:
    answer = house.post("/events/list", since=SINCE, page_cursor=cursor)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_input")
    assert "page_cursor" in faults(answer)


def test_search_that_runs_into_its_budget_goes_on_to_the_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        house.publish(eventCode=10001, payload=number)
    house.report(house.locks[0], "7777")
    code = house.codes["7777"]
    every, of_code = ids(house.log()), expected(house, access_code_id={code})
    assert len(of_code) == 1
    monkeypatch.setattr("heliograph.eventlog.query.SCAN_BUDGET", 2)
    monkeypatch.setattr("heliograph.eventlog.query.TAIL_BUDGET", 3)
    monkeypatch.setattr(dialect, "EVENTS_AT_ONCE", 2)
    assert house.events() == every
    assert house.events(access_code_id=code, device_id=house.locks[0]) == of_code
    assert house.get("/events/get", event_id=every[0]).json()["event"]["event_id"] == every[0]


# -- one event ------------------------------------------------------------------------------------------------------


def test_event_is_found_by_its_id(house: House) -> None:
    for record in house.log():
        for id in (record["id"], record["id"].replace("-", "")):
            for ask in (house.get, house.post):
                assert ask("/events/get", event_id=id).json() == {"event": record["payload"], "ok": True}


def test_newest_event_that_fits_all_is_found(house: House) -> None:
    lock = house.locks[0]
    newest = house.log()[-1]["payload"]
    assert house.get("/events/get", event_type=UNMANAGED).json()["event"] == newest
    of_lock = [record for record in house.log() if record["payload"].get("device_id") == lock]
    assert house.get("/events/get", device_id=lock).json()["event"] == of_lock[-1]["payload"]
    first = of_lock[0]["payload"]
    both = house.get("/events/get", event_id=first["event_id"], device_id=lock, event_type=UNMANAGED)
    assert both.json()["event"] == first
    assert house.get("/events/get", event_id=first["event_id"], device_id=house.locks[1]).status == 404


def test_event_is_asked_for_by_something(house: House) -> None:
    message = "An argument for event_id, event_type, or device_id is required"
    for ask in (house.get, house.post):
        answer = ask("/events/get")
        assert (answer.status, answer.json()["error"]["message"]) == (400, message)


@pytest.mark.parametrize(
    "parameters",
    [{"event_id": NOBODY}, {"device_id": NOBODY}, {"event_type": "lock.locked"}, {"event_type": "nothing"}],
)
def test_event_that_is_not_there_is_not_found(house: House, parameters: dict[str, Any]) -> None:
    answer = house.get("/events/get", **parameters)
    assert (answer.status, answer.json()["error"]["type"]) == (404, "event_not_found")


def test_company_sees_its_own_log_and_not_those_below(api: Api, house: House) -> None:
    headers = (("seam-workspace", hyphenated(api.company)),)
    answer = seam(api, "GET", "/events/list", api.root, {"since": SINCE}, headers)
    assert answer.json()["events"] == []
    assert house.events()


# -- answered from memory -------------------------------------------------------------------------------------------


def test_answer_is_the_same_again_until_something_happens_and_then_complete_at_once(house: House) -> None:
    for number in range(3):
        first, again = (house.get("/events/list", since=SINCE).body for _ in range(2))
        assert first == again
        house.report(house.locks[0], str(6000 + number))
        later = house.events()
        assert ids(house.log()) == later
        assert len(later) > number


def test_workspaces_that_ask_the_same_are_each_shown_their_own(api: Api, house: House) -> None:
    other = House.build(api)
    assert len(other.log()) == len(house.log())
    for _ in range(2):
        assert [one.events() for one in (house, other)] == [ids(one.log()) for one in (house, other)]
    assert not set(house.events()) & set(other.events())


def test_key_without_the_right_is_refused_what_others_have_just_been_shown(api: Api, house: House) -> None:
    connector = api.key(house.tenant, "connector")
    assert house.get("/events/list", since=SINCE).status == 200
    answer = seam(api, "GET", "/events/list", connector, {"since": SINCE})
    assert (answer.status, answer.json()["error"]["type"]) == (403, "forbidden")
