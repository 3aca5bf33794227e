"""`heliograph serve` with a filter index that does not follow the log, or whose writing ends in `kill -9`.

`python -m tests.crash.hobbled never` serves without any indexing. `python -m tests.crash.hobbled N` indexes in small
chunks and dies when it has written N of them and one more, which is not yet committed.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any
from unittest import mock

from heliograph.cli.main import main
from heliograph.eventlog import follower, store

CHUNK = 40
"""Events in a chunk."""


def die_in_chunk(number: int) -> None:
    """Let the process kill itself in the transaction of that chunk, counted from 0."""
    numbers = itertools.count()
    index_next = store.index_next

    def index_and_die(*arguments: Any) -> Any:
        result = index_next(*arguments)
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    mock.patch.object(store, "index_next", index_and_die).start()
    mock.patch.object(follower, "CHUNK", CHUNK).start()


if __name__ == "__main__":
    if sys.argv[1] == "never":
        mock.patch.object(follower.IndexFollower, "start").start()
    else:
        die_in_chunk(int(sys.argv[1]))
    sys.argv = ["heliograph", "serve"]
    main()
