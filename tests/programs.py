"""Tests that need a program beside Python are marked with its name; a run ends by naming what was missing."""

from __future__ import annotations

import os
import shutil

import pytest

PROGRAMS = {"node": ("Node.js with npm", ("npm",)), "chromium": ("Chromium", ("chromium", "chromium-browser"))}
"""Marker: the program's name for people, and the commands that it may have."""

REQUIRE_ALL = "HELIOGRAPH_REQUIRE_ALL"
"""The environment variable that turns such a skip into a failure when it is `1`."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a marked test where its program is missing, or fail it where all are required."""
    for marker, (name, commands) in PROGRAMS.items():
        if item.get_closest_marker(marker) is None or any(map(shutil.which, commands)):
            continue
        if os.environ.get(REQUIRE_ALL) == "1":
            pytest.fail(f"{name} is missing, and {REQUIRE_ALL}=1 asks for every test.", pytrace=False)
        pytest.skip(f"{name} is missing")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which programs were missing and how many tests that cost; say nothing when none were."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for name, _ in PROGRAMS.values():
        skipped = sum(f"{name} is missing" in reason for reason in reasons)
        if skipped:
            tests = "1 test" if skipped == 1 else f"{skipped} tests"
            terminalreporter.write_line(f"NOT RUN: {tests}, because {name} is missing here.")
