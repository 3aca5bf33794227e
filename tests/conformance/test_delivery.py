"""What is due is claimed, sent and settled, once for each claim, whatever fails in between."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import Mock

import msgspec
import pytest

from heliograph.cli.server import GRACE_SECONDS
from heliograph.delivery import actions
from heliograph.delivery.settling import Rules
from heliograph.delivery.worker import DRAIN_SECONDS, FAREWELL_SECONDS
from heliograph.endpoints.wishes import EndpointPatch
from heliograph.errors import Unavailable
from tests.conformance.postroom import DAYS, OK, SCHEDULE, SECONDS, SILENT, Answer, Postroom, Receivers

if TYPE_CHECKING:
    from heliograph.storage.store import Store
    from tests.conformance.stores import HandClock


@pytest.fixture
def room(store: Store, time: HandClock) -> Postroom:
    """Tenants, receivers, and no worker yet."""
    return Postroom(store, time)


# -- every fate -----------------------------------------------------------------------------------------------------


def test_event_reaches_the_endpoint_that_wants_it_and_is_settled(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", headers=(("authorization", "Basic c2VjcmV0"),))
    (event,) = room.publish()
    room.work(room.worker())
    (request,) = room.receivers.requests
    headers = dict(request.attempt.headers)
    assert headers["webhook-id"] == event
    assert headers["authorization"] == "Basic c2VjcmV0"
    assert request.attempt.method == "POST"
    (delivery,) = room.deliveries()
    assert (delivery.state, delivery.attempts, delivery.error_class) == ("delivered", 1, None)
    (attempt,) = room.attempts(delivery)
    assert (attempt.number, attempt.error_class, attempt.status) == (1, "delivered", 204)
    shown = dict(attempt.detail.request_headers)
    assert shown["webhook-signature"] == headers["webhook-signature"]
    assert "c2VjcmV0" not in shown["authorization"]
    assert room.look_at(endpoint).health.last_success_at == room.time.wall


def test_header_that_is_removed_while_a_request_is_under_way_stays_hidden(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", headers=(("x-token", "c2VjcmV0"),))
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    room.change(endpoint, EndpointPatch(headers={}))
    room.publish()
    room.later(11)
    room.work(worker)
    room.receivers.answer_all()
    room.work(worker)
    (attempt,) = room.attempts(room.deliveries()[0])
    assert "c2VjcmV0" not in repr(attempt)


def test_failure_is_tried_again_by_the_schedule_until_it_is_given_up(room: Postroom) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = Answer(500)
    (event,) = room.publish()
    worker = room.worker()
    room.work(worker)
    for number, wait in enumerate(SCHEDULE[1:], start=1):
        assert len(room.receivers.requests) == number
        room.later(wait - 1)
        room.work(worker)
        assert len(room.receivers.requests) == number, "too soon"
        room.later(wait * 0.2 + 1)
        room.work(worker)
    (delivery,) = room.deliveries()
    assert (delivery.state, delivery.attempts, delivery.error_class) == ("exhausted", len(SCHEDULE), "server_error")
    assert set(room.receivers.events_at("a.example")) == {event}
    assert [attempt.number for attempt in room.attempts(delivery)] == list(range(1, len(SCHEDULE) + 1))
    (told,) = room.told("Delivery.Exhausted")
    assert told.envelope.target_entity_id == delivery.endpoint_uid.hex()
    assert [entity.id for entity in told.envelope.related_entities] == [event]
    body = msgspec.json.decode(told.payload or b"")
    assert (body["deliveryId"], body["attempts"], body["lastStatus"]) == (delivery.id, len(SCHEDULE), 500)


def test_endpoint_has_a_schedule_of_its_own(room: Postroom) -> None:
    room.endpoint("a.example", retry_schedule=(0, 60))
    room.receivers.answers["a.example"] = Answer(500)
    room.publish()
    worker = room.worker()
    room.work(worker)
    room.later(72)
    room.work(worker)
    assert room.states() == ["exhausted"]


def test_operational_event_that_cannot_be_delivered_raises_none(room: Postroom) -> None:
    room.endpoint("a.example", event_types=("*",), retry_schedule=(0,))
    room.receivers.answers["a.example"] = Answer(500)
    room.publish()
    room.work(room.worker())
    assert len(room.told("Delivery.Exhausted")) == 1
    assert set(room.states()) == {"exhausted"}


def test_receiver_names_when_to_come_again(room: Postroom) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = Answer(503, headers=(("Retry-After", "120"),))
    room.publish()
    worker = room.worker()
    room.work(worker)
    room.later(119)
    room.work(worker)
    assert len(room.receivers.requests) == 1
    room.receivers.answers["a.example"] = OK
    room.later(2)
    room.work(worker)
    assert room.states() == ["delivered"]


@pytest.mark.parametrize("outcome", ["proxy_failed", "sender_failed"])
def test_fault_of_ours_counts_neither_for_the_schedule_nor_for_the_endpoint(room: Postroom, outcome: str) -> None:
    endpoint = room.endpoint("a.example", retry_schedule=(0, 5))
    worker = room.worker()
    room.receivers.answers["a.example"] = Answer(None, outcome)  # type: ignore[arg-type]
    room.publish()
    for seconds in (60, 120, 240, 480, 900):
        room.work(worker)
        tried = len(room.receivers.requests)
        room.later(seconds - 1)
        room.work(worker)
        assert len(room.receivers.requests) == tried
        room.later(2)
    assert room.states() == ["pending"]
    assert room.look_at(endpoint).health.failing_since is None
    room.receivers.answers["a.example"] = OK
    room.work(worker)
    (delivery,) = room.deliveries()
    assert (delivery.state, len(room.attempts(delivery))) == ("delivered", 6)


def test_erased_payload_is_not_missed(room: Postroom) -> None:
    room.endpoint("a.example")
    room.publish()
    room.store.execute(lambda tx: tx.run("delete from payload where tenant_id = :t", t=room.here.tenant_id))
    room.work(room.worker())
    (request,) = room.receivers.requests
    assert "payload" not in msgspec.json.decode(request.attempt.body)


# -- endpoints that fare badly --------------------------------------------------------------------------------------


def test_endpoint_that_fails_for_days_is_warned_about_and_then_disabled(room: Postroom) -> None:
    room.rules = Rules(schedule=(0, *(86_400,) * 20))
    endpoint = room.endpoint("a.example")
    room.receivers.answers["a.example"] = Answer(None, "connect_refused")
    room.publish()
    worker = room.worker()
    room.work(worker)
    warned: list[int] = []
    for _ in range(7):
        room.later(86_400 * 1.2)
        room.work(worker)
        warned.append(len(room.told("Endpoint.Warned")))
    assert warned[0] == 0
    assert warned[-1] == 1
    (told,) = room.told("Endpoint.Disabled")
    body = msgspec.json.decode(told.payload or b"")
    assert (body["reason"], body["lastError"]) == ("failing", "connect_refused")
    assert room.look_at(endpoint).state == "disabled"
    assert room.states() == ["pending"]
    assert len(room.receivers.requests) == 6


def test_success_ends_the_time_of_failure(room: Postroom) -> None:
    room.rules = Rules(schedule=(0, *(86_400,) * 20))
    endpoint = room.endpoint("a.example")
    worker = room.worker()
    for status in (500, 204, 500, 204, 500):
        room.receivers.answers["a.example"] = Answer(status)
        room.publish()
        room.work(worker)
        room.later(1.5 * 86_400)
    room.receivers.answers["a.example"] = Answer(500)
    room.work(worker)
    assert room.told("Endpoint.Disabled") == []
    assert room.look_at(endpoint).state == "active"


def test_receiver_that_wants_nothing_more_is_disabled_at_once(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", event_types=("*",))
    worker = room.worker()
    room.work(worker)
    room.receivers.answers["a.example"] = Answer(410)
    sent = len(room.receivers.requests)
    room.publish(30)
    room.work(worker)
    assert room.look_at(endpoint).state == "disabled"
    assert room.look_at(endpoint).health.disabled_reason == "gone"
    assert len(room.receivers.requests) == sent + 1
    assert len(room.told("Endpoint.Disabled")) == 1
    assert room.states().count("exhausted") == 1
    room.receivers.answers["a.example"] = OK
    room.switch("enable", endpoint)
    room.work(worker)
    assert room.states(states=("pending",)) == []


@pytest.mark.parametrize("answer", [Answer(429), Answer(502), Answer(503), Answer(504), Answer(None, "timeout")])
def test_receiver_that_asks_for_less_is_left_alone_for_longer_each_time(room: Postroom, answer: Answer) -> None:
    room.rules = Rules(schedule=(0, 1, 1, 1, 1, 1, 1, 1))
    endpoint = room.endpoint("a.example", concurrency=1)
    room.receivers.answers["a.example"] = answer
    room.publish(3)
    worker = room.worker()
    for wait in (5, 10, 20):
        before = len(room.receivers.requests)
        room.work(worker)
        assert len(room.receivers.requests) == before + 1
        room.later(wait - 1)
        room.work(worker)
        assert len(room.receivers.requests) == before + 1
        room.later(1)
    room.receivers.answers["a.example"] = OK
    room.work(worker)
    room.later(10)
    room.work(worker)
    assert set(room.states()) == {"delivered"}
    assert room.look_at(endpoint).health.slow_step == 0


def test_requests_that_ask_for_less_together_count_once(room: Postroom) -> None:
    endpoint = room.endpoint("a.example")
    worker = room.worker()
    room.publish(10)
    room.work(worker)
    room.receivers.answers["a.example"] = SILENT
    room.publish(10)
    room.work(worker)
    assert len(room.receivers.open) == 10
    room.receivers.answer_all(Answer(503))
    room.work(worker)
    assert room.look_at(endpoint).health.slow_step == 1


def test_paused_endpoint_holds_what_is_for_it_until_it_is_resumed(room: Postroom) -> None:
    endpoint = room.endpoint("a.example")
    worker = room.worker()
    room.switch("pause", endpoint)
    events = room.publish(3)
    room.work(worker)
    assert room.receivers.requests == []
    room.switch("resume", endpoint)
    room.work(worker)
    assert room.receivers.events_at("a.example") == events


@pytest.mark.parametrize("action", ["disable", "delete", "pause"])
def test_endpoint_that_is_switched_has_what_is_under_way_settled_and_gets_no_more(room: Postroom, action: str) -> None:
    endpoint = room.endpoint("a.example")
    worker = room.worker()
    room.publish(10)
    room.work(worker)
    room.receivers.answers["a.example"] = SILENT
    room.publish(40)
    room.work(worker)
    assert len(room.receivers.open) == 10
    room.switch(action, endpoint)
    room.receivers.answer_all()
    room.work(worker)
    room.receivers.answer_all()
    room.work(worker)
    assert room.receivers.open == []
    states = room.states()
    rest = "cancelled" if action == "delete" else "pending"
    assert states.count(rest) >= 20
    assert states.count("delivered") + states.count(rest) == 50
    if action == "delete":
        return
    room.receivers.answers["a.example"] = OK
    room.switch("resume" if action == "pause" else "enable", endpoint)
    room.work(worker)
    assert set(room.states()) == {"delivered"}


# -- order, slots, rates, fairness ----------------------------------------------------------------------------------


def test_events_of_one_entity_go_one_after_the_other(room: Postroom) -> None:
    room.endpoint("a.example", ordering="entity")
    room.receivers.answers["a.example"] = SILENT
    doors = {door: room.publish(5, target_type="Door", target_id=door) for door in ("1", "2")}
    worker = room.worker()
    room.work(worker)
    while room.receivers.open:
        under_way = {request.event for request in room.receivers.open}
        assert all(len(under_way.intersection(events)) <= 1 for events in doors.values())
        room.receivers.answer_all()
        room.work(worker)
    sent = room.receivers.events_at("a.example")
    for events in doors.values():
        assert [event for event in sent if event in events] == events
    assert set(room.states()) == {"delivered"}


def _let_first_fail(room: Postroom, count: int) -> list[str]:
    """Let the first of so many events about one door fail once, see that another door's pass it by; return the many."""
    room.endpoint("a.example", ordering="entity", retry_schedule=(0, 60, 60))
    room.receivers.answers["a.example"] = Answer(500)
    blocked = room.publish(count, target_type="Door", target_id="1")
    worker = room.worker()
    room.work(worker)
    room.receivers.answers["a.example"] = OK
    free = room.publish(2, target_type="Door", target_id="2")
    room.work(worker)
    assert room.receivers.events_at("a.example") == [blocked[0], *free]
    room.later(72)
    room.work(worker)
    return blocked


def test_entity_whose_first_event_fails_blocks_nobody_else(room: Postroom) -> None:
    blocked = _let_first_fail(room, 2)
    assert room.receivers.events_at("a.example")[3:] == blocked


def test_many_events_behind_one_that_fails_are_neither_in_the_way_nor_forgotten(
    room: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.delivery.store.LOOKED_AT", 1)
    blocked = _let_first_fail(room, 20)
    assert room.receivers.events_at("a.example")[3:] == blocked


def test_tenant_that_found_all_slots_taken_is_not_forgotten(room: Postroom) -> None:
    room.endpoint("a.example")
    for scope in (room.there, room.above):
        host = f"{scope.tenant_id}.example"
        room.receivers.answers[host] = SILENT
        room.endpoint(host, scope=scope, event_types=("own",))
        room.publish(scope=scope, type="own")
    worker = room.worker(slots=2)
    room.work(worker)
    room.publish()
    room.work(worker)
    assert room.receivers.events_at("a.example") == []
    while room.receivers.open:
        room.receivers.answer_all()
        room.work(worker)
    room.later(2)
    room.work(worker)
    assert room.states() == ["delivered"]


def test_next_event_of_an_entity_follows_one_that_is_given_up(room: Postroom) -> None:
    room.endpoint("a.example", ordering="entity", retry_schedule=(0,))
    room.receivers.answers["a.example"] = Answer(500)
    events = room.publish(3, target_type="Door", target_id="1")
    room.work(room.worker())
    assert room.receivers.events_at("a.example") == events
    assert room.states() == ["exhausted"] * 3


def test_endpoint_gets_more_at_a_time_as_requests_succeed_and_never_more_than_it_may(room: Postroom) -> None:
    room.endpoint("a.example", concurrency=4)
    room.receivers.answers["a.example"] = SILENT
    room.publish(40)
    worker = room.worker()
    widths = []
    for _ in range(5):
        room.work(worker)
        widths.append(len(room.receivers.open))
        room.receivers.answer_all()
    assert widths == [1, 2, 4, 4, 4]
    room.work(worker)
    room.receivers.answer_all(Answer(500))
    room.work(worker)
    assert len(room.receivers.open) == 1


def test_rate_is_kept(room: Postroom) -> None:
    room.endpoint("a.example", rate=2)
    room.publish(20)
    worker = room.worker()
    room.work(worker)
    first = len(room.receivers.requests)
    assert first <= 2
    for second in range(1, 6):
        for _ in range(4):
            room.later(0.25)
            room.work(worker)
        assert len(room.receivers.requests) <= first + 2 * second
    assert len(room.receivers.requests) >= first + 9


def test_owner_never_has_more_than_half_of_the_slots(room: Postroom) -> None:
    for number in range(20):
        room.endpoint(f"slow{number}.example")
    worker = room.worker(slots=10)
    room.publish(1)
    room.work(worker)
    for number in range(20):
        room.receivers.answers[f"slow{number}.example"] = SILENT
    room.publish(5)
    room.work(worker)
    assert len(room.receivers.open) == 5
    room.endpoint("quick.example", scope=room.there)
    room.publish(50, scope=room.there)
    room.work(worker)
    assert len(room.receivers.events_at("quick.example")) == 50


def test_tenant_with_many_silent_receivers_leaves_claims_to_others(room: Postroom) -> None:
    for number in range(40):
        room.receivers.answers[f"{number}.example"] = SILENT
        room.endpoint(f"{number}.example")
    room.endpoint("quick.example", scope=room.there)
    room.publish(4)
    worker = room.worker(slots=4)
    room.work(worker)
    assert len(room.receivers.open) == 2
    room.publish(50, scope=room.there)
    room.work(worker)
    assert len(room.receivers.events_at("quick.example")) == 50


def test_tenant_with_large_events_that_are_not_taken_leaves_memory_to_others(
    room: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.delivery.preparing.MOST_BYTES", 5000)
    for scope, host in ((room.here, "silent.example"), (room.there, "quick.example")):
        room.endpoint(host, scope=scope, format="cloudevents-binary")
    room.receivers.answers["silent.example"] = SILENT
    room.publish(20, payload=b'"%s"' % (b"x" * 2000))
    worker = room.worker()
    room.work(worker)
    room.publish(20, scope=room.there, payload=b'"%s"' % (b"x" * 200))
    room.work(worker)
    assert len(room.receivers.events_at("quick.example")) == 20


def test_slow_endpoint_delays_no_other_of_its_tenant(room: Postroom) -> None:
    room.endpoint("slow.example", concurrency=100)
    room.endpoint("quick.example")
    room.receivers.answers["slow.example"] = SILENT
    worker = room.worker(slots=10)
    room.publish(100)
    room.work(worker)
    assert len(room.receivers.events_at("quick.example")) == 100
    assert len(room.receivers.open) == 1


def test_large_events_are_claimed_as_far_as_memory_allows_and_shared_by_endpoints(
    room: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.delivery.preparing.MOST_BYTES", 2000)
    hosts = [f"{name}.example" for name in "abc"]
    for host in hosts:
        room.endpoint(host, format="cloudevents-binary")
        room.receivers.answers[host] = SILENT
    events = room.publish(10, payload=b'"%s"' % (b"x" * 600))
    worker = room.worker()
    room.work(worker)
    claimed = [one for one in room.deliveries() if one.attempts == 1]
    assert len({one.event_uid for one in claimed}) == 2
    assert len(claimed) == 2 * len(hosts)
    while room.receivers.open:
        room.receivers.answer_all()
        room.work(worker)
    assert [sorted(room.receivers.events_at(host)) for host in hosts] == [sorted(events)] * len(hosts)
    assert {(one.state, one.attempts) for one in room.deliveries()} == {("delivered", 1)}


def test_company_gets_the_events_of_all_below_it(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", scope=room.above)
    events = room.publish(scope=room.here) + room.publish(scope=room.there)
    room.work(room.worker())
    assert sorted(room.receivers.events_at("a.example")) == sorted(events)
    assert [one.endpoint_uid for one in room.deliveries(scope=room.there)] == [endpoint.uid]


# -- sending again --------------------------------------------------------------------------------------------------


def test_delivery_that_was_given_up_is_sent_again_by_the_whole_schedule_and_recovers(room: Postroom) -> None:
    room.endpoint("a.example", retry_schedule=(0, 5))
    room.receivers.answers["a.example"] = Answer(500)
    (event,) = room.publish()
    worker = room.worker()
    room.work(worker)
    room.later(6)
    room.work(worker)
    (delivery,) = room.deliveries()
    assert delivery.state == "exhausted"
    assert room.resend(delivery).state == "pending"
    room.work(worker)
    assert room.states() == ["pending"]
    room.receivers.answers["a.example"] = OK
    room.later(6)
    room.work(worker)
    (delivery,) = room.deliveries()
    assert (delivery.state, delivery.attempts) == ("delivered", 4)
    assert [attempt.number for attempt in room.attempts(delivery)] == [1, 2, 3, 4]
    assert room.receivers.events_at("a.example") == [event] * 4
    assert len(room.told("Delivery.Exhausted")) == len(room.told("Delivery.Recovered")) == 1


def test_delivery_that_arrived_can_be_sent_again(room: Postroom) -> None:
    room.endpoint("a.example")
    (event,) = room.publish()
    worker = room.worker()
    room.work(worker)
    room.resend(room.deliveries()[0])
    room.work(worker)
    assert room.receivers.events_at("a.example") == [event, event]
    assert room.told("Delivery.Recovered") == []


# -- crashes, leases, several workers -------------------------------------------------------------------------------


def test_worker_that_dies_after_its_claim_loses_nothing(room: Postroom) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = SILENT
    events = room.publish(20)
    room.work(room.worker())  # and is never heard of again
    successor = room.worker(receivers=(heirs := Receivers()))
    room.work(successor)
    assert heirs.requests == []
    room.later(46)
    room.work(successor)
    assert sorted(heirs.events_at("a.example")) == sorted(events)
    assert set(room.states()) == {"delivered"}


def test_late_answer_changes_nothing_and_is_kept_as_an_attempt(room: Postroom) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    late = room.worker()
    room.work(late)
    room.later(46)
    room.work(room.worker(receivers=Receivers()))
    (before,) = room.deliveries()
    assert before.state == "delivered"
    room.receivers.answer_all(Answer(500))
    room.work(late)
    assert room.deliveries() == [before]
    assert [(attempt.number, attempt.status) for attempt in room.attempts(before)] == [(1, 500), (2, 204)]


def test_two_workers_never_send_one_claim_twice(room: Postroom) -> None:
    for host in ("a.example", "b.example"):
        room.endpoint(host)
        room.endpoint(host, scope=room.there)
    workers = [room.worker(), room.worker()]
    for _ in range(5):
        room.publish(20)
        room.publish(20, scope=room.there)
        room.work(*workers)
    for host in ("a.example", "b.example"):
        sent = room.receivers.events_at(host)
        assert len(sent) == len(set(sent)) == 200


def test_claim_outlives_any_attempt(room: Postroom) -> None:
    room.endpoint("a.example", timeout=30)
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    (delivery,) = room.deliveries()
    assert delivery.due_at > room.time.wall + 30 * SECONDS


def test_stopping_waits_for_what_is_under_way_and_gives_back_the_rest(room: Postroom) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = SILENT
    events = room.publish(10)
    worker = room.worker()
    room.work(worker)
    (request,) = room.receivers.open
    worker.start()
    room.receivers.open.clear()
    request.answer()
    worker.stop()
    assert room.receivers.closed
    assert room.states() == ["delivered"] + ["pending"] * 9
    assert [one.attempts for one in room.deliveries()] == [1] + [0] * 9
    room.receivers.answers["a.example"] = OK
    successor = room.worker(receivers=(heirs := Receivers()))
    room.work(successor)
    assert sorted(heirs.events_at("a.example")) == sorted(events[1:])


def test_stopping_does_not_wait_for_a_receiver_that_never_answers(
    room: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DRAIN_SECONDS + FAREWELL_SECONDS <= GRACE_SECONDS
    monkeypatch.setattr("heliograph.delivery.worker.DRAIN_SECONDS", 0.1)
    room.endpoint("a.example", timeout=30)
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    assert len(room.receivers.open) == 1
    room.later(5)
    steps = Mock(wraps=worker.step)
    monkeypatch.setattr(worker, "step", steps)
    worker.retire()
    worker.start()
    worker.stop()
    assert steps.call_count < 100, "it does nothing but look whether it may stop"
    assert room.receivers.closed
    (delivery,) = room.deliveries()
    assert (delivery.state, delivery.attempts, delivery.due_at) == ("pending", 0, room.time.wall)


def test_request_that_is_cut_off_by_the_end_does_not_count(room: Postroom) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    (request,) = room.receivers.open
    request.answer(Answer(None, "shutdown"))
    room.receivers.open.clear()
    room.receivers.answers["a.example"] = OK
    room.work(worker)
    (delivery,) = room.deliveries()
    assert (delivery.state, delivery.attempts) == ("delivered", 1)


def test_worker_that_dies_before_it_settled_sends_again_under_the_same_id(room: Postroom) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = SILENT
    (event,) = room.publish()
    dead = room.worker()
    room.work(dead)
    room.receivers.answer_all()  # the receiver has it, and nobody is left to note that
    room.later(46)
    room.work(room.worker(receivers=(heirs := Receivers())))
    assert room.receivers.events_at("a.example") == heirs.events_at("a.example") == [event]
    (delivery,) = room.deliveries()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)


def test_database_that_fails_for_a_while_loses_no_outcome(room: Postroom, monkeypatch: pytest.MonkeyPatch) -> None:
    room.endpoint("a.example")
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    failing = Mock(side_effect=Unavailable("The database cannot be written now."))
    with monkeypatch.context() as outage:
        outage.setattr("heliograph.delivery.worker.AGAIN", 0)
        outage.setattr(room.store, "write", failing)
        room.receivers.answer_all()
        while failing.call_count < 3:
            worker.step()
    assert room.states() == ["pending"]
    room.work(worker)
    assert room.states() == ["delivered"]
    assert len(room.receivers.requests) == 1


# -- consent --------------------------------------------------------------------------------------------------------


def test_receiver_is_asked_for_its_consent_before_anything_is_sent(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", consent="required")
    room.receivers.answers["a.example"] = SILENT
    room.publish()
    worker = room.worker()
    room.work(worker)
    (question,) = room.receivers.open
    assert question.attempt.method == "OPTIONS"
    assert dict(question.attempt.headers)["webhook-request-origin"] == "events.example"
    room.receivers.open.clear()
    room.receivers.answers["a.example"] = OK
    question.answer(Answer(200, headers=(("WebHook-Allowed-Origin", "*"), ("WebHook-Allowed-Rate", "120"))))
    room.work(worker)
    room.later(1)
    room.work(worker)
    assert room.states() == ["delivered"]
    health = room.look_at(endpoint).health
    assert (health.consented_at is not None, health.allowed_rate) == (True, 120)
    assert dict(room.receivers.requests[-1].attempt.headers)["origin"] == "events.example"


def test_receiver_without_consent_gets_nothing_where_it_is_required(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", consent="required")
    room.receivers.answers["a.example"] = Answer(200)
    room.publish()
    worker = room.worker()
    room.work(worker)
    room.later(4)
    room.work(worker)
    assert [request.attempt.method for request in room.receivers.requests] == ["OPTIONS"]
    assert room.look_at(endpoint).health.last_error == "consent_refused"
    room.later(2)
    room.work(worker)
    assert [request.attempt.method for request in room.receivers.requests] == ["OPTIONS", "OPTIONS"]


def test_receiver_that_cannot_be_asked_gets_its_events_where_consent_is_a_courtesy(room: Postroom) -> None:
    room.endpoint("a.example", consent="bestEffort")
    room.receivers.answers["a.example"] = Answer(405)
    room.publish()
    worker = room.worker()
    room.work(worker)
    room.later(1)
    room.work(worker)
    assert [request.attempt.method for request in room.receivers.requests] == ["OPTIONS", "POST"]


def test_new_receiver_is_asked_for_its_own_consent(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", consent="required")
    consent = Answer(200, headers=(("WebHook-Allowed-Origin", "*"), ("WebHook-Allowed-Rate", "120")))
    room.receivers.answers |= {"a.example": consent, "b.example": SILENT}
    room.publish()
    worker = room.worker()
    room.work(worker)
    assert room.look_at(endpoint).health.allowed_rate == 120
    room.move(endpoint, "b.example")
    health = room.look_at(endpoint).health
    assert (health.consented_at, health.allowed_rate) == (None, None)
    room.publish()
    room.work(worker)
    (question,) = room.receivers.open
    assert (question.host, question.attempt.method) == ("b.example", "OPTIONS")
    assert room.states()[-1] == "pending"


def test_consent_of_the_receiver_before_does_not_count_for_the_new_one(room: Postroom) -> None:
    endpoint = room.endpoint("a.example", consent="required")
    room.receivers.answers |= {"a.example": SILENT, "b.example": SILENT}
    room.publish()
    worker = room.worker()
    room.work(worker)
    (question,) = room.receivers.open
    room.move(endpoint, "b.example")
    question.answer(Answer(200, headers=(("WebHook-Allowed-Origin", "*"),)))
    room.work(worker)
    assert room.look_at(endpoint).health.consented_at is None
    room.later(1)
    room.work(worker)
    assert [(one.host, one.attempt.method) for one in room.receivers.requests] == [
        ("a.example", "OPTIONS"), ("b.example", "OPTIONS"),
    ]  # fmt: skip


# -- finding and forgetting -----------------------------------------------------------------------------------------


def test_deliveries_are_found_by_what_became_of_them(room: Postroom) -> None:
    good = room.endpoint("a.example")
    bad = room.endpoint("b.example", retry_schedule=(0,))
    room.receivers.answers["b.example"] = Answer(500)
    first, second = room.publish(), room.publish()
    room.work(room.worker())
    assert len(room.deliveries()) == 4
    assert {one.endpoint_uid for one in room.deliveries(states=("exhausted",))} == {bad.uid}
    assert {one.endpoint_uid for one in room.deliveries(states=("delivered",))} == {good.uid}
    assert room.states(endpoint_uid=bad.uid) == ["exhausted"] * 2
    assert room.states(endpoint_uid=good.uid, states=("exhausted", "cancelled")) == []
    assert len(room.deliveries(error_classes=("server_error",))) == 2
    uid = bytes.fromhex(second[0].replace("-", ""))
    assert {one.event_uid for one in room.deliveries(event_uid=uid)} == {uid}
    assert room.deliveries(since=room.time.wall + SECONDS) == []
    assert len(room.deliveries(until=room.time.wall + SECONDS, since=room.time.wall - SECONDS)) == 4
    assert first != second


def test_old_deliveries_are_forgotten_and_pending_ones_stay(room: Postroom) -> None:
    paused = room.endpoint("p.example")
    room.switch("pause", paused)
    room.endpoint("a.example")
    room.publish(30)
    room.work(room.worker())
    room.later(31 * DAYS / SECONDS)
    room.publish(2)
    room.work(room.worker())

    def forget() -> bool:
        return room.store.execute(lambda tx: actions.forget(tx, room.here, kept_days=30, limit=7))

    while forget():
        pass
    assert sorted(room.states()) == ["delivered"] * 2 + ["pending"] * 32
