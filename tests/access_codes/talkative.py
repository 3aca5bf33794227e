"""`heliograph serve` that logs all that it and its libraries have to say, and fails whenever `stumble` comes up.

It logs what its functions are given and return, and repeats it when they fail: how a careless program would do it.
"""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import Any
from unittest import mock

from heliograph import logs
from heliograph.access_codes import actions, completing, requests
from heliograph.cli.main import main

STUMBLE = "stumble"
"""What makes a function fail when it is part of what it is given."""

FUNCTIONS = (
    (actions, "plan"), (actions, "apply"), (actions, "begin"), (actions, "go_on"),
    (requests, "create"), (requests, "update"), (requests, "convert"), (completing, "complete"),
)  # fmt: skip


log = logging.getLogger(__name__)


def stumbling(function: Any, *arguments: Any, **named: Any) -> Any:
    """Do the work, and when it is so named fail after it, so that all that was made has to be taken back."""
    result = function(*arguments, **named)
    log.debug("%s%r%r is %r", function.__name__, arguments, named, result)
    if STUMBLE in repr((arguments, named)):
        raise RuntimeError(f"{function.__name__}{arguments!r}{named!r}")
    return result


def _with_everything(configure: Any, *arguments: Any) -> None:
    configure(*arguments)
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger("uvicorn").setLevel(logging.DEBUG)


if __name__ == "__main__":
    for module, name in FUNCTIONS:
        mock.patch.object(module, name, partial(stumbling, getattr(module, name))).start()
    mock.patch.object(logs, "configure", partial(_with_everything, logs.configure)).start()
    sys.argv = ["heliograph", "serve"]
    main()
