"""What the pages tell people to type works, and prints what they say it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import StoreUrl
from tests.docs.pages import ROOT, blocks
from tests.docs.runner import require_curl, run_blocks
from tests.server import Server

# Pages that expect a running server, fresh from its first start, on the data folder `data`.
ON_A_SERVER = [
    "docs/tutorial.md",
    "docs/rules.md",
    "docs/log-format.md",
    "docs/how-to/cloudevents.md",
    "docs/how-to/permissions.md",
]


@pytest.mark.parametrize("name", ON_A_SERVER)
def test_examples_do_what_the_page_says_on_a_fresh_server(name: str, tmp_path: Path) -> None:
    require_curl()
    server = Server.start(StoreUrl(None, tmp_path / "data"))
    try:
        exchanges = {"127.0.0.1:8080": f"127.0.0.1:{server.port}", "hg_...": server.key}
        faults = run_blocks(list(blocks((ROOT / name).read_text())), tmp_path, exchanges)
        assert not faults, "\n\n".join(faults)
    finally:
        server.stop()
