"""The dialect as a whole: its route table, and how it says what goes wrong."""

from __future__ import annotations

from heliograph.dialects.seam.access_code_changes import ACCESS_CODE_CHANGES
from heliograph.dialects.seam.access_codes import ACCESS_CODES
from heliograph.dialects.seam.answers import (
    failure_response,
    headers_of_all,
    no_such_path,
    refusal_response,
    wrong_method,
)
from heliograph.dialects.seam.connected_accounts import CONNECTED_ACCOUNTS
from heliograph.dialects.seam.devices import DEVICES
from heliograph.dialects.seam.events import EVENTS
from heliograph.dialects.seam.routes import PREFIX
from heliograph.dialects.seam.unmanaged_access_codes import UNMANAGED_ACCESS_CODES
from heliograph.dialects.seam.unmanaged_changes import UNMANAGED_CHANGES
from heliograph.dialects.seam.webhooks import WEBHOOKS
from heliograph.dialects.seam.workspaces import WORKSPACES
from heliograph.http.edge import Dialect
from heliograph.http.routes import Routes

ROUTES = Routes(
    (
        *EVENTS,
        *DEVICES,
        *CONNECTED_ACCOUNTS,
        *WORKSPACES,
        *ACCESS_CODES,
        *ACCESS_CODE_CHANGES,
        *UNMANAGED_ACCESS_CODES,
        *UNMANAGED_CHANGES,
        *WEBHOOKS,
    ),
    no_such_path,
    wrong_method,
)
"""All routes of the dialect."""

# The SDK for Python of major 2 drops the path of the endpoint that it is given.
_HEADS = frozenset(route.path.removeprefix(PREFIX).split("/")[1] for route in ROUTES.all)

SEAM = Dialect(PREFIX, _HEADS, ROUTES, refusal_response, failure_response, headers_of_all)
