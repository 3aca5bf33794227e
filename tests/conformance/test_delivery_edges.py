"""Deliveries where something else happens at the same moment: changes, stops, crashes, and receivers that are odd."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING
from unittest.mock import Mock

import msgspec
import pytest

from heliograph.delivery import actions
from heliograph.delivery.rendering import Message, render
from heliograph.delivery.settling import Rules
from heliograph.endpoints import actions as endpoints
from heliograph.endpoints import faring
from heliograph.endpoints.wishes import EndpointPatch
from heliograph.errors import Unavailable
from tests.conformance.postroom import DAYS, OK, SEALER, SECONDS, SILENT, Answer, Postroom, Receivers

if TYPE_CHECKING:
    from heliograph.delivery.worker import Worker
    from heliograph.endpoints.model import Format, Health
    from heliograph.eventlog.model import Event
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock


@pytest.fixture
def room(store: Store, time: HandClock) -> Postroom:
    """Tenants, receivers, and no worker yet."""
    return Postroom(store, time)


# -- stops and outages ----------------------------------------------------------------------------------------------


def test_what_is_claimed_while_the_worker_stops_is_given_back(room: Postroom) -> None:
    room.endpoint("a.example")
    worker = room.worker()
    room.publish()
    room.work(worker)
    room.publish(5)
    while not any(tenant.is_turning for tenant in worker._tenants.values()):
        worker.step()
    worker.retire()
    worker.start()
    worker.stop()
    pending = room.deliveries(states=("pending",))
    assert [(one.attempts, one.due_at) for one in pending] == [(0, room.time.wall)] * 5
    room.work(room.worker())
    assert set(room.states()) == {"delivered"}


@pytest.mark.parametrize("reading", ["roster.Roster._read", "preparing._messages"])
def test_claims_are_given_back_when_the_database_cannot_be_read(
    room: Postroom, monkeypatch: pytest.MonkeyPatch, reading: str
) -> None:
    known, stranger = room.endpoint("a.example"), None
    worker = room.worker()
    room.publish()
    room.work(worker)
    stranger = room.endpoint("b.example")
    room.publish()
    with monkeypatch.context() as outage:
        failing = Mock(side_effect=Unavailable("The database cannot be read now."))
        outage.setattr(f"heliograph.delivery.{reading}", failing)
        while not failing.call_count:
            worker.step()
    room.work(worker)
    assert set(room.states()) == {"delivered"}
    assert {one.attempts for one in room.deliveries()} == {1}
    assert {one.endpoint_uid for one in room.deliveries()} == {known.uid, stranger.uid}


def test_crash_costs_none_of_the_attempts_of_the_schedule(room: Postroom) -> None:
    room.endpoint("a.example", retry_schedule=(0, 5))
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    room.work(room.worker())  # and is never heard of again
    room.later(46)
    successor = room.worker(receivers=(heirs := Receivers()))
    heirs.answers["a.example"] = Answer(500)
    room.work(successor)
    assert room.states() == ["pending"]
    room.later(6)
    room.work(successor)
    (delivery,) = room.deliveries()
    assert (delivery.state, delivery.attempts, len(heirs.requests)) == ("exhausted", 3, 2)


def test_endpoint_that_wants_nothing_more_is_disabled_although_the_worker_died_before(
    room: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = room.endpoint("a.example")
    room.receivers.answers["a.example"] = Answer(410)
    room.publish()
    with monkeypatch.context() as struck:
        struck.setattr("heliograph.delivery.concerns.Concerns.see_to", Mock())
        room.work(room.worker())
    assert room.states() == ["exhausted"]
    room.publish()
    room.later(60)
    room.work(room.worker(receivers=(heirs := Receivers())))
    assert room.look_at(endpoint).state == "disabled"
    assert heirs.requests == []
    assert room.states() == ["exhausted", "pending"]
    room.switch("enable", endpoint)
    room.work(room.worker(receivers=heirs))
    assert room.states() == ["exhausted", "delivered"]


def test_event_that_cannot_be_rendered_is_a_failed_attempt_and_is_tried_again(
    room: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = room.endpoint("a.example", ordering="entity", retry_schedule=(0,))
    odd, behind = room.publish(2, target_type="Door", target_id="1")
    (other,) = room.publish(target_type="Door", target_id="2")

    def render_but_one(event: Event, format: Format) -> Message:
        if event.envelope.id == odd:
            raise ValueError("This cannot be rendered.")
        return render(event, format)

    worker = room.worker()
    with monkeypatch.context() as struck:
        struck.setattr("heliograph.delivery.preparing.render", render_but_one)
        room.work(worker)
    assert room.receivers.events_at("a.example") == [other]
    (delivery,) = room.deliveries(error_classes=("sender_failed",))
    (attempt,) = room.attempts(delivery)
    assert attempt.detail.message == "The event could not be put into the endpoint's format."
    assert (attempt.detail.url, attempt.detail.request_headers) == (endpoint.url, ())
    assert room.look_at(endpoint).health.failing_since is None
    room.later(61)
    room.work(worker)
    assert room.receivers.events_at("a.example") == [other, odd, behind]
    assert room.states() == ["delivered"] * 3


# -- an endpoint that is changed while a request is under way -------------------------------------------------------


def change_headers(room: Postroom, uid: bytes, headers: dict[str, str]) -> None:
    patch = EndpointPatch(headers=headers)
    tenants = [room.here.tenant_id]
    room.store.execute(lambda tx: endpoints.update(tx, room.here, SEALER, uid, None, patch, tenants), tenants)


def test_header_that_was_replaced_meanwhile_is_not_shown(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", headers=(("authorization", "Basic c2VjcmV0"),))
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    change_headers(room, endpoint.uid, {"x-key": "other"})
    room.publish()
    room.work(worker)
    room.receivers.answer_all()
    room.work(worker)
    (attempt,) = room.attempts(room.deliveries()[0])
    assert dict(attempt.detail.request_headers)["authorization"] == "(hidden)"


def test_answer_of_the_receiver_before_says_nothing_about_the_new_one(room: Postroom) -> None:
    endpoint = room.endpoint("a.example")
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    room.move(endpoint, "b.example")
    room.publish()
    room.work(worker)
    room.receivers.answer_all(Answer(410))
    room.work(worker)
    found = room.look_at(endpoint)
    assert (found.state, found.health.failing_since) == ("active", None)
    (attempt,) = room.attempts(room.deliveries()[0])
    assert attempt.detail.url == "https://a.example/hook"
    assert room.states()[1] == "delivered"


def test_new_receiver_does_not_wait_for_what_the_one_before_asked_for(room: Postroom) -> None:
    endpoint = room.endpoint("a.example")
    room.receivers.answers["a.example"] = Answer(503, headers=(("Retry-After", "86400"),))
    room.publish()
    worker = room.worker()
    room.work(worker)
    room.move(endpoint, "b.example")
    room.publish()
    room.work(worker)
    assert room.states()[1] == "delivered"
    assert room.look_at(endpoint).health.failing_since is None


# -- odd receivers --------------------------------------------------------------------------------------------------


def test_headers_that_are_too_many_to_be_kept_are_kept_to_all_the_same(room: Postroom) -> None:
    room.endpoint("a.example")
    many = tuple((f"x-{number}", "y" * 4000) for number in range(6))
    room.receivers.answers["a.example"] = Answer(503, headers=(*many, ("Retry-After", "120")))
    room.publish()
    worker = room.worker()
    room.work(worker)
    (attempt,) = room.attempts(room.deliveries()[0])
    assert attempt.detail.response_headers == many[:2]
    room.later(119)
    room.work(worker)
    assert len(room.receivers.requests) == 1


@pytest.mark.parametrize("allowed", ["1", "2", "as you like"])
def test_receiver_that_allows_less_than_a_claim_lasts_gets_everything_in_time(room: Postroom, allowed: str) -> None:
    room.endpoint("a.example", consent="required")
    consent = (("WebHook-Allowed-Origin", "*"), ("WebHook-Allowed-Rate", allowed))
    room.receivers.answers["a.example"] = Answer(200, headers=consent)
    room.publish(3)
    worker = room.worker()
    for _ in range(130):
        room.work(worker)
        room.later(1)
    assert room.states() == ["delivered"] * 3
    assert {one.attempts for one in room.deliveries()} == {1}


def test_answer_that_breaks_off_is_no_farewell(room: Postroom) -> None:
    endpoint = room.endpoint("a.example")
    room.receivers.answers["a.example"] = Answer(410, "connection_reset")
    room.publish()
    worker = room.worker()
    room.work(worker)
    assert room.states() == ["pending"]
    assert room.look_at(endpoint).state == "active"


def test_owner_is_warned_before_an_endpoint_is_disabled_that_is_seldom_tried(room: Postroom) -> None:
    room.rules = Rules(schedule=(0,))
    endpoint = room.endpoint("a.example")
    room.receivers.answers["a.example"] = Answer(500)
    worker = room.worker()
    room.publish()
    room.work(worker)
    room.later(30 * DAYS / SECONDS)
    room.publish()
    room.work(worker)
    assert len(room.told("Endpoint.Warned")) == 1
    assert room.look_at(endpoint).state == "active"
    room.later(2 * DAYS / SECONDS)
    room.publish()
    room.work(worker)
    assert room.look_at(endpoint).state == "active"
    room.later(1 * DAYS / SECONDS)
    room.publish()
    room.work(worker)
    assert len(room.told("Endpoint.Disabled")) == 1


def test_clock_that_goes_back_does_not_stop_an_endpoint_with_a_rate(room: Postroom) -> None:
    room.endpoint("a.example", rate=2)
    worker = room.worker()
    room.publish()
    room.work(worker)
    room.later(-3600)
    room.publish()
    for _ in range(20):
        room.later(1)
        room.work(worker)
    assert room.states() == ["delivered"] * 2


def test_endpoints_that_wait_for_nothing_cost_nothing(room: Postroom, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        room.endpoint(f"{number}.example", event_types=("other",))
    one = room.endpoint("a.example")
    worker = room.worker()
    room.publish(type="other")
    room.publish()
    room.work(worker)
    monkeypatch.setattr(worker._roster, "offer", offer := Mock(wraps=worker._roster.offer))
    room.publish()
    room.work(worker)
    assert {call.args[0] for call in offer.call_args_list} == {one.uid}
    assert set(room.states()) == {"delivered"}


def test_what_two_workers_learn_of_one_endpoint_at_once_is_noted_by_both(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", scope=room.above)
    both_read = Barrier(2)

    def note(**changes: int) -> None:
        def change(health: Health) -> Health:
            # Where nobody can read what another is about to change, the second never comes.
            with suppress(BrokenBarrierError):
                both_read.wait(0.5)
            return msgspec.structs.replace(health, **changes)

        room.store.execute(lambda tx: faring.note(tx, room.above, endpoint.uid, change), lane=str(changes))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda changes: note(**changes), ({"last_success_at": 1}, {"gone_at": 2})))
    health = room.look_at(endpoint, room.above).health
    assert (health.last_success_at, health.gone_at) == (1, 2)


@pytest.mark.parametrize("change", ["disable", "enable", "move"])
def test_what_a_worker_notes_while_an_endpoint_is_changed_is_kept(
    room: Postroom, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    endpoint = room.endpoint("a.example", scope=room.here)
    if change == "enable":
        room.switch("disable", endpoint)
    both_read = Barrier(2)

    def meet(*_: object) -> None:
        # Where nobody can read what another is about to change, the second never comes.
        with suppress(BrokenBarrierError):
            both_read.wait(0.5)

    def note(health: Health) -> Health:
        meet()
        return msgspec.structs.replace(health, last_success_at=1)

    for module in ("actions", "switching"):
        monkeypatch.setattr(f"heliograph.endpoints.{module}.require_version", meet)
    with ThreadPoolExecutor(2) as pool:
        noting = pool.submit(
            room.store.execute, lambda tx: faring.note(tx, room.here, endpoint.uid, note), lane="notes"
        )  # fmt: skip
        if change == "move":
            room.move(endpoint, "b.example")
        else:
            room.switch(change, endpoint)
        noting.result()
    assert room.look_at(endpoint).health.last_success_at == 1


# -- what a worker remembers ----------------------------------------------------------------------------------------


def known_to(worker: Worker) -> set[bytes]:
    return {channel.endpoint.uid for channel in worker._roster}


def test_endpoint_that_was_deleted_is_forgotten_with_its_secrets(room: Postroom) -> None:
    deleted, waiting = room.endpoint("a.example"), room.endpoint("b.example")
    room.receivers.answers["b.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    assert known_to(worker) == {deleted.uid, waiting.uid}
    room.switch("delete", deleted)
    room.later(301)
    room.work(worker)
    assert known_to(worker) == {waiting.uid}
    room.receivers.answers["b.example"] = OK
    room.receivers.answer_all()
    room.work(worker)
    room.later(301)
    room.work(worker)
    assert known_to(worker) == set()


def test_endpoint_that_was_quiet_for_long_is_known_again_when_something_is_due(room: Postroom) -> None:
    room.endpoint("a.example")
    worker = room.worker()
    for _ in range(2):
        room.publish()
        room.work(worker)
        room.later(3600)
        room.work(worker)
        assert known_to(worker) == set()
    assert room.states() == ["delivered"] * 2


# -- order ----------------------------------------------------------------------------------------------------------


def test_event_that_is_sent_again_waits_for_the_one_of_its_entity_that_is_under_way(room: Postroom) -> None:
    room.endpoint("a.example", ordering="entity")
    worker = room.worker()
    first = room.publish(target_type="Door", target_id="1")
    room.work(worker)
    room.receivers.answers["a.example"] = SILENT
    second = room.publish(target_type="Door", target_id="1")
    room.work(worker)
    room.resend(room.deliveries()[0])
    room.work(worker)
    assert [request.event for request in room.receivers.open] == second
    room.receivers.answer_all()
    room.later(1)
    room.work(worker)
    assert [request.event for request in room.receivers.open] == first


def test_event_that_waits_for_one_sent_again_follows_it_soon(room: Postroom) -> None:
    room.endpoint("a.example", ordering="entity", retry_schedule=(0, 60, 86_400))
    worker = room.worker()
    room.publish(target_type="Door", target_id="1")
    room.work(worker)
    room.receivers.answers["a.example"] = Answer(500)
    room.publish(target_type="Door", target_id="1")
    room.work(worker)
    first, second = room.deliveries()
    room.resend(first)
    room.work(worker)
    room.later(73)  # both are due now, the second behind the first
    room.work(worker)
    assert room.deliveries()[1].attempts == second.attempts
    room.receivers.answers["a.example"] = OK
    room.resend(room.deliveries()[0])
    room.work(worker)
    room.later(46)
    room.work(worker)
    assert room.states() == ["delivered"] * 2


# -- finding and forgetting -----------------------------------------------------------------------------------------


def test_state_that_is_asked_for_twice_is_found_once(room: Postroom) -> None:
    room.endpoint("a.example", retry_schedule=(0,))
    room.receivers.answers["a.example"] = Answer(500)
    room.publish(2)
    room.work(room.worker())
    assert room.states(states=("exhausted", "exhausted")) == ["exhausted"] * 2


def test_attempt_that_ends_after_its_delivery_was_forgotten_is_not_kept(room: Postroom) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = SILENT
    room.publish(2)
    late = room.worker()
    room.work(late)
    room.later(46)
    room.work(room.worker(receivers=Receivers()))
    room.later(31 * DAYS / SECONDS)
    room.store.execute(lambda tx: actions.forget(tx, room.here, kept_days=30, limit=100))
    assert room.deliveries() == []
    room.publish()
    room.receivers.answers["a.example"] = OK
    room.receivers.answer_all()
    room.work(late)
    kept = room.store.read(lambda tx: tx.all("select seq, number, status from delivery_attempt"))
    (delivery,) = room.deliveries()
    assert kept == [(delivery.seq, 1, 204)]
