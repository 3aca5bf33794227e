"""Keeps the PINs of a lock out of what its connector says in its own words: events and lists show those."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from heliograph.access_codes import store
from heliograph.access_codes.causes import CODES_WITH_DIGITS
from heliograph.access_codes.pins import Pins
from heliograph.operations.model import Completion, Said
from heliograph.storage.engine import Transaction
from heliograph.tenancy.model import Scope

MOST_LOOKED_UP = 200
"""Runs of digits of one completion that are held against the PINs of the lock; any more count as PINs."""

_RUN = re.compile(r"(?<![0-9])[0-9]{1,20}(?![0-9])")


def without_pins(tx: Transaction, scope: Scope, device_uid: bytes, completion: Completion, pins: Pins) -> Completion:
    """Return a completion in whose words every run of digits that is a PIN of the lock's codes became asterisks.

    It is so with the PINs of all codes, for a connector may name the one that is in the way.
    """
    said = (*completion.errors, *completion.warnings)
    runs = sorted({run for one in said for run in _RUN.findall(f"{one.code} {one.message or ''}")})
    by_index = {pins.index(device_uid, run): run for run in runs[:MOST_LOOKED_UP]}
    used = store.pins_in_use(tx, scope, device_uid, list(by_index)) if by_index else set()
    secret = {by_index[index] for index in used} | set(runs[MOST_LOOKED_UP:])
    return msgspec.structs.replace(
        completion,
        errors=tuple(_masked(one, secret) for one in completion.errors),
        warnings=tuple(_masked(one, secret) for one in completion.warnings),
    )


def _masked(said: Said, secret: Collection[str]) -> Said:
    def mask(run: re.Match[str]) -> str:
        return "*" * len(run[0]) if run[0] in secret else run[0]

    code = said.code if said.code in CODES_WITH_DIGITS else _RUN.sub(mask, said.code)
    return Said(code, None if said.message is None else _RUN.sub(mask, said.message))
