"""`reference/settings.md`: the settings table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from docs.generator import markdown
from heliograph.catalog.actions import LARGEST_TYPE_COUNT
from heliograph.catalog.model import LARGEST_SCHEMA
from heliograph.devices.model import LONGEST_METADATA_KEY, LONGEST_METADATA_TEXT, MOST_METADATA_KEYS, MOST_TAGS
from heliograph.eventlog.attributes import LARGEST_EXTENSIONS
from heliograph.http.connection_problems import MAX_URL_BYTES
from heliograph.http.events import MOST_VALUES
from heliograph.http.protocol import MAX_PIPELINED
from heliograph.jobs.actions import MOST_UNFINISHED
from heliograph.presence.model import MOST_MEASUREMENTS
from heliograph.provisioning.claims import MOST_TRIES
from heliograph.provisioning.columns import MOST_COLUMNS
from heliograph.provisioning.spreadsheet import MOST_ROWS
from heliograph.references.model import LARGEST_ITEMS, LARGEST_METADATA, MOST_LEVELS, MOST_METADATA_NAMES
from heliograph.settings import ENVIRONMENT_PREFIX, FILE_NAME, table
from heliograph.tenancy.access import LARGEST_SUBTREE
from heliograph.tenancy.actions import LARGEST_KEY_COUNT

_INTRODUCTION = f"""\
# Settings

A setting comes from the command line, else from the environment (`{ENVIRONMENT_PREFIX}<NAME>`), else from
`{FILE_NAME}` in the data folder, else from its default. A secret can be handed over as a file instead:
`{ENVIRONMENT_PREFIX}MASTER_KEY_FILE=/run/secrets/master-key`. A name that is unknown, or a value outside its range,
stops the program with a message that names it and where it came from."""

_FILE = f"In `{FILE_NAME}` the names are in lower case and without the prefix:"

_EXAMPLE = """\
port = 9000
batch_events = 500
trusted_proxies = "10.0.0.0/8"\
"""

_FIXED = (
    (1000, "events in one page of a list"),
    (MOST_VALUES, "values of one filter in a query"),
    (LARGEST_SUBTREE, "tenants that one `include=subtree` may cover"),
    (LARGEST_TYPE_COUNT, "own event types of a tenant"),
    (LARGEST_SCHEMA, "bytes of a type's schema"),
    (LARGEST_EXTENSIONS, "bytes of a CloudEvent's extensions, names and values"),
    (LARGEST_KEY_COUNT, "keys of a tenant"),
    (MOST_TAGS, "tags of a device or recipe"),
    (MOST_METADATA_KEYS, "keys in the custom metadata of a device, recipe or connected account"),
    (LONGEST_METADATA_KEY, "characters of such a key"),
    (LONGEST_METADATA_TEXT, "characters of a text in custom metadata"),
    (MOST_METADATA_NAMES, "names in the metadata of a location"),
    (LARGEST_METADATA, "bytes of that metadata, as JSON"),
    (LARGEST_ITEMS, "bytes of a policy's items, as JSON"),
    (MOST_LEVELS, "levels of tags below each other"),
    (MOST_MEASUREMENTS, "names under which a device keeps telemetry"),
    (MOST_TRIES, "wrong claim codes for one recipe from one key, in an hour"),
    (MOST_UNFINISHED, "jobs of a tenant that wait or run"),
    (MOST_ROWS, "rows of an imported file"),
    (MOST_COLUMNS, "columns of an imported file"),
    (MAX_URL_BYTES, "bytes of a request's path and query"),
    (MAX_PIPELINED, "requests that a connection may send ahead of their answers"),
)


def page() -> str:
    """Return the whole page."""
    rows = [_row(row) for row in table()]
    return markdown.document(
        "`heliograph/settings.py`",
        _INTRODUCTION,
        markdown.table(("Name", "Default", "Unit or form", "Allowed", "Meaning"), rows),
        _FILE,
        markdown.fence("toml", _EXAMPLE),
        markdown.heading(2, "Limits that are no settings"),
        markdown.table(("At most", "What"), [(f"{limit:,}", what) for limit, what in _FIXED]),
    )


def _row(row: dataclasses.Field[Any]) -> tuple[str, ...]:
    return (
        markdown.code(ENVIRONMENT_PREFIX + row.name.upper()),
        _default(row.default),
        row.metadata["unit"],
        _allowed(row),
        row.metadata["help"],
    )


def _default(value: Any) -> str:
    if value is None or value == "":
        return markdown.NOTHING
    if isinstance(value, float):
        return markdown.code(f"{value:g}")
    return markdown.code(value.as_posix() if isinstance(value, Path) else str(value))


def _allowed(row: dataclasses.Field[Any]) -> str:
    """Let the check itself say what it allows, by asking it about a value that nothing allows."""
    check = row.metadata["check"]
    if check is None:
        return markdown.NOTHING
    impossible = "\0" if isinstance(row.default, str) else float("-inf")
    fault = check(impossible)
    assert fault is not None, row.name
    # What was asked about is not shown, where the answer repeats it.
    words = str(fault).rpartition(" where ")[2].replace(" is expected", "")
    return words.removeprefix("must be one of ").removeprefix("must lie ").removeprefix("must be ")
