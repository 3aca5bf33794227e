"""`reference/import-columns.md`: what an import reads from the columns of a file, and what becomes of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from docs.generator import markdown
from heliograph.devices.model import (
    LONGEST_METADATA_KEY,
    LONGEST_METADATA_TEXT,
    LONGEST_NAME,
    MOST_METADATA_KEYS,
    MOST_TAGS,
)
from heliograph.provisioning.claims import LONGEST_CODE, SHORTEST_CODE
from heliograph.provisioning.columns import MOST_COLUMNS, SPELLINGS
from heliograph.provisioning.cutting import LONGEST_ROW
from heliograph.provisioning.importrows import Outcome
from heliograph.provisioning.spreadsheet import MOST_ROWS

_INTRODUCTION = """\
# Import: columns and outcomes

What `POST /v1/provisioning-recipes/import` and `heliograph recipes import` make of a file. Step by step: [From
spreadsheet to running fleet](../how-to/provision-a-fleet.md)."""

_FILE = f"""\
## The file

- **CSV** in UTF-8, with or without a byte order mark. The delimiter is a comma, semicolon, tab or `|`, and is found out
  from the header; a first line such as `sep=;` names it, and `delimiter` another. Cells in double quotes may hold
  delimiters and line breaks.
- Not a workbook (`.xlsx`, `.xls`, `.ods`) and nothing compressed: save the sheet as "CSV UTF-8".
- **JSONL**: one JSON object on each line, with the field names below. `tags` is a list; `tagUids`, `policyUid` and
  `locationUid` are accepted too; `customMetadata` is an object.
- At most {MOST_ROWS:,} rows, {MOST_COLUMNS} columns and {LONGEST_ROW // 1024} KiB in one row. The size of the file is
  bounded by [`import_bytes`](settings.md).
- A quote `'` before a cell that begins with `=`, `+`, `-`, `@` (full-width too), a tab or a line end is taken away: our
  own reports put it there, so that no spreadsheet takes the cell for a formula."""

_COLUMNS = """\
## Columns

The header may have its columns in any order. Upper and lower case, spaces and punctuation in a name do not matter:
`Serial No.` is `serialNo`. A column with another name is ignored, and named in the job's `ignoredColumns`; say what it
means with `map=Column:field` (on the command line `--map "Column=field"`), or `map=Column:-` to have one ignored.

One column must be the brand, and one the serial number or the MAC address. Everything else may be missing; a blank cell
says nothing. Of two columns that mean the same field, one that `map` gives it wins, and the other is ignored; if both
mean it by their names, the file is refused until one of them is mapped.

A file whose header cannot be used is refused as a whole with 400, before anything is imported: rules
`file-format`, `encoding`, `header`, `brand-column`, `identifier-column`, `duplicate-column`, `duplicate-field`,
`too-many-columns`."""

_VALUES: Mapping[str, str] = {
    "brand": "Who made the device. Required in each row.",
    "model": "If given, the device must be of this model.",
    "serialNumber": (
        "This or the MAC address is required. Compared without regard to upper and lower case. What people type for"
        " *none* (`n/a`, `0`, `-`, `unknown`, ...) and numbers that a spreadsheet has rounded (`4.06023E+12`) are no"
        " serial numbers (rule `placeholder`)."
    ),
    "macAddress": (
        "12 hexadecimal digits in any usual notation: `00:1b:44:11:3a:b7`, `00-1B-44-11-3A-B7`, `001b.4411.3ab7`."
    ),
    "deviceName": f"At most {LONGEST_NAME} characters.",
    "tags": f"Names or uids of tags that exist, at most {MOST_TAGS}, separated by `;`, `,` or `|`.",
    "policy": "Name or uid of a policy that exists.",
    "location": "Name or uid of a location that exists.",
    "confirmedOwnership": (
        "`yes`, `y`, `true`, `1`, `x`, or `no`, `n`, `false`, `0`. Yes needs the permission `confirm recipe.tenant`."
    ),
    "onRepeat": "What happens when the device registers again: `keep`, `reset` or `reject`.",
    "claimCode": (
        f"What the device must present, once: {SHORTEST_CODE} to {LONGEST_CODE} letters, digits, hyphens and spaces."
    ),
    "claimCodeExpiresAt": "Until when, as RFC 3339 with an offset: `2027-01-31T12:00:00Z`.",
    "customMetadata": (
        f"A flat JSON object of at most {MOST_METADATA_KEYS} keys; a value is `true`, `false` or a text of at most"
        f" {LONGEST_METADATA_TEXT} characters."
    ),
}

_OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    "created": ("There is a new recipe.", markdown.NOTHING),
    "updated": (
        "The recipe was there, differed, and is now as the row says (`existing=update`); or it was kept Invalid for"
        " this very row, and is repaired.",
        markdown.NOTHING,
    ),
    "unchanged": ("The recipe was there and is what the row says; or the same row was kept before.", markdown.NOTHING),
    "invalid": (
        "The row has faults and was kept as a recipe with the status Invalid (`keepInvalid`).",
        "repair the recipe, or delete it",
    ),
    "conflict": ("Nothing was changed: see the reasons below.", "correct the row, or send it with `existing=update`"),
    "rejected": ("The row has faults; nothing was kept of it.", "correct the row and send it again"),
}

_REASONS = """\
`detail.reason` says why a row was not taken as it stands, `detail.message` the same in words, and `detail.errors` each
fault with `pointer`, `rule` and `message`, as in a [problem document](errors.md).

| Reason | With | Meaning |
|---|---|---|
| `identifiers_taken` | `conflict` | A device of yours, or several recipes, have the serial number or MAC address. |
| `recipe_exists` | `conflict` | The recipe is there and differs; the message names the fields. |
| `claim_code_used` | `conflict` | The recipe's claim code differs and was used; a file does not replace it. |
| `claim_code_not_compared` | `conflict` | The recipe came about at the same moment; send the row again. |
| `update_refused` | `conflict` | `existing=update` was asked for, and the recipe cannot be changed so. |
| a [rule](errors.md#rules) | `rejected`, `invalid` | The first fault of the row. |

What a device is enrolled as in **other** organizations is no reason: nobody learns of it."""


def page() -> str:
    """Return the whole page."""
    if _VALUES.keys() != SPELLINGS.keys():
        raise LookupError("docs/generator/import_columns.py does not say what each column holds.")
    columns = [
        (markdown.code(field), _VALUES[field], ", ".join(names[1:]) or markdown.NOTHING)
        for field, names in SPELLINGS.items()
    ]
    pattern = (
        "`customMetadata.<key>`",
        f"One entry of the device's custom metadata, as text; the key has at most {LONGEST_METADATA_KEY} characters.",
        "`metadata.<key>`",
    )
    outcomes = [(markdown.code(outcome), *_OUTCOMES[outcome]) for outcome in get_args(Outcome)]
    return markdown.document(
        "`heliograph/provisioning/columns.py` and `importrows.py`",
        _INTRODUCTION,
        _FILE,
        _COLUMNS,
        markdown.table(("Field", "What a cell holds", "Also called"), [*columns, pattern]),
        markdown.heading(2, "Outcomes"),
        "Each row has one, in `GET /v1/jobs/{uid}/rows`; a dry run gives the same and changes nothing.",
        markdown.table(("Outcome", "Meaning", "What to do"), outcomes),
        _REASONS,
    )
