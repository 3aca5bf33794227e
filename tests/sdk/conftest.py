"""Each test of this folder is told once to each SDK, in an organization of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sdk.sdks import NODE, PYTHON, Sdk
from tests.sdk.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sdk.sdks import Kind
    from tests.server import Server

KINDS = [
    *(pytest.param(kind, id=name) for name, kind in PYTHON.items()),
    *(pytest.param(kind, id=name, marks=pytest.mark.node) for name, kind in NODE.items()),
]


@pytest.fixture(scope="session")
def started() -> Iterator[dict[Kind, Sdk]]:
    """The SDKs that were needed so far: each takes longer to start than most tests."""
    sdks: dict[Kind, Sdk] = {}
    yield sdks
    for sdk in sdks.values():
        sdk.close()


@pytest.fixture(scope="module", params=KINDS)
def running(request: pytest.FixtureRequest, started: dict[Kind, Sdk]) -> Sdk:
    kind: Kind = request.param
    if kind not in started:
        started[kind] = Sdk(kind)
    return started[kind]


@pytest.fixture
def site(server: Server) -> Site:
    return Site(server)


@pytest.fixture
def sdk(running: Sdk, server: Server, site: Site) -> Sdk:
    """An SDK that has been given the site's address and key."""
    running.connect(f"{server.url}/seam", site.key)
    return running
