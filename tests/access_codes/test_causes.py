"""Why a conversion failed: the closed list, the checks that need no lock, and that something is always said (R10)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.access_codes.causes import (
    ACCOUNT_DISCONNECTED,
    CANNOT_BE_MANAGED,
    CAUSES,
    CODE_UNREADABLE,
    DEVICE_OFFLINE,
    DEVICE_REJECTED,
    DUPLICATE_CODE_ON_DEVICE,
    Cause,
    Remark,
    arrays_of,
    causes_of_failure,
    checks_before,
    reported_cause,
)
from heliograph.access_codes.events import UNMANAGED_CONVERSION_FAILED, UnmanagedConversionFailed
from heliograph.catalog.system import SYSTEM
from heliograph.connected_accounts.model import ConnectedAccount
from heliograph.devices.model import Device, Identity, Presence, Settings
from tests.access_codes.locks import LOCK, NOON, known

# Where each cause stands, written down once more: consumers rely on it.
STANDS_IN = {
    "cannot_be_managed": "access_code_errors",
    "code_unreadable": "access_code_errors",
    "duplicate_code_on_device": "access_code_errors",
    "managed_by_other_workspace": "access_code_errors",
    "account_disconnected": "connected_account_errors",
    "device_offline": "device_errors",
    "device_rejected": "access_code_errors",
    "operation_timed_out": "access_code_errors",
    "no_space_for_access_code_on_device": "access_code_errors",
    "code_constraints_violated": "access_code_errors",
}
ONLINE = Presence(last_seen_at=NOON, connection_uid=b"c" * 16, says_connected=True)
OFFLINE = Presence(last_seen_at=NOON, says_connected=True)
SILENT = Presence(last_seen_at=NOON, battery_level=50)


def lock(presence: Presence | None = ONLINE) -> Device:
    return Device(
        uid=LOCK,
        state="enrolled",
        identity=Identity(brand="Yale", serial_number="SN-1"),
        settings=Settings(),
        presence=presence,
        created_at=NOON,
        updated_at=NOON,
    )


CONNECTED = ConnectedAccount(uid=b"a" * 16, name="Yale", provider="yale", created_at=NOON, updated_at=NOON)
DISCONNECTED = msgspec.structs.replace(CONNECTED, state="disconnected")
CODE = known("1", "1234", number=1)


def filled(arrays: Any) -> dict[str, list[str]]:
    """Return the codes in each of the arrays that have any."""
    return {
        name: [getattr(item, "error_code", None) or item.warning_code for item in items]
        for name, items in arrays.items()
        if items
    }


def test_causes_are_the_documented_ones() -> None:
    assert [cause.error_code for cause in CAUSES] == list(STANDS_IN)
    assert all(cause.message[0].isupper() and cause.message.endswith(".") for cause in CAUSES)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.error_code)
def test_every_cause_is_told_in_one_array(cause: Cause) -> None:
    arrays = arrays_of([cause], NOON)
    assert filled(arrays) == {STANDS_IN[cause.error_code]: [cause.error_code]}
    (item,) = [item for items in arrays.values() for item in items]  # type: ignore[attr-defined]  # of a TypedDict
    assert (item.created_at, item.message) == ("2026-03-02T12:00:00.000Z", cause.message)


@given(causes=st.lists(st.sampled_from(CAUSES), min_size=1, unique=True))
def test_all_causes_of_a_failure_are_told_in_its_event(causes: list[Cause]) -> None:
    sample = UNMANAGED_CONVERSION_FAILED.sample
    assert isinstance(sample, UnmanagedConversionFailed)
    arrays = arrays_of(causes, NOON)
    body = msgspec.structs.replace(sample, **arrays)
    SYSTEM.check(UNMANAGED_CONVERSION_FAILED.type, msgspec.json.encode(body))
    told = [code for codes in filled(arrays).values() for code in codes]
    assert sorted(told) == sorted(cause.error_code for cause in causes)


def test_failure_without_a_cause_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="at least one cause"):
        arrays_of([], NOON, [Remark(warning_code="delay_in_setting_on_device", message="It takes long.")])


def test_connector_that_names_no_cause_says_that_the_lock_refused() -> None:
    assert causes_of_failure([]) == (DEVICE_REJECTED,)
    assert causes_of_failure([DEVICE_OFFLINE]) == (DEVICE_OFFLINE,)


def test_remarks_are_told_beside_the_causes() -> None:
    arrays = arrays_of([DEVICE_OFFLINE], NOON, [Remark(warning_code="low_signal", message="Weak radio.")])
    assert filled(arrays) == {"device_errors": ["device_offline"], "access_code_warnings": ["low_signal"]}


# What is known without asking the lock.


def test_nothing_keeps_a_readable_code_on_a_connected_lock_from_being_converted() -> None:
    assert checks_before(CODE, lock(), CONNECTED, [CODE, known("2", "5678", number=2, managed=True)]) == ()


def test_lock_that_never_said_whether_it_is_connected_is_asked() -> None:
    assert checks_before(CODE, lock(None), CONNECTED, []) == ()


@pytest.mark.parametrize(
    ("code", "device", "account", "cause"),
    [
        (known("1", "1234", cannot_be_managed=True), lock(), CONNECTED, CANNOT_BE_MANAGED),
        (known("1"), lock(), CONNECTED, CODE_UNREADABLE),
        (CODE, lock(), DISCONNECTED, ACCOUNT_DISCONNECTED),
        (CODE, lock(), None, ACCOUNT_DISCONNECTED),
        (CODE, lock(OFFLINE), CONNECTED, DEVICE_OFFLINE),
    ],
)
def test_conversion_fails_at_once_for_what_is_known(code: Any, device: Device, account: Any, cause: Cause) -> None:
    assert checks_before(code, device, account, [code]) == (cause,)


def test_digits_of_another_managed_code_are_a_duplicate() -> None:
    managed, found = known("2", "1234", number=2, managed=True), known("3", "1234", number=3)
    assert checks_before(CODE, lock(), CONNECTED, [found, CODE, managed]) == (DUPLICATE_CODE_ON_DEVICE,)
    assert checks_before(CODE, lock(), CONNECTED, [found, CODE]) == ()
    hidden = known("4", number=4, managed=True)
    assert checks_before(known("1"), lock(), CONNECTED, [hidden]) == (CODE_UNREADABLE,)


def test_all_that_can_be_checked_before_is_found_together() -> None:
    hopeless = known("1", "1234", cannot_be_managed=True)
    others = [known("2", "1234", number=2, managed=True)]
    found = checks_before(hopeless, lock(OFFLINE), DISCONNECTED, others)
    assert {*found, *checks_before(known("1"), lock(), CONNECTED, [])} == {
        cause for cause in CAUSES if cause.checked_before
    }


# What connectors say.


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.error_code)
def test_known_code_of_a_connector_is_the_cause_in_its_own_words(cause: Cause) -> None:
    assert reported_cause(cause.error_code) == cause
    assert reported_cause(cause.error_code, " ") == cause
    told = reported_cause(cause.error_code, "Slot 31 is taken.")
    assert (told.error_code, told.subject, told.message) == (cause.error_code, cause.subject, "Slot 31 is taken.")


@pytest.mark.parametrize(
    ("error_code", "array"),
    [
        ("quantum_bolt_entangled", "access_code_errors"),
        ("provider_issue", "access_code_errors"),
        ("hub_disconnected", "device_errors"),
        ("insufficient_permissions", "connected_account_errors"),
    ],
)
def test_other_code_of_a_connector_is_kept_as_it_is(error_code: str, array: str) -> None:
    assert filled(arrays_of([reported_cause(error_code, "Who knows.")], NOON)) == {array: [error_code]}
    assert reported_cause(error_code).message
