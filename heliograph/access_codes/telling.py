"""How the log is told of access codes, and what is left to be done about those that are gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from heliograph import publish
from heliograph.access_codes import store
from heliograph.access_codes.changes import read_request
from heliograph.access_codes.model import Footing
from heliograph.access_codes.settling import Fact
from heliograph.catalog.definition import EventDefinition
from heliograph.eventlog.model import RelatedEntity
from heliograph.ids import as_hex, as_uuid
from heliograph.operations import actions as operations
from heliograph.operations.model import Operation
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope
from heliograph.times import print_milliseconds


def remove_codes(tx: Transaction, scope: Scope, uids: Sequence[bytes]) -> None:
    """Remove codes, and cancel what connectors were still to do about them."""
    store.delete_codes(tx, scope, uids)
    for operation in operations.pending_about(tx, scope, uids).values():
        cancel(tx, scope, operation)


def cancel(tx: Transaction, scope: Scope, operation: Operation) -> Operation:
    """End an operation that need not be done any more."""
    kept = read_request(operation.request).without_pin().to_keep()
    return operations.end(tx, scope, operation, "cancelled", request=kept)


def tell(
    tx: Transaction, scope: Scope, uid: bytes, facts: Iterable[Fact], footing: Footing, at: int | None = None
) -> None:
    """Record some facts of a code; `at` is when they happened, None for when they are recorded."""
    publish.record_all(tx, scope, occurrences(scope, facts, uid, footing, at))


def occurrences(
    scope: Scope, facts: Iterable[Fact], uid: bytes, footing: Footing, at: int | None
) -> list[publish.Occurrence]:
    """Return the events that tell some facts of a code; `at` is when they happened, None for when they are recorded."""
    return [occurrence(scope, fact.definition, uid, footing, at, **fact.more) for fact in facts]


def occurrence(
    scope: Scope, definition: EventDefinition, uid: bytes, footing: Footing, at: int | None, **more: Any
) -> publish.Occurrence:
    """Return an event about an access code; `at` is when it happened, None standing for when it is recorded.

    `more` are the fields that not all such events have.
    """

    def build(stamp: publish.Stamp) -> msgspec.Struct:
        return definition.struct(
            access_code_id=as_uuid(uid),
            connected_account_custom_metadata=footing.account_metadata,
            connected_account_id=as_uuid(footing.account_uid),
            created_at=print_milliseconds(stamp.recorded_at),
            device_custom_metadata=footing.device_metadata,
            device_id=as_uuid(footing.device_uid),
            event_id=as_uuid(stamp.uid),
            event_type=definition.type,
            occurred_at=print_milliseconds(stamp.recorded_at if at is None else at),
            workspace_id=as_uuid(bytes.fromhex(scope.tenant_uid)),
            **more,
        )

    return publish.Occurrence(
        definition=definition,
        target_id=as_hex(uid),
        build=build,
        related=(
            RelatedEntity(id=as_hex(footing.device_uid), type="Device"),
            RelatedEntity(id=as_hex(footing.account_uid), type="ConnectedAccount"),
        ),
        occurred_at=at,
    )
