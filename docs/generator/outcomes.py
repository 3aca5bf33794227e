"""`reference/delivery-outcomes.md`: how an attempt at a delivery can end, what that means and what helps."""

from __future__ import annotations

from docs.generator import markdown
from heliograph.delivery.outcome import MEANINGS, OURS, OutcomeClass, by_status
from heliograph.delivery.policy import Reply, classify
from heliograph.delivery.settling import TIMED_OUT

_INTRODUCTION = """\
# How attempts end

Each attempt at a delivery ends in one of these ways. `errorClass` of a delivery is that of its last attempt, or null
when the event was delivered; every attempt has its own, with the status, the headers and the beginning of the answer.
They filter `GET /v1/deliveries`, label `heliograph_delivery_attempts_total` among the [metrics](../how-to/operate.md),
and are counted in the health of an endpoint. `lastError` there may also be `consent_refused`: the receiver was asked
for its [consent](../how-to/receive-webhooks.md#ask-the-receiver-first) and did not give it. Around it: [Receive
webhooks](../how-to/receive-webhooks.md)."""

_AFTERWARDS = """\
*Less* means that the endpoint is left alone for a while, 5 seconds at first and twice as long each time up to an hour,
and not before the time that a `Retry-After` of 429 or 503 names. *Not counted* attempts are no fault of the receiver:
they use up no retry, and say nothing about the endpoint. They are tried again after a minute, then after twice as long
each time up to 15 minutes."""

_WORDS = {
    "success": "delivered",
    "gone": "given up, and the endpoint disabled",
    "less": "tried again, and less",
    "failure": "tried again",
}


def page() -> str:
    """Return the whole page."""
    rows = [(markdown.code(name), meaning, remedy, _follows(name)) for name, meaning, remedy in MEANINGS]
    return markdown.document(
        "`heliograph/delivery/outcome.py`",
        _INTRODUCTION,
        markdown.table(("Class", "Meaning", "What helps", "What follows"), rows),
        _AFTERWARDS,
    )


def _follows(name: OutcomeClass) -> str:
    if name == "shutdown":
        return "sent again; the attempt is not kept"
    if name in OURS:
        return "tried again, not counted"
    statuses = [status for status in range(200, 600) if by_status(status) == name]
    reply = Reply(status=statuses[0] if statuses else None, timed_out=name in TIMED_OUT)
    return _WORDS[classify(reply)]
