"""The check that every caller's event passes, with a tenant's own types kept compiled between requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import jsonschema_rs
import msgspec

from heliograph.catalog.model import OwnType, compile_schema
from heliograph.catalog.system import SYSTEM
from heliograph.errors import Fault, Invalid, Unprocessable
from heliograph.eventlog.model import FIRST_FREE_CODE, EventDraft, is_json
from heliograph.strict_json import schema_faults
from heliograph.tenancy.model import Scope

FRESH_SECONDS = 5.0
"""How long another process may go on with a type that was changed here."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """An own type, ready to check payloads."""

    own: OwnType
    validator: jsonschema_rs.Validator | None


class TenantTypes:
    """Own types by tenant; used by the event loop's thread only."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, dict[str, Compiled]]] = {}
        self.changes = 0
        """How often a type has changed; what was read before the latest change is not kept after it."""

    def find(self, scope: Scope) -> dict[str, Compiled] | None:
        """Return the tenant's types if they were read lately."""
        known = self._known.get(scope.tenant_id)
        if known is None or time.monotonic() - known[0] > FRESH_SECONDS:
            return None
        return known[1]

    def keep(self, scope: Scope, types: Sequence[OwnType], changes: int) -> dict[str, Compiled]:
        """Compile what was just read, asked when there had been so many `changes`; take over what is the same."""
        before = self._known.get(scope.tenant_id, (0.0, {}))[1]
        compiled = {own.type: _compile(own, before.get(own.type)) for own in types}
        if changes == self.changes:
            self._known[scope.tenant_id] = (time.monotonic(), compiled)
        return compiled

    def forget(self, scope: Scope) -> None:
        """Drop a tenant's types because one was changed."""
        self.changes += 1
        self._known.pop(scope.tenant_id, None)


def _compile(own: OwnType, before: Compiled | None) -> Compiled:
    if before is not None and before.own == own:
        return before
    return Compiled(own, None if own.schema is None else compile_schema(own.schema))


def check(draft: EventDraft, types: dict[str, Compiled], scope: Scope) -> EventDraft:
    """Complete a caller's event from its type, and refuse what the type or the tenant does not allow.

    Raises:
        Invalid: when it has neither type nor code, or its type is one of the platform's.
        Unprocessable: when the type's schema or `rejectReservedCodes` refuses it.
    """
    if draft.type is None and draft.code is None:
        raise Invalid.at("/eventCode", "required", "An event has an eventCode or a type, or both.")
    compiled = types.get(draft.type) if draft.type is not None else None
    if compiled is not None:
        draft = _completed(draft, compiled.own)
        if compiled.validator is not None:
            _check_payload(draft, compiled.validator)
    elif draft.type is not None and SYSTEM.get(draft.type) is not None:
        raise Invalid.at("/type", "reserved-type", f"Only the platform raises events of the type {draft.type!r}.")
    if scope.reject_reserved_codes and draft.code is not None and draft.code < FIRST_FREE_CODE:
        words = f"The tenant refuses codes below {FIRST_FREE_CODE} from callers (rejectReservedCodes)."
        raise Unprocessable(words, (Fault("/eventCode", "reserved-code", words),))
    return draft


def _completed(draft: EventDraft, own: OwnType) -> EventDraft:
    if draft.code is not None and draft.criticality is not None:
        return draft
    return msgspec.structs.replace(
        draft,
        code=own.default_code if draft.code is None else draft.code,
        criticality=own.default_criticality if draft.criticality is None else draft.criticality,
    )


def _check_payload(draft: EventDraft, validator: jsonschema_rs.Validator) -> None:
    if draft.content_type is None or not is_json(draft.content_type):
        words = f"The type {draft.type!r} has a schema, so its payload must be JSON."
        raise Unprocessable(words, (Fault("/payload", "payload-json", words),))
    document = msgspec.json.decode(draft.payload)
    try:
        valid = validator.is_valid(document)
    except ValueError:
        valid = False  # nested too deeply to be checked, which the faults then say
    if not valid:
        faults = schema_faults(validator, document, "payload", size=len(draft.payload))
        raise Unprocessable(f"The payload does not obey the schema of the type {draft.type!r}.", tuple(faults))
