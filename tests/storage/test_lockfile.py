"""One process at a time writes a data folder, and its lock ends with it, however it ends."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from heliograph.storage.lockfile import Held, LockFile
from tests.rules.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLDER = """
import pathlib, sys
from heliograph.storage.lockfile import LockFile
lock = LockFile(pathlib.Path(sys.argv[1]))
if len(sys.argv) > 2:
    lock.announce(sys.argv[2])
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@contextmanager
def _holder(path: Path, *url: str) -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds the lock; a line on its standard input makes it release the lock."""
    command = [sys.executable, "-c", _HOLDER, str(path), *url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert _line(process) == "held\n"
        yield process
        process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _release(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert _line(process) == "released\n"


def test_second_opener_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path) as process:
        with pytest.raises(Held, match=f"process {process.pid}") as refusal:
            LockFile(path)
        assert (refusal.value.holder.pid, refusal.value.holder.url) == (process.pid, None)


def test_second_opener_learns_where_the_first_answers(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path, "http://127.0.0.1:8080"), pytest.raises(Held) as refusal:
        LockFile(path)
    assert refusal.value.holder.url == "http://127.0.0.1:8080"


def test_lock_is_free_once_its_holder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path) as process:
        process.kill()
        process.wait()
        LockFile(path).release()


def test_lock_is_free_once_it_was_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path) as process:
        _release(process)
        lock = LockFile(path)
        with pytest.raises(Held):
            LockFile(path)
        lock.release()


def test_shorter_announcement_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = LockFile(path)
    lock.announce("http://[2001:db8::1]:65535")
    lock.announce(None)
    with pytest.raises(Held) as refusal:
        LockFile(path)
    assert refusal.value.holder.url is None
    lock.release()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": null}', b"\xff\xfe"])
def test_lock_whose_holder_wrote_nothing_readable_is_still_held(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lock"
    lock = LockFile(path)
    path.write_bytes(content)
    with pytest.raises(Held) as refusal:
        LockFile(path)
    assert refusal.value.holder.pid == 0
    lock.release()


def test_lock_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    LockFile(path).release()
    assert path.stat().st_mode & 0o077 == 0
