"""A test that needs a missing program is skipped aloud, or fails where every test is required."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.programs import REQUIRE_ALL

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[[], pytest.RunResult]:
    """Run one test that needs Node.js and one that needs nothing, where no program can be found."""
    pytester.makeini("[pytest]\nmarkers = node")
    pytester.makepyfile("import pytest\n@pytest.mark.node\ndef test_with_node(): pass\ndef test_without(): pass\n")
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    return lambda: pytester.runpytest_subprocess("-p", "tests.programs", "-p", "no:xdist")


def test_missing_program_is_named_when_its_test_was_skipped(run: Callable[[], pytest.RunResult]) -> None:
    result = run()
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["NOT RUN: 1 test, because Node.js with npm is missing here."])


def test_missing_program_fails_its_test_when_all_are_required(
    run: Callable[[], pytest.RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REQUIRE_ALL, "1")
    result = run()
    result.assert_outcomes(passed=1, errors=1)
    assert "NOT RUN" not in result.stdout.str()
