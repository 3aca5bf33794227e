"""The platform in this process, on each database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import StoreUrl
from tests.http.inprocess import Api, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A platform for the tests of one module; each makes the tenants that it needs."""
    dsn = None
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        dsn = server.create_database()
    api = Api(settings_for(StoreUrl(dsn, tmp_path_factory.mktemp("data"))))
    api.start()
    yield api
    api.stop()
    if dsn is not None:
        server.drop_database(dsn)


@pytest.fixture
def tenant(api: Api) -> str:
    """An organization of the test's own."""
    return api.tenant()


@pytest.fixture
def owner(api: Api, tenant: str) -> str:
    """A key at home in the test's organization, which may do everything there."""
    return api.key(tenant, "owner")
