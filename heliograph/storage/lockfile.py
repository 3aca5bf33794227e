"""One process writes a data folder at a time; the others learn its pid and its address."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from heliograph.errors import CannotStart


class Held(CannotStart):
    """Another process has the store open for writing."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"The data folder is in use by process {holder.pid or '(unknown)'}.")
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the store; `url` is where its HTTP API answers, if it serves one."""

    pid: int
    url: str | None


class LockFile:
    """An exclusive lock that the system releases by itself when its process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            Held: when another process has it.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(self._file)
            os.close(self._file)
            raise Held(holder) from None
        self.announce(None)

    def announce(self, url: str | None) -> None:
        """Tell other processes where this one answers."""
        text = json.dumps({"pid": os.getpid(), "url": url}).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text, 0)

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._file)


def _read(descriptor: int) -> Holder:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(int(found["pid"]), found.get("url"))
    except (ValueError, KeyError, TypeError):
        return Holder(0, None)


def find_holder(path: Path) -> Holder | None:
    """Tell who has the lock, without asking for it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(file)
    else:
        return None
    finally:
        os.close(file)
