"""Commands as a person types them: in this process where enough, else as processes of their own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from heliograph.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer.testing import Result

    from tests.conftest import StoreUrl

PATIENCE_SECONDS = 30.0
"""Whatever takes this long has failed."""

MASTER_KEY = "5f" * 32
PROGRAM = Path(sysconfig.get_path("scripts")) / "heliograph"


def environment_for(store: StoreUrl) -> dict[str, str]:
    """Return the settings that make every command work on that store, without waiting for the disk."""
    settings = {"HELIOGRAPH_DATA": str(store.data), "HELIOGRAPH_SYNCHRONOUS": "NORMAL"}
    if store.database_url is not None:
        settings |= {"HELIOGRAPH_DATABASE_URL": store.database_url, "HELIOGRAPH_MASTER_KEY": MASTER_KEY}
    return settings


class Cli:
    """Runs commands in this process, with these settings and no others."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)

    def run(self, *words: str, input: bytes | str | None = None, **settings: str) -> Result:
        """Run a command, whatever becomes of it; `settings` are added as HELIOGRAPH_<NAME>."""
        unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("HELIOGRAPH_")}
        added = {f"HELIOGRAPH_{name.upper()}": value for name, value in settings.items()}
        result = CliRunner().invoke(app, words, input=input, env={**unset, **self.environment, **added})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def ok(self, *words: str, input: bytes | str | None = None, **settings: str) -> str:
        """Run a command that works, and return what it printed."""
        result = self.run(*words, input=input, **settings)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def json(self, *words: str, input: bytes | str | None = None, **settings: str) -> Any:
        """Run a command that works and prints one JSON document."""
        return json.loads(self.ok(*words, "--json", input=input, **settings))

    def lines(self, *words: str, **settings: str) -> list[Any]:
        """Run a command that works and prints one JSON document a line."""
        return [json.loads(line) for line in self.ok(*words, "--json", **settings).splitlines()]

    def refused(self, *words: str, input: bytes | str | None = None, **settings: str) -> str:
        """Run a command that the platform refuses, and return the message."""
        result = self.run(*words, input=input, **settings)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("heliograph: ")
        return result.stderr.removeprefix("heliograph: ").rstrip("\n")


class Process:
    """One `heliograph ...` in a process of its own; leaving its `with` block kills it."""

    def __init__(self, *words: str, environment: Mapping[str, str], stdin: int = subprocess.DEVNULL) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
        self.popen = subprocess.Popen(
            [PROGRAM, *words],
            env=inherited | dict(environment),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        self._pipes = {"stdout": self.popen.stdout, "stderr": self.popen.stderr}
        self.printed = {"stdout": b"", "stderr": b""}

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.wait()
        for pipe in (*self._pipes.values(), self.popen.stdin):
            if pipe is not None:
                pipe.close()

    def wait_for(self, word: str, stream: str = "stdout") -> str:
        """Wait until the process has printed a whole line with that word, and return the line."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            for line in self.printed[stream].split(b"\n")[:-1]:
                if word in line.decode():
                    return line.decode()
            assert self._read(deadline), f"{word!r} never came: {self.printed}"

    def end(self) -> int:
        """Wait for the process to end by itself, reading all it prints, and return its exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(deadline):
            pass
        return self.popen.wait(PATIENCE_SECONDS)

    def _read(self, deadline: float) -> bool:
        """Take some of what is printed; tell whether there was any."""
        open_pipes = {pipe: name for name, pipe in self._pipes.items() if not pipe.closed}
        while open_pipes:
            ready, _, _ = select.select(list(open_pipes), [], [], deadline - time.monotonic())
            assert ready, f"the process is silent: {self.printed}"
            for pipe in ready:
                data = os.read(pipe.fileno(), 65536)
                self.printed[open_pipes[pipe]] += data
                if not data:
                    pipe.close()
                    del open_pipes[pipe]
                    continue
                return True
        return False

    @property
    def stdout(self) -> str:
        """What it has printed on standard output, as far as it was read."""
        return self.printed["stdout"].decode()

    @property
    def stderr(self) -> str:
        """What it has printed on standard error, as far as it was read."""
        return self.printed["stderr"].decode()
