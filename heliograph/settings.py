"""Every setting in one table: name, default, unit, meaning and check; read once at the start and passed down.

A setting comes from the command line, else from the environment (`HELIOGRAPH_<NAME>`), else from `heliograph.toml`
in the data folder, else from its default. Secrets can be given as a file: `HELIOGRAPH_<NAME>_FILE`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliograph.delivery.guard import Networks
from heliograph.delivery.policy import STANDARD_SCHEDULE, parse_schedule
from heliograph.endpoints.model import LONGEST_WAIT, MOST_TRIES
from heliograph.errors import CannotStart
from heliograph.ids import Secret
from heliograph.provisioning.recipes import parse_demands

ENVIRONMENT_PREFIX = "HELIOGRAPH_"
FILE_NAME = "heliograph.toml"


class BadSetting(CannotStart):
    """A setting that cannot be used; the message names it, the value's fault and where the value came from."""


def _at_least(smallest: float) -> Callable[[Any], str | None]:
    return lambda value: None if value >= smallest else f"must be at least {smallest:.12g}"


def _between(low: float, high: float) -> Callable[[Any], str | None]:
    return lambda value: None if low <= value <= high else f"must lie between {low:.12g} and {high:.12g}"


def _one_of(*words: str) -> Callable[[Any], str | None]:
    return lambda value: None if value in words else f"must be one of {', '.join(words)}"


def _networks(value: str) -> str | None:
    try:
        for part in value.split(","):
            if part.strip():
                ipaddress.ip_network(part.strip())
    except ValueError:
        return "must be a list of networks such as 10.0.0.0/8,fd00::/8"
    return None


def _host_name(value: str) -> str | None:
    return None if re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", value) else "must be a host name"


def _networks_of_tenants(value: str) -> str | None:
    try:
        Networks.parse(value)
    except ValueError:
        return "must be a list of networks such as 127.0.0.0/8,10.1.0.0/16@<tenant uid>"
    return None


def _schedule(value: str) -> str | None:
    try:
        waits = parse_schedule(value)
    except ValueError:
        return "must be seconds such as 0,5,300"
    if waits[0] != 0:
        return "must begin with 0: the first attempt is made at once"
    if not 1 <= len(waits) <= MOST_TRIES or not all(0 <= wait <= LONGEST_WAIT for wait in waits):
        return f"must have 1 to {MOST_TRIES} waits of at most {LONGEST_WAIT} seconds"
    return None


def _brand_demands(value: str) -> str | None:
    try:
        parse_demands(value)
    except ValueError as error:
        return f"has {str(error)!r} where brand=field+field is expected; fields: model, serialNumber, macAddress"
    return None


def _setting(default: Any, unit: str, help: str, check: Callable[[Any], str | None] | None = None) -> Any:
    return field(default=default, metadata={"unit": unit, "help": help, "check": check})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process."""

    # ruff: noqa: RUF009 - each call makes one immutable row of the table
    data: Path = _setting(Path("data"), "folder", "Where the database, the lock and the master key are kept.")
    host: str = _setting("127.0.0.1", "address", "The address to listen on.")
    port: int = _setting(8080, "port", "The port to listen on; 0 takes a free one.", _between(0, 65535))
    database_url: Secret | None = _setting(
        None, "address", "PostgreSQL to use instead of the SQLite file, as postgresql://user:password@host/database."
    )
    master_key: Secret | None = _setting(
        None, "key", "32 bytes as hex or base64. Made in the data folder on SQLite; required on PostgreSQL."
    )
    synchronous: str = _setting(
        "FULL", "FULL or NORMAL", "SQLite: NORMAL may lose the last commits when the power fails.",
        _one_of("FULL", "NORMAL"),
    )  # fmt: skip
    readers: int = _setting(4, "threads", "Reading threads, each with a connection of its own.", _between(1, 64))
    log_format: str = _setting(
        "auto", "auto, text or json", "How log lines look; auto is text on a terminal.", _one_of("auto", "text", "json")
    )

    event_bytes: int = _setting(1024 * 1024, "bytes", "Largest event, as sent.", _between(1024, 2**30))
    payload_bytes: int = _setting(256 * 1024, "bytes", "Largest payload of one event.", _between(64 * 1024, 2**30))
    batch_bytes: int = _setting(8 * 1024 * 1024, "bytes", "Largest batch of events, as sent.", _between(1024, 2**30))
    batch_events: int = _setting(1000, "events", "Most events in one batch.", _between(1, 10_000))
    import_bytes: int = _setting(64 * 1024 * 1024, "bytes", "Largest file to import, as sent.", _between(1024, 2**36))
    report_bytes: int = _setting(
        32 * 1024 * 1024, "bytes", "Largest report of a lock's access codes, as sent.", _between(1024, 2**30)
    )
    report_codes: int = _setting(100_000, "codes", "Most access codes in one report.", _between(1, 100_000))
    request_bytes: int = _setting(1024 * 1024, "bytes", "Largest body of any other request.", _between(1024, 2**30))
    header_bytes: int = _setting(32 * 1024, "bytes", "Largest header block.", _between(4096, 2**20))
    header_count: int = _setting(100, "headers", "Most headers of one request.", _between(10, 1000))
    header_timeout: float = _setting(10.0, "seconds", "Time for a request's headers to arrive.", _between(0.05, 600))
    idle_timeout: float = _setting(60.0, "seconds", "Time a connection may be silent.", _between(0.05, 3600))
    trusted_proxies: str = _setting(
        "",
        "networks",
        "Proxies whose X-Forwarded-For names the client, for limiting wrong keys, and whose X-Forwarded-Proto and -Host"
        " name the address that it asked.",
        _networks,
    )
    wrong_keys_per_minute: int = _setting(
        30, "requests", "Requests with a wrong key that one client address may make in a minute.", _at_least(1)
    )
    requests_per_key: int = _setting(0, "requests per second", "Most requests of one key; 0 is no limit.", _at_least(0))
    write_queue: int = _setting(
        100_000, "events", "Most events, and other changes, that may wait for a commit.", _at_least(100)
    )

    occurred_ahead: int = _setting(
        300, "seconds", "How far in the future a caller's occurredAt may lie.", _between(0, 86_400)
    )
    occurred_behind: int = _setting(
        10 * 365 * 86_400, "seconds", "How far in the past a caller's occurredAt may lie.", _between(0, 1.6e9)
    )
    brand_demands: str = _setting(
        "", "brand=field+field,...",
        "Fields that recipes and devices of a brand must have beside the usual: Samsung=macAddress,LG=serialNumber.",
        _brand_demands,
    )  # fmt: skip
    attempt_days: int = _setting(
        90, "days", "How long attempts to register that did not succeed are kept.", _between(1, 3650)
    )
    dedup_days: int = _setting(30, "days", "How long repeats of an event or request are recognised.", _between(1, 3650))
    job_days: int = _setting(
        30, "days", "How long finished jobs and what became of their rows are kept.", _between(1, 3650)
    )
    largest_clock_jump: int = _setting(
        60, "seconds", "A larger jump forward of the clock is not followed until confirmed.", _between(1, 86_400)
    )
    low_battery: int = _setting(
        20, "percent", "The charge of a device's battery down to which it counts as low.", _between(0, 90)
    )
    operation_deadline: int = _setting(
        600, "seconds", "How long an operation may wait for its connector until it has failed.", _between(1, 86_400)
    )
    operation_lease: int = _setting(
        60, "seconds", "How long an operation that a connector took is offered to no other.", _between(1, 3600)
    )
    operation_days: int = _setting(30, "days", "How long operations that ended are kept.", _between(1, 3650))
    device_silence: int = _setting(
        300,
        "seconds",
        "A connected device that is silent for longer counts as offline; 0 is never.",
        _between(0, 30 * 86_400),
    )
    delivery_worker: str = _setting(
        "on", "on or off", "Whether serve delivers to endpoints; off where 'heliograph worker' does.",
        _one_of("on", "off"),
    )  # fmt: skip
    delivery_retry_schedule: str = _setting(
        ",".join(map(str, STANDARD_SCHEDULE)), "seconds,seconds,...",
        "Waits before each attempt at a delivery, counted from the one before; endpoints may have their own.",
        _schedule,
    )  # fmt: skip
    delivery_warn_days: float = _setting(
        2.0, "days", "An endpoint that fails for so long is warned about.", _between(0.000001, 365)
    )
    delivery_disable_days: float = _setting(
        5.0, "days", "An endpoint that fails for so long is disabled.", _between(0.000001, 365)
    )
    delivery_days: int = _setting(
        30, "days", "How long deliveries that ended, and the attempts at them, are kept.", _between(1, 3650)
    )
    delivery_concurrency: int = _setting(
        200, "requests", "Most requests to endpoints that are under way at once in one process.", _between(2, 5000)
    )
    delivery_origin: str = _setting(
        "heliograph", "name", "Who asks receivers for their consent; best the platform's own host name.", _host_name
    )
    delivery_allow_networks: str = _setting(
        "", "network,network@tenant,...",
        "Private networks that endpoints may lie in: 127.0.0.0/8 for all, 10.1.0.0/16@<tenant uid> for one tenant.",
        _networks_of_tenants,
    )  # fmt: skip
    delivery_https: str = _setting(
        "optional", "optional or required", "Whether endpoints must have https addresses.",
        _one_of("optional", "required"),
    )  # fmt: skip
    delivery_proxy: Secret | None = _setting(
        None, "address", "Proxy for all requests to endpoints, as http://, https:// or socks5://; none else is used."
    )
    index_share: float = _setting(
        0.1, "share of time", "Most of the writer's time that indexing takes while a burst arrives.", _between(0.01, 1)
    )
    index_soft_lag: int = _setting(
        1_500_000, "events", "Events the filter index may be behind before ingest is slowed.", _at_least(10_000)
    )


def table() -> tuple[dataclasses.Field[Any], ...]:
    """Return the rows of the settings table, for documentation and command line."""
    return dataclasses.fields(Settings)


def load(given: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Put the settings together; `given` holds what the command line named, None meaning "not named".

    Raises:
        BadSetting: for an unknown name in the file, or a value that cannot be used.
    """
    named = {name: value for name, value in given.items() if value is not None}
    data = Path(named.get("data") or environment.get(f"{ENVIRONMENT_PREFIX}DATA") or "data")
    file = _read_file(data / FILE_NAME)
    values: dict[str, Any] = {}
    for row in table():
        value, origin = _lookup(row.name, named, environment, file)
        if origin is not None:
            values[row.name] = _checked(row, value, origin)
    return Settings(**values)


def _lookup(
    name: str, named: Mapping[str, Any], environment: Mapping[str, str], file: Mapping[str, Any]
) -> tuple[Any, str | None]:
    variable = ENVIRONMENT_PREFIX + name.upper()
    if name in named:
        return named[name], "--" + name.replace("_", "-")
    if variable in environment:
        return environment[variable], variable
    if variable + "_FILE" in environment:
        try:
            return Path(environment[variable + "_FILE"]).read_text().strip(), variable + "_FILE"
        except OSError as error:
            raise BadSetting(f"{variable}_FILE cannot be read: {error.strerror}.") from None
        except ValueError:
            raise BadSetting(f"{variable}_FILE names a file that is not text.") from None
    if name in file:
        return file[name], FILE_NAME
    return None, None


def _checked(row: dataclasses.Field[Any], value: Any, origin: str) -> Any:
    try:
        converted = _convert(str(row.type), value)
    except ValueError:
        shown = "" if str(row.type).startswith("Secret") else f", not {value!r}"
        raise BadSetting(f"{row.name} ({origin}) must be {row.metadata['unit']}{shown}.") from None
    check = row.metadata["check"]
    fault = check(converted) if check else None
    if fault:
        raise BadSetting(f"{row.name} ({origin}) {fault}.")
    return converted


def _convert(kind: str, value: Any) -> Any:
    given = type(value)
    if kind == "int" and given in (int, str):
        return int(value)
    if kind == "float" and given in (float, int, str):
        return float(value)
    if kind == "Path" and isinstance(value, str | Path):
        return Path(value)
    if kind == "str" and given is str:
        return value
    if kind.startswith("Secret") and isinstance(value, str | Secret):
        return value if isinstance(value, Secret) else Secret(value)
    raise ValueError(kind)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path.name} cannot be read: {error}.") from None
    unknown = found.keys() - {row.name for row in table()}
    if unknown:
        raise BadSetting(f"{path.name} names an unknown setting: {min(unknown)}.")
    return found
