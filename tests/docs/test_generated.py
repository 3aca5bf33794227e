"""The generated pages say what the code says today."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate import PAGES, main, stale_pages, write_pages
from docs.generator.source import rules, used_names


def test_generated_pages_are_up_to_date() -> None:
    assert stale_pages() == [], "run: make docs"


def test_check_names_the_stale_pages_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_pages(tmp_path) == list(PAGES)
    assert stale_pages(tmp_path) == []
    (tmp_path / "reference" / "settings.md").write_text("old")
    assert stale_pages(tmp_path) == ["reference/settings.md"]
    assert main(["--chekc"]) == 2
    assert "usage" in capsys.readouterr().err


def test_every_fault_rule_of_the_source_is_found() -> None:
    found = {rule.slug for rule in rules()}
    # One of each way to write a fault: a call, a grammar, a returned pair, a message in a variable.
    assert {"leap-second", "uri-reference", "scalar", "reserved-code"} <= found


def test_event_types_that_nothing_raises_are_told_from_those_that_are() -> None:
    used = used_names()
    assert {"TENANT_CREATED", "UNMANAGED_CONVERTED", "ACCESS_CODE_CREATED"} <= used
    # Samples of the catalogue are no use that raises anything.
    assert "_ACCESS_CODE" not in used
