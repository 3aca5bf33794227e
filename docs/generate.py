"""Writes the generated pages of the documentation, or checks that they are up to date.

python -m docs.generate
python -m docs.generate --check
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generator import (
    api,
    causes,
    cli,
    errors,
    events,
    import_columns,
    outcomes,
    permissions,
    registration_reasons,
    seam,
    settings,
)

FOLDER = Path(__file__).parent

PAGES: Mapping[str, Callable[[], str]] = {
    "reference/api.md": api.page,
    "reference/causes.md": causes.page,
    "reference/cli.md": cli.page,
    "reference/delivery-outcomes.md": outcomes.page,
    "reference/errors.md": errors.page,
    "reference/events.md": events.page,
    "reference/import-columns.md": import_columns.page,
    "reference/permissions.md": permissions.page,
    "reference/registration-reasons.md": registration_reasons.page,
    "reference/seam.md": seam.page,
    "reference/settings.md": settings.page,
}
"""Path below `docs/`, and the function that returns the page's whole text."""


def stale_pages(folder: Path = FOLDER) -> list[str]:
    """Return the pages that are missing or differ from what would be written now."""
    return [name for name, page in PAGES.items() if _present(folder / name) != page()]


def write_pages(folder: Path = FOLDER) -> list[str]:
    """Write the pages that are stale; return their names."""
    stale = stale_pages(folder)
    for name in stale:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGES[name](), encoding="utf-8")
    return stale


def _present(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: list[str]) -> int:
    """Write the pages; with `--check` only tell which are stale, and return 1 if any are."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m docs.generate [--check]", file=sys.stderr)
        return 2
    if arguments:
        stale = stale_pages()
        for name in stale:
            print(f"docs/{name} is stale; run: make docs", file=sys.stderr)
        return 1 if stale else 0
    for name in write_pages():
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
