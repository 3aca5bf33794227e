"""What all commands share: their options, how they reach the platform, and how they fail."""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from heliograph.cli.client import Client, HttpTransport, LocalTransport
from heliograph.cli.output import Failed, say
from heliograph.errors import CannotStart, Refusal
from heliograph.ids import Secret

if TYPE_CHECKING:
    from heliograph.app import Platform
    from heliograph.settings import Settings

P = ParamSpec("P")

PATIENCE_SECONDS = 5.0
"""How long to wait for another command, or a server that is starting, to let go of the data folder."""

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The data folder. [env: HELIOGRAPH_DATA; default: data]")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", metavar="URL", help="A PostgreSQL instead. [env: HELIOGRAPH_DATABASE_URL]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one document a line.")]
Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="UID", help="The tenant, when it is not the key's own.")
]
_Url = Annotated[
    str | None,
    typer.Option(
        envvar="HELIOGRAPH_URL", show_envvar=False, metavar="URL", help="The server to ask. [env: HELIOGRAPH_URL]"
    ),
]
_Key = Annotated[
    str | None,
    typer.Option(
        envvar="HELIOGRAPH_KEY", show_envvar=False, metavar="KEY", help="The key, hg_... [env: HELIOGRAPH_KEY]"
    ),
]


def plain_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command that fails with one message on standard error and exit code 1, never with a stack trace."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (CannotStart, Refusal, Failed) as error:
            say(f"heliograph: {error}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say("heliograph: interrupted")
            raise typer.Exit(130) from None

    return run


class Session:
    """One run of a command: how it reaches the platform, once it has to, and how its answers are printed."""

    def __init__(
        self, *, as_json: bool, data: Path | None, database_url: str | None, url: str | None, key: str | None
    ) -> None:
        self.as_json = as_json
        self._data = data
        self._database_url = database_url
        self._url = url
        self._key = Secret(key.strip()) if key else None

    @functools.cached_property
    def client(self) -> Client:
        """The way to the platform: the server that is named, else the one that holds the data folder, else here.

        Raises:
            CannotStart: when the database cannot be opened, or a server holds it and no key is given.
        """
        return Client(self._remote(self._url) if self._url else self._local())

    def server(self) -> HttpTransport:
        """Return a connection of its own to the server that is named, else to the one that holds the data folder.

        Raises:
            CannotStart: when there is none, or no key is given.
        """
        from heliograph.app import LOCK_FILE
        from heliograph.storage.lockfile import find_holder

        if self._url:
            return self._remote(self._url)
        folder = self.settings().data
        holder = find_holder(folder / LOCK_FILE)
        if holder is None or holder.url is None:
            raise CannotStart(f"No server serves {folder.absolute()}: start one, or name one by --url.")
        return self._remote(holder.url, f"The server that has the data folder open (process {holder.pid})")

    def settings(self) -> Settings:
        """Put the settings together from options, environment and file.

        Raises:
            BadSetting: for a value that cannot be used.
        """
        return load_settings(data=self._data, database_url=self._database_url)

    def close(self) -> None:
        """Release what the way to the platform holds."""
        if "client" in self.__dict__:
            self.client.transport.close()

    def _remote(self, url: str, who: str = "The server") -> HttpTransport:
        if self._key is None:
            raise CannotStart(f"{who} wants a key: give one by --key or HELIOGRAPH_KEY.")
        try:
            return HttpTransport(url, self._key)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--url") from None

    def _local(self) -> HttpTransport | LocalTransport:
        from heliograph.storage.lockfile import Held

        settings = self.settings()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return LocalTransport(open_platform(settings, may_prepare=False), self._key)
            except Held as held:
                if held.holder.url is not None:
                    who = f"The server that has the data folder open (process {held.holder.pid})"
                    return self._remote(held.holder.url, who)
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)


def with_session(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command that is given a session, with the options that say where the platform is."""
    shared = {"as_json": (AsJson, False), "data": (Data, None), "database_url": (DatabaseUrl, None),
              "url": (_Url, None), "key": (_Key, None)}  # fmt: skip

    @plain_errors
    def run(**values: Any) -> None:
        session = Session(**{name: values.pop(name) for name in shared})
        try:
            command(session, **values)
        finally:
            session.close()

    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in shared.items()
    ]
    # Typer reads a command's options from its signature, and its help from its docstring.
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def load_settings(**given: Any) -> Settings:
    """Put the settings together from options, environment and file.

    Raises:
        BadSetting: for a value that cannot be used.
    """
    from heliograph.settings import load

    return load(given, os.environ)


def open_platform(settings: Settings, *, may_prepare: bool) -> Platform:
    """Open the platform in this process.

    Raises:
        CannotStart: as `heliograph.app.Platform` does.
    """
    from heliograph.app import Platform, Unprepared

    # What is made now, the database above all, is nobody else's to read.
    os.umask(0o077)
    try:
        return Platform(settings, may_prepare=may_prepare)
    except Unprepared as unprepared:
        # Often the platform is somewhere else, and the command was run in another folder than it usually is.
        place = "" if settings.database_url else f" Looked for in the data folder {settings.data.absolute()}."
        help_ = "A server that runs is named by --url or HELIOGRAPH_URL."
        raise CannotStart(f"{unprepared}{place} {help_}") from None
