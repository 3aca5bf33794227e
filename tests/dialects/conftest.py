"""The same platform that the tests of the native API run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dialects.house import House
from tests.http.conftest import api as api
from tests.http.conftest import owner as owner
from tests.http.conftest import tenant as tenant

if TYPE_CHECKING:
    from tests.http.inprocess import Api


@pytest.fixture
def house(api: Api) -> House:
    """A tenant of the test's own, with two locks and some access codes."""
    return House.build(api)
