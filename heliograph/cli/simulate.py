"""`heliograph simulate`: a fleet of players and locks that plays against a server, over its public API alone."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from heliograph.cli.client import JSON, Answer, Call, Transport, encode_query
from heliograph.cli.output import Failed, print_line
from heliograph.cli.playbill import show, tell
from heliograph.cli.session import Session, Tenant, with_session
from heliograph.simulation.api import Reply, Stopped, Unexpected
from heliograph.simulation.fleet import LARGEST_SEED, MOST_LOCKS, MOST_PLAYERS, assemble
from heliograph.simulation.play import Limits, Play

if TYPE_CHECKING:
    from types import FrameType

GRACE_SECONDS = 10.0
"""How long a busy server is still waited for once the play is to end."""

SLOWEST = 0.1
"""Actions per second, below which operations run out of time that are meant to succeed."""

IDLE_SECONDS = 3.0
"""After how long without a request it is not sure that the connection is still open."""

_BUSY = (429, 503)


@with_session
def simulate(
    session: Session,
    players: Annotated[
        int, typer.Option("--players", min=0, max=MOST_PLAYERS, metavar="N", help="Screens that register and report.")
    ] = 20,
    locks: Annotated[
        int, typer.Option("--locks", min=0, max=MOST_LOCKS, metavar="M", help="Locks with access codes.")
    ] = 5,
    rate: Annotated[
        float, typer.Option("--rate", min=0, metavar="R", help="Actions per second; 0 is as fast as can be.")
    ] = 2.0,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=LARGEST_SEED, metavar="S", help="What decides all that happens.")
    ] = 1,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0, metavar="SECONDS", help="How long; by default until Ctrl-C.")
    ] = None,
    actions: Annotated[
        int | None, typer.Option("--actions", min=0, metavar="N", help="How many actions; by default until Ctrl-C.")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Play a fleet against a server, and hold its answers and its log against what must follow.

    Players register with recipes that are imported first, and report. Guests add and remove codes of locks; codes are
    taken over, made, changed and removed; a connector carries that out, or fails. The same seed makes the same
    decisions. On Ctrl-C what is under way is brought to its end. Exit code 1 means that the server answered or
    recorded something else than expected.
    """
    if not players and not locks:
        raise typer.BadParameter("a fleet has at least one player or lock", param_hint="--players")
    if 0 < rate < SLOWEST:
        raise typer.BadParameter(f"below {SLOWEST:g} a second, connectors are too slow to be true", param_hint="--rate")
    fleet = assemble(players, locks, seed)
    transports = [session.server(), session.server()]
    try:
        with show(transports[0].url, quiet=session.as_json) as view:
            patience = Patience(lambda: play.stopping, lambda: play.counts.update(("tried again",)))
            play = Play(Patient(transports[0], tenant, patience), Patient(transports[1], tenant, patience), fleet, view)
            with _stopped_by_signals(play):
                play.run(Limits(rate, duration, actions))
    except Unexpected as refusal:
        raise Failed(str(refusal)) from None
    except Stopped:
        raise Failed("The server was too busy for an orderly end; its log was not compared.") from None
    finally:
        for transport in transports:
            transport.close()
    if session.as_json:
        print_line(_summary(play))
    else:
        tell(play)
    if play.disagreements:
        raise typer.Exit(1)


def _summary(play: Play) -> dict[str, Any]:
    events = {name: {"expected": expected, "found": found} for name, (expected, found) in play.events().items()}
    return {
        "seed": play.fleet.seed, "players": len(play.fleet.players), "locks": len(play.fleet.locks),
        "actions": play.actions, "counts": dict(sorted(play.counts.items())), "events": events,
        "disagreements": play.disagreements, "faults": play.faults,
    }  # fmt: skip


@contextmanager
def _stopped_by_signals(play: Play) -> Iterator[None]:
    """Let the first Ctrl-C end the play in order; a second one ends the command."""

    def stop(number: int, frame: FrameType | None) -> None:
        play.stop()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Patience:
    """How long to try again when the server is busy; `noted` is called each time."""

    def __init__(self, is_ending: Callable[[], bool], noted: Callable[[], None]) -> None:
        self._is_ending = is_ending
        self._noted = noted
        self._until: float | None = None

    def wait(self, seconds: float) -> None:
        """Wait before the next try.

        Raises:
            Stopped: when the play is to end, and has been for some time.
        """
        self._noted()
        due = time.monotonic() + seconds
        while (now := time.monotonic()) < due:
            if self._is_ending():
                self._until = self._until or now + GRACE_SECONDS
                if now >= self._until:
                    raise Stopped
            time.sleep(min(0.1, due - now))


class Patient:
    """The platform as the simulation asks it: again, as long as it says that it is busy."""

    def __init__(self, transport: Transport, tenant: str | None, patience: Patience) -> None:
        self._transport = transport
        self._tenant = tenant
        self._patience = patience
        self._used = time.monotonic()

    def send(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, content_type: str = JSON
    ) -> Reply:
        """Return the answer, whatever it is, but for those that ask to try again later.

        Raises:
            NoAnswer: when the server is gone.
            Stopped: when it is busy, and the play is to end.
        """
        text = encode_query({**(query or {}), "tenantUid": self._tenant})
        sent = body.encode() if isinstance(body, str) else None if body is None else msgspec.json.encode(body)
        call = Call(method, path, text, sent, content_type, repeatable=method == "GET")
        while (answer := self._ask(call)).status in _BUSY:
            self._patience.wait(answer.retry_after or 1)
        return Reply(answer.status, answer.document)

    def _ask(self, call: Call) -> Answer:
        # A server closes connections that are idle; only a question that may be sent twice finds that out safely.
        if not call.repeatable and time.monotonic() - self._used > IDLE_SECONDS:
            self._transport.send(Call("GET", "/healthz", repeatable=True))
        answer = self._transport.send(call)
        self._used = time.monotonic()
        return answer
