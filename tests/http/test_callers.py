"""What is remembered of keys and addresses, with time in the test's hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from heliograph.clock import MICROSECONDS, Clock
from heliograph.errors import TooMany, Unauthenticated
from heliograph.eventlog.model import Actor
from heliograph.http import callers
from heliograph.http.callers import FRESH_SECONDS, Callers, ClientAddress, WrongKeys
from heliograph.tenancy.model import Caller

TOKEN = b"\x01" * 32
OTHER_TOKEN = b"\x02" * 32


class Hand:
    """A wall clock and a steady clock that move together, and only when told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def microseconds(self) -> int:
        return int(self.seconds * MICROSECONDS)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    """The time that the module under test sees."""
    hand = Hand()
    monkeypatch.setattr(callers, "time", SimpleNamespace(monotonic=hand.monotonic))
    return hand


def remembering(hand: Hand, requests_per_key: int = 0) -> Callers:
    return Callers(Clock(wall=hand.microseconds, steady=hand.microseconds), requests_per_key)


def caller(key_uid: bytes = b"\x0a" * 16, expires_at: int | None = None) -> Caller:
    return Caller(
        actor=Actor(kind="account"), tenant_uid="0b" * 16, rights={}, account_rights={}, key_uid=key_uid,
        expires_at=expires_at,
    )  # fmt: skip


# -- keys that were seen lately -------------------------------------------------------------------------------------


def test_caller_is_found_while_it_is_fresh_and_not_after(hand: Hand) -> None:
    known = remembering(hand)
    kept = known.keep(TOKEN, caller(), known.changes)
    hand.seconds += FRESH_SECONDS
    assert known.find(TOKEN) is kept
    hand.seconds += 0.001
    assert known.find(TOKEN) is None


def test_caller_is_not_found_under_another_token(hand: Hand) -> None:
    known = remembering(hand)
    known.keep(TOKEN, caller(), known.changes)
    assert known.find(OTHER_TOKEN) is None


def test_key_that_expires_is_refused_although_it_is_still_remembered(hand: Hand) -> None:
    known = remembering(hand)
    known.keep(TOKEN, caller(expires_at=hand.microseconds() + 2 * MICROSECONDS), known.changes)
    hand.seconds += 1.999
    assert known.find(TOKEN) is not None
    hand.seconds += 0.001
    with pytest.raises(Unauthenticated):
        known.find(TOKEN)


def test_nobody_is_remembered_after_rights_changed(hand: Hand) -> None:
    known = remembering(hand)
    known.keep(TOKEN, caller(), known.changes)
    known.keep(OTHER_TOKEN, caller(), known.changes)
    known.forget_all()
    assert (known.find(TOKEN), known.find(OTHER_TOKEN)) == (None, None)


def test_caller_read_before_rights_changed_serves_its_request_and_is_not_remembered(hand: Hand) -> None:
    known = remembering(hand)
    asked_at = known.changes
    known.forget_all()
    assert known.keep(TOKEN, caller(), asked_at).caller == caller()
    assert known.find(TOKEN) is None


def test_memory_of_callers_is_bounded(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "LARGEST_CACHE", 3)
    known = remembering(hand)
    tokens = [bytes([number]) * 32 for number in range(10)]
    for token in tokens:
        known.keep(token, caller(), known.changes)
        assert known.find(token) is not None
        assert sum(known.find(each) is not None for each in tokens) <= 3


# -- requests of one key --------------------------------------------------------------------------------------------


def test_key_is_refused_beyond_its_requests_until_the_second_is_over(hand: Hand) -> None:
    known = remembering(hand, requests_per_key=2)
    found = known.keep(TOKEN, caller(), known.changes)
    known.count(found)
    known.count(found)
    with pytest.raises(TooMany, match="2 requests per second") as refusal:
        known.count(found)
    assert refusal.value.retry_after == 1
    hand.seconds += refusal.value.retry_after
    known.count(found)


def test_one_key_uses_up_no_request_of_another(hand: Hand) -> None:
    known = remembering(hand, requests_per_key=1)
    one = known.keep(TOKEN, caller(b"\x0a" * 16), known.changes)
    other = known.keep(OTHER_TOKEN, caller(b"\x0b" * 16), known.changes)
    known.count(one)
    with pytest.raises(TooMany):
        known.count(one)
    known.count(other)


def test_requests_stay_counted_when_rights_change_within_the_second(hand: Hand) -> None:
    known = remembering(hand, requests_per_key=1)
    known.count(known.keep(TOKEN, caller(), known.changes))
    known.forget_all()
    again = known.keep(TOKEN, caller(), known.changes)
    with pytest.raises(TooMany):
        known.count(again)


def test_requests_have_no_limit_by_default(hand: Hand) -> None:
    known = remembering(hand)
    found = known.keep(TOKEN, caller(), known.changes)
    for _ in range(10_000):
        known.count(found)


# -- wrong keys -----------------------------------------------------------------------------------------------------


def test_address_is_refused_after_its_wrong_keys_until_its_minute_is_over(hand: Hand) -> None:
    wrong = WrongKeys(per_minute=2)
    wrong.note("192.0.2.1")
    hand.seconds += 20.0
    wrong.refuse_if_too_many("192.0.2.1")
    wrong.note("192.0.2.1")
    with pytest.raises(TooMany) as refusal:
        wrong.refuse_if_too_many("192.0.2.1")
    assert 40 <= refusal.value.retry_after <= 41
    wrong.refuse_if_too_many("192.0.2.2")
    hand.seconds += refusal.value.retry_after
    wrong.refuse_if_too_many("192.0.2.1")


def test_wrong_keys_of_an_earlier_minute_do_not_count(hand: Hand) -> None:
    wrong = WrongKeys(per_minute=2)
    wrong.note("192.0.2.1")
    hand.seconds += 60.0
    wrong.note("192.0.2.1")
    wrong.refuse_if_too_many("192.0.2.1")


def test_memory_of_wrong_keys_is_bounded(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "LARGEST_CACHE", 3)
    wrong = WrongKeys(per_minute=1)
    refused = 0
    for number in range(10):
        wrong.note(f"192.0.2.{number}")
    for number in range(10):
        try:
            wrong.refuse_if_too_many(f"192.0.2.{number}")
        except TooMany:
            refused += 1
    assert 1 <= refused <= 3


# -- who is asking behind proxies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "expected"),
    [
        pytest.param("", "192.0.2.1", "", "192.0.2.1", id="no proxy"),
        pytest.param("", "192.0.2.1", "198.51.100.7", "192.0.2.1", id="nobody is trusted"),
        pytest.param("10.0.0.0/8", "192.0.2.1", "198.51.100.7", "192.0.2.1", id="the peer is not trusted"),
        pytest.param("10.0.0.0/8", "10.0.0.1", "198.51.100.7", "198.51.100.7", id="one proxy"),
        pytest.param("10.0.0.0/8", "10.0.0.1", "", "10.0.0.1", id="a proxy for itself"),
        pytest.param("10.0.0.0/8", "10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7", id="invented left entry"),
        pytest.param("10.0.0.0/8", "10.0.0.1", "10.0.0.9, 198.51.100.7", "198.51.100.7", id="invented proxy"),
        pytest.param("10.0.0.0/8", "10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7", id="two proxies"),
        pytest.param("10.0.0.0/8", "10.0.0.1", "10.0.0.3 ,10.0.0.2", "10.0.0.3", id="proxies only"),
        pytest.param("10.0.0.0/8, fd00::/8", "fd00::1", "2001:db8::7", "2001:db8::7", id="IPv6"),
        pytest.param("10.0.0.0/8", "10.0.0.1", "198.51.100.7, unknown", "unknown", id="not an address"),
        pytest.param("10.0.0.0/8", "", "198.51.100.7", "", id="a peer without address"),
    ],
)
def test_client_address_is_the_last_that_no_trusted_proxy_has(
    trusted: str, peer: str, forwarded_for: str, expected: str
) -> None:
    assert ClientAddress(trusted).of(peer, forwarded_for) == expected
