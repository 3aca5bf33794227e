"""Two hundred locks, five thousand codes and a thousand conversions: the log tells exactly what happened."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from heliograph.catalog.system import SYSTEM
from tests.stories import locksmiths
from tests.stories.locksmiths import ACCOUNTS, CHAPTERS, LOCKS, UNITS, history, state_after
from tests.stories.takeover import CODES, Story
from tests.whole_log import Follower, assert_sound

if TYPE_CHECKING:
    from tests.server import Server
    from tests.stories.locksmiths import Told
    from tests.whole_log import Record

PREFIX = "access_code."


@pytest.fixture(scope="module")
def story(either_server: Server) -> Story:
    story = Story(either_server)
    story.tell()
    return story


@pytest.fixture(scope="module")
def log(story: Story) -> list[Record]:
    follower = Follower({"tenantUid": story.uid})
    follower.drain(story.server)
    return follower.events


def plain(uuid: str) -> str:
    return uuid.replace("-", "")


def told(story: Story, event: Record) -> Told:
    payload = event["payload"]
    chapter = payload["connected_account_custom_metadata"]["chapter"]
    own_time = None if event["occurredAt"] is None else datetime.fromisoformat(payload["occurred_at"])
    return locksmiths.word(payload), chapter, None if own_time is None else own_time - story.began[chapter]


def of_codes(log: list[Record]) -> list[Record]:
    return [event for event in log if event["type"].startswith(PREFIX)]


def test_input_is_what_the_story_is_about() -> None:
    steps = [(chapter, step) for unit in UNITS for chapter, step in unit.fate.steps.items()]
    assert sum(unit.fate.found for unit in UNITS) == 5_000
    assert {unit.lock for unit in UNITS} == set(range(LOCKS))
    assert sum(step.is_conversion for _, step in steps) == 1_000
    assert sum(chapter == "lose" and step.told == (locksmiths.GONE,) for chapter, step in steps) == 500
    outcomes = {word for unit in UNITS for word, _, _ in history(unit) if word.startswith(locksmiths.NOT_TAKEN)}
    for code in locksmiths.SUBJECTS:
        assert any(code in word for word in outcomes), code


def test_log_has_exactly_the_events_that_the_input_implies(story: Story, log: list[Record]) -> None:
    assert_sound(log)
    expected = Counter(one for unit in UNITS for one in history(unit))
    assert Counter(told(story, event) for event in of_codes(log)) == expected
    others = Counter(event["type"] for event in log if not event["type"].startswith(PREFIX))
    assert len(story.jobs) == 4
    assert others == {
        "Tenant.Created": 1, "Key.Created": 3, "connected_account.connected": ACCOUNTS + 1,
        "connected_account.disconnected": 1, "ConnectedAccount.Updated": ACCOUNTS * len(CHAPTERS),
        "Device.Added": LOCKS, "Device.DeviceConnectionAdded": 20, "Job.Started": 4, "Job.Finished": 4,
    }  # fmt: skip


def test_log_has_the_history_of_every_code_in_order(story: Story, log: list[Record]) -> None:
    found: dict[str, list[Told]] = {}
    for event in of_codes(log):
        found.setdefault(event["targetEntityId"], []).append(told(story, event))
    assert len(found) == len(UNITS)
    for unit in UNITS:
        assert found[story.uids[unit.number]] == history(unit), unit


def test_history_of_every_code_makes_sense_and_leads_to_its_state(story: Story, log: list[Record]) -> None:
    types: dict[str, list[str]] = {}
    for event in of_codes(log):
        types.setdefault(event["targetEntityId"], []).append(event["type"].removeprefix(PREFIX))
    states = {uid: state_after(events) for uid, events in types.items()}
    shown = {
        code["uid"]: code["status"] if code["managed"] else "unmanaged" if code["status"] == "set" else "strange"
        for code in story.all(CODES)
    }
    assert shown == {uid: state for uid, state in states.items() if state != "gone"}


def test_every_event_obeys_its_schema_and_names_lock_and_account_of_its_code(story: Story, log: list[Record]) -> None:
    for event in of_codes(log):
        unit, payload = story.by_uid[event["targetEntityId"]], event["payload"]
        SYSTEM.check(event["type"], json.dumps(payload).encode())
        assert plain(payload["access_code_id"]) == event["targetEntityId"]
        assert plain(payload["device_id"]) == story.locks[unit.lock]
        assert plain(payload["connected_account_id"]) == story.accounts[locksmiths.account_of(unit.lock)]
        assert payload["device_custom_metadata"] == {"door": str(unit.lock)}
        assert event["occurredAt"] is not None or payload["occurred_at"] == payload["created_at"]


def test_codes_are_what_their_locks_show(story: Story) -> None:
    shown = {code["uid"]: code for code in story.all(CODES)}
    for number, held in story.held.items():
        code = shown[story.uids[number]]
        assert (code["name"], code["status"]) == (held["name"], "set")
        assert code["externalId"] == held.get("externalId")
    held_uids = {story.uids[number] for number in story.held}
    assert {code["status"] for uid, code in shown.items() if uid not in held_uids} == {"unset"}


def test_completions_in_anothers_place_or_in_other_words_were_refused(story: Story) -> None:
    statuses: dict[str, set[int]] = {}
    for why, status in story.statuses:
        statuses.setdefault(why, set()).add(status)
    assert statuses == {
        "again": {200}, "another's": {409}, "otherwise": {409}, "late heir": {409}, "after the end": {409},
    }  # fmt: skip
