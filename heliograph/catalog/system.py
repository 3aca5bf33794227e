"""The platform's own event types, of all features together.

It imports nothing but the features' pure modules of events, so it may be imported wherever those may.
"""

from __future__ import annotations

from heliograph.access_codes import events as access_codes
from heliograph.access_codes import managed_events as managed_access_codes
from heliograph.catalog import events as catalog
from heliograph.catalog.definition import Catalog
from heliograph.connected_accounts import events as connected_accounts
from heliograph.delivery import events as deliveries
from heliograph.devices import events as devices
from heliograph.endpoints import events as endpoints
from heliograph.eventlog import events as eventlog
from heliograph.jobs import events as jobs
from heliograph.presence import events as presence
from heliograph.provisioning import events as provisioning
from heliograph.references import events as references
from heliograph.tenancy import events as tenancy

SYSTEM = Catalog(
    eventlog.EVENTS
    + tenancy.EVENTS
    + catalog.EVENTS
    + jobs.EVENTS
    + references.EVENTS
    + connected_accounts.EVENTS
    + devices.EVENTS
    + presence.EVENTS
    + provisioning.EVENTS
    + access_codes.EVENTS
    + managed_access_codes.EVENTS
    + endpoints.EVENTS
    + deliveries.EVENTS
)
