"""The decision records are numbered, listed and of one form, and what they list is what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

FOLDER = ROOT / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_records_are_numbered_without_gaps_and_listed() -> None:
    listed = re.findall(r"^\| (\d{4}) \| \[.*\]\((.+)\) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert [name for _, name in listed] == [record.name for record in RECORDS]
    assert [number for number, _ in listed] == [f"{n:04d}" for n in range(1, len(RECORDS) + 1)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_record_has_context_decision_consequences_and_alternatives(record: Path) -> None:
    text = record.read_text()
    assert text.startswith(f"# {record.name[:4]}: ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Alternatives"]


def test_every_requirement_has_its_reason() -> None:
    text = (FOLDER / "0010-dependencies.md").read_text()
    asked = {
        re.split(r"[\[<>=]", line)[0]
        for file in (ROOT / "requirements").glob("*.in")
        for line in file.read_text().splitlines()
        if line and not line.startswith(("#", "-r "))
    }
    for file in (ROOT / "tests").glob("*/node/package.json"):
        packages = json.loads(file.read_text())["dependencies"]
        asked |= {wish.removeprefix("npm:").rpartition("@")[0] or name for name, wish in packages.items()}
    assert sorted(name for name in asked if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)) == []
