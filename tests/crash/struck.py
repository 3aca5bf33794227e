"""`heliograph serve` that dies as by `kill -9` in a named step of what it does about access codes.

`python -m tests.crash.struck STEP N` dies when it has done that step N times and once more, which is not yet
committed; with the step `answer` it dies when what a connector did is committed and not yet answered.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any
from unittest import mock

from heliograph.access_codes import actions, completing, requests
from heliograph.cli.main import main
from heliograph.http import operations as answers
from heliograph.operations import actions as operations
from tests.crash.impatient import hurry

ANSWER = "answer"
STEPS: dict[str, tuple[Any, str]] = {
    "report": (actions, "apply"),
    "long report": (actions, "begin"),
    "part of a long report": (actions, "go_on"),
    "conversion": (requests, "convert"),
    "change": (requests, "update"),
    "taking": (operations, "take"),
    "completion": (completing, "complete"),
    ANSWER: (answers, "json_response"),
}


def die_in(step: str, number: int) -> None:
    """Let the process kill itself in that step, counted from 0."""
    module, name = STEPS[step]
    numbers = itertools.count()
    function = getattr(module, name)

    def do_and_die(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    mock.patch.object(module, name, do_and_die).start()


if __name__ == "__main__":
    hurry()
    die_in(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["heliograph", "serve"]
    main()
