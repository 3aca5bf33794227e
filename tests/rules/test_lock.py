"""The requirements are locked: each version pinned and hashed, from wherever the installer's own index is."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.rules.source import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "requirements"
LOCKS = sorted(FOLDER.glob("*.txt"))
NODE = sorted((ROOT / "tests").glob("*/node"))


def named(requirement: str) -> str:
    """Return the normalised name of a requirement (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def entries(lock: Path) -> list[str]:
    """Return each locked requirement with its continuation lines joined to it."""
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    return re.split(r"\n(?=\S)", "\n".join(lines).replace("\\\n", ""))


def pins(lock: Path) -> dict[str, str]:
    """Return name to pinned version."""
    return {named(entry): entry.split("==")[1].split()[0] for entry in entries(lock)}


def asked_for(source: Path) -> set[str]:
    """Return the names in a `.in` file, those of the files it includes left out."""
    lines = source.read_text().splitlines()
    return {named(line) for line in lines if line and not line.startswith(("#", "-r "))}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_and_hashed(lock: Path) -> None:
    pinned_and_hashed = re.compile(r"[\w.-]+==\S+( ; [^\n]*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*")
    assert [entry for entry in entries(lock) if not pinned_and_hashed.fullmatch(entry)] == []


@pytest.mark.parametrize("file", [*LOCKS, *sorted(FOLDER.glob("*.in"))], ids=lambda file: file.name)
def test_no_requirements_file_names_an_index(file: Path) -> None:
    assert re.findall(r"\S*://\S*|--(?:extra-)?index-url|--find-links|--trusted-host", file.read_text()) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_holds_all_that_its_source_asks_for(lock: Path) -> None:
    assert asked_for(lock.with_suffix(".in")) - set(pins(lock)) == set()


def test_package_asks_for_exactly_what_the_runtime_lock_is_made_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {named(requirement) for requirement in project["dependencies"]} == asked_for(FOLDER / "runtime.in")


def test_all_locks_agree_on_every_version_but_those_that_are_tested_in_two() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in pins(lock).items():
            versions.setdefault(name, set()).add(version)
    assert [len(versions.pop(name)) for name in ("seam", "svix")] == [2, 2]
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("folder", NODE, ids=lambda folder: folder.parent.name)
def test_every_npm_package_is_hashed_from_no_named_registry(folder: Path) -> None:
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    asked_for = json.loads((folder / "package.json").read_text())["dependencies"]
    assert packages.pop("")["dependencies"] == asked_for
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [wish for wish in asked_for.values() if not re.fullmatch(r"(npm:@?[\w./-]+@)?[\d.]+", wish)] == []
