"""Every link between the pages leads somewhere, and no page is out of reach."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generator.markdown import anchor
from tests.docs.pages import PAGES, ROOT, name_of, without_code

_LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


def links(page: Path) -> list[str]:
    """Return the targets of a page's links that lead into this repository."""
    found = _LINK.findall(without_code(page.read_text()))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """Return the names under which the headings of a page are found."""
    return {anchor(heading) for heading in _HEADING.findall(without_code(page.read_text()))}


def fault(page: Path, target: str) -> str | None:
    """Say what is wrong with a link, if anything."""
    path, _, fragment = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.is_relative_to(ROOT) or not file.exists():
        return f"{target}: there is no such file"
    if fragment and fragment not in anchors(file):
        return f"{target}: there is no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    assert [found for target in links(page) if (found := fault(page, target))] == []


def test_every_page_is_linked_from_another() -> None:
    linked = {(page.parent / target.partition("#")[0]).resolve() for page in PAGES for target in links(page)}
    assert [name_of(page) for page in PAGES if page not in linked and page.name != "README.md"] == []


def test_broken_link_is_recognised(tmp_path: Path) -> None:
    page = ROOT / "docs" / "rules.md"
    assert fault(page, "no-such-page.md") is not None
    assert fault(page, "rules.md#no-such-heading") is not None
    assert fault(page, str(tmp_path)) is not None
