"""`heliograph serve` or `worker` that dies as by `kill -9` in a named step of delivering, with short leases.

`python -m tests.crash.felled COMMAND` only has the leases; with `STEP N` behind it, it dies when it comes to that step
for the N-th time, counted from 0.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

from heliograph.cli.main import main
from heliograph.clock import MICROSECONDS
from heliograph.delivery import actions, channels, fanout, settling, store, turn, worker
from heliograph.delivery.due import store as due
from heliograph.endpoints import faring

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE = MICROSECONDS // 2
"""How long a dead worker's tenants are left to it."""

MARGIN_SECONDS = 3
POLL = MICROSECONDS // 10


class Step(NamedTuple):
    """What is done in a step: by which function, whether death comes before or after it, and which calls count."""

    owner: Any
    name: str
    before: bool = False
    counts: Callable[..., Any] = lambda *_, **__: True


STEPS: dict[str, Step] = {
    "fanned out and not committed": Step(fanout, "fan_out"),
    "claimed and not committed": Step(store, "claim"),
    "claimed and not sent": Step(worker, "jobs_of"),
    "sent and answered": Step(worker, "ended"),
    "settling": Step(store, "settle"),
    "settled and not committed": Step(turn.Turn, "take", counts=lambda turn, tx: turn.ended),
    "settled and committed": Step(worker.Worker, "_fare", before=True, counts=lambda worker, turn, *_: turn.ended),
    "renewing the lease": Step(due, "hold"),
    "letting go": Step(due, "let_go"),
    "putting on record that a delivery is exhausted": Step(settling, "_tell"),
    "disabling an endpoint": Step(faring, "disable"),
    "resending": Step(actions, "resend"),
}
"""In their order: what is named `not committed` lies before the commit, everything else behind the one before it."""


def hurry() -> None:
    """Let others go on after a moment where a worker died."""
    for module in (turn, worker):
        mock.patch.object(module, "LEASE", LEASE).start()
    mock.patch.object(worker, "POLL", POLL).start()
    mock.patch.object(channels, "MARGIN_SECONDS", MARGIN_SECONDS).start()
    mock.patch.object(channels, "SPARE_SECONDS", 1).start()


def die_in(step: Step, number: int) -> None:
    """Let the process kill itself in that step."""
    numbers = itertools.count()
    function = getattr(step.owner, step.name)

    def do_and_die(*arguments: Any, **named: Any) -> Any:
        doomed = step.counts(*arguments, **named) and next(numbers) == number
        result = None if doomed and step.before else function(*arguments, **named)
        if doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    mock.patch.object(step.owner, step.name, do_and_die).start()


if __name__ == "__main__":
    hurry()
    if len(sys.argv) > 2:
        die_in(STEPS[sys.argv[2]], int(sys.argv[3]))
    sys.argv = ["heliograph", sys.argv[1]]
    main()
