"""Runs the shell examples of a page in their order, in one bash, and compares what they print.

A page is written for a server on 127.0.0.1:8080; a test has a port of its own, so addresses are exchanged. What
differs from run to run (ids, times, tokens, cursors) is compared by its form only, and `...` stands for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block
from tests.programs import REQUIRE_ALL

SAFETY_SECONDS = 60.0
_END = "\x1e"

# `make` builds the environment that the tests already run in: here it only says what it would do.
_PREAMBLE = f"""
set -euo pipefail
make() {{ command make --no-print-directory --dry-run --directory '{ROOT}' "$@"; }}
"""

_VOLATILE = (
    (r"hgd?_(?:[A-Za-z0-9_-]+|\.\.\.)", "<token>"),
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
    (r"\b[0-9a-f]{32}\b", "<uid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "<time>"),
    (r'(?<=")[A-Za-z0-9_-]{40,}(?=")', "<cursor>"),
)


def require(*programs: str) -> None:
    """Skip, or fail where every test is required, without the programs that the examples are written for."""
    missing = ", ".join(program for program in programs if shutil.which(program) is None)
    if missing and os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{missing} is missing, and {REQUIRE_ALL}=1 asks for every test.", pytrace=False)
    if missing:
        pytest.skip(f"{missing} is missing")


def run_blocks(
    blocks: Sequence[Block],
    folder: Path,
    exchanges: Mapping[str, str],
    settings: Mapping[str, str] | None = None,
    extra_path: str = "",
) -> list[str]:
    """Run the `sh` and `python` blocks in `folder`; return what went wrong, by line of the page.

    `exchanges` replaces texts of the page, in commands and outputs alike, by those of this run. `settings` are
    environment variables, and `extra_path` is a folder of programs that the machine may lack.
    """
    steps = [block for block in blocks if block.language in ("sh", "python")]
    script = _PREAMBLE + "".join(_step(block, exchanges) for block in steps)
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join(part for part in (scripts, extra_path, os.environ["PATH"]) if part)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    environment |= {"PATH": path, **(settings or {})}
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        printed, complaints = process.communicate(timeout=SAFETY_SECONDS)
    except subprocess.TimeoutExpired:
        _end_what_is_left(process.pid)
        printed, complaints = process.communicate()
        complaints += f"It was not done after {SAFETY_SECONDS:g} seconds."
    else:
        _end_what_is_left(process.pid)
    outputs = printed.split(_END)[:-1]
    faults = [
        f"line {block.line}: printed\n{output.strip()}\ninstead of\n{block.output.strip()}"
        for block, output in zip(steps, outputs, strict=False)
        if block.output is not None and not matches(_exchanged(block.output, exchanges), output)
    ]
    if process.returncode:
        failed = steps[len(outputs)] if len(outputs) < len(steps) else steps[-1]
        rest = printed.split(_END)[-1]
        faults.append(f"line {failed.line}: exit code {process.returncode}\n{failed.text}\n{rest}\n{complaints}")
    return faults


def _step(block: Block, exchanges: Mapping[str, str]) -> str:
    text = _exchanged(block.text, exchanges)
    if block.language == "python":
        text = f"python - <<'END OF PYTHON'\n{text}END OF PYTHON\n"
    return f"{text}\nprintf '%s' '{_END}'\n"


def _exchanged(text: str, exchanges: Mapping[str, str]) -> str:
    for old, new in exchanges.items():
        text = text.replace(old, new)
    return text


def _end_what_is_left(group: int) -> None:
    """End the servers that the examples started in the background: all are in this process group of ours."""
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return


def matches(documented: str, printed: str) -> bool:
    """Compare without regard to white space, and to what differs from run to run."""
    pattern = ".*?".join(re.escape(part) for part in _plain(documented).split("..."))
    return re.fullmatch(pattern, _plain(printed), re.DOTALL) is not None


def _plain(text: str) -> str:
    for volatile, name in _VOLATILE:
        text = re.sub(volatile, name, text)
    return re.sub(r"\s+", "", text)
