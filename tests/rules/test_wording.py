"""Nothing in the repository is tied to one machine or to one package registry."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.rules.source import ROOT

# In parts, so that this file does not contain what it forbids.
REGISTRIES = [
    ("pypi", "org"),
    ("pypi", "python", "org"),
    ("files", "pythonhosted", "org"),
    ("registry", "npmjs", "org"),
    ("deb", "debian", "org"),
    ("archive", "ubuntu", "com"),
    ("static", "crates", "io"),
]
FORBIDDEN = re.compile(
    "|".join(
        [
            *(re.escape(".".join(host)) for host in REGISTRIES),
            r"(?<![\w./-])/(?:work|root)/",
            r"\.\./shared",
        ]
    )
)


def files_in_git() -> list[str]:
    """Return the paths of all files that are committed or would be by `git add`."""
    # A checkout that belongs to somebody else is listed too.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run([*command, "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="this is not a checkout of git")
def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = {
        name: sorted(set(FORBIDDEN.findall((ROOT / name).read_bytes().decode(errors="replace"))))
        for name in files_in_git()
    }
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "text", [".".join(REGISTRIES[0]), "/".join(["see ", "root", "x"]), "/".join(["`", "work", ""])]
)
def test_forbidden_wording_is_recognised(text: str) -> None:
    assert FORBIDDEN.search(text)
