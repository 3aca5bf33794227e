"""Everything is delivered once for all tests of this folder."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.conftest import StoreUrl
from tests.server import Server
from tests.webhooks.scene import Reluctant, Scene
from tests.webhooks.verifiers import VERIFIERS, Verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All situations, played on a server that may deliver to this machine."""
    store = StoreUrl(None, tmp_path_factory.mktemp("data"))
    with Reluctant() as receiver:
        server = Server.start(store, delivery_allow_networks="127.0.0.0/8")
        try:
            scene = Scene(server, receiver)
            scene.play()
            yield scene
        finally:
            server.stop()


@pytest.fixture(scope="session")
def verify_with() -> Iterator[Callable[[str], Verify]]:
    """Returns a verifier by its name; each is started when it is first asked for."""
    started: dict[str, Verify] = {}
    with ExitStack() as running:

        def find(name: str) -> Verify:
            if name not in started:
                started[name] = running.enter_context(VERIFIERS[name].start())
            return started[name]

        yield find
