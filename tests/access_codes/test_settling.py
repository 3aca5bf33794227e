"""What becomes of a code when an operation ends, and exactly what is told, for every kind, outcome and status."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.access_codes.causes import DEVICE_OFFLINE, DEVICE_REJECTED, OPERATION_TIMED_OUT, Remark
from heliograph.access_codes.changes import OperationKind, Request, Target, target_of
from heliograph.access_codes.model import AccessCode, Standing, Status
from heliograph.access_codes.reconcile import diff
from heliograph.access_codes.settling import MODIFIED_AT_LOCK, NOT_REMOVED, NOT_SET, Settled, failed, succeeded
from heliograph.devices.model import Condition
from heliograph.times import print_time
from tests.access_codes.locks import HOUR, NOON, known, pin_index, report, reported

STATUSES: tuple[Status, ...] = get_args(Status)
AT, NOW = NOON + HOUR, NOON + 2 * HOUR
CANARY, OTHER_CANARY = "73519846", "64891537"
OTHER_ERROR = Condition("provider_issue", "Something else.", print_time(NOON))


def types(settled: Settled) -> list[str]:
    return [fact.definition.type.removeprefix("access_code.") for fact in settled.facts]


def managed(status: Status = "setting", **fields: Any) -> AccessCode:
    code = known("1", CANARY, name="Guest", managed=True, status=status)
    return msgspec.structs.replace(code, **fields)


def unmanaged(**fields: Any) -> AccessCode:
    return msgspec.structs.replace(known("1", CANARY, name="Guest"), **fields)


def asked(code: AccessCode, **changes: Any) -> Request:
    more = {name: changes.pop(name) for name in ("force", "external_modification_allowed") if name in changes}
    return Request(code=msgspec.structs.replace(target_of(code), **changes), **more)


def done(
    code: AccessCode, kind: OperationKind, request: Request | None = None, external_id: str | None = None
) -> Settled:
    return succeeded(code, kind, request or asked(code), external_id=external_id, at=AT, now=NOW)


def not_done(code: AccessCode, kind: OperationKind, *, in_doubt: bool = False, **more: Any) -> Settled:
    given: dict[str, Any] = {"causes": (DEVICE_REJECTED,), "remarks": (), "standing": Standing()} | more
    return failed(code, kind, in_doubt=in_doubt, at=AT, now=NOW, **given)


def kept(settled: Settled) -> AccessCode:
    assert settled.code is not None
    return settled.code


# -- success --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [False, True])
def test_converted_code_is_managed_and_as_the_lock_shows_it(allowed: bool) -> None:
    code = unmanaged(cannot_be_managed=True, found_at=NOON)
    settled = done(code, "convert_access_code", asked(code, external_modification_allowed=allowed, name="stale"))
    assert types(settled) == ["unmanaged.converted_to_managed"]
    assert settled.facts[0].more == {}
    assert kept(settled) == msgspec.structs.replace(
        code, managed=True, cannot_be_managed=False, external_modification_allowed=allowed, settled_at=AT,
        updated_at=NOW, version=2,
    )  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
def test_removed_managed_code_is_gone_whatever_was_known_of_it(status: Status) -> None:
    settled = done(managed(status), "remove_access_code")
    assert settled.code is None
    assert types(settled) == ["removed_from_device", "deleted"]
    assert [fact.more for fact in settled.facts] == [{}, {"code": None}]


def test_removed_unmanaged_code_is_gone() -> None:
    settled = done(unmanaged(), "remove_access_code")
    assert (settled.code, types(settled)) == (None, ["unmanaged.removed"])


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", ["set_access_code", "update_access_code"])
def test_code_that_the_lock_holds_is_set_and_what_was_wrong_is_over(status: Status, kind: OperationKind) -> None:
    wrong = tuple(Condition(code, "It failed.", print_time(NOON)) for code in (NOT_SET, NOT_REMOVED, MODIFIED_AT_LOCK))
    code = managed(status, errors=(*wrong, OTHER_ERROR))
    settled = done(code, kind)
    assert types(settled) == ["set_on_device"]
    assert kept(settled) == msgspec.structs.replace(
        code, status="set", errors=(OTHER_ERROR,), found_at=AT, settled_at=AT, updated_at=NOW, version=2
    )


def test_changes_are_told_in_order_before_that_the_lock_holds_them() -> None:
    code = managed()
    target = {
        "name": "Night", "pin_index": pin_index(OTHER_CANARY), "sealed_pin": b"new", "type": "time_bound",
        "starts_at": AT, "ends_at": AT + HOUR,
    }  # fmt: skip
    settled = done(code, "update_access_code", asked(code, **target))
    assert types(settled) == ["changed", "name_changed", "code_changed", "time_frame_changed", "set_on_device"]
    after = kept(settled)
    assert {name: getattr(after, name) for name in target} == target
    frame = settled.facts[3].more
    assert (frame["from_"].starts_at, frame["to"].starts_at) == (None, "2026-03-02T13:00:00.000Z")
    assert settled.facts[-1].more == {"code": None}


@pytest.mark.parametrize(("starts_at", "told"), [(None, "set"), (AT, "set"), (AT - 1, "set"), (AT + 1, "scheduled")])
def test_code_that_begins_after_the_confirmation_is_scheduled(starts_at: int | None, told: str) -> None:
    code = managed(starts_at=starts_at, type="time_bound" if starts_at else "ongoing")
    assert types(done(code, "set_access_code")) == [f"{told}_on_device"]


@pytest.mark.parametrize(
    ("before", "said", "after"), [(None, None, None), (None, "9", "9"), ("1", None, "1"), ("1", "9", "9")]
)
@pytest.mark.parametrize("kind", ["convert_access_code", "set_access_code", "update_access_code"])
def test_id_is_the_one_that_the_lock_gave_last(
    kind: OperationKind, before: str | None, said: str | None, after: str | None
) -> None:
    code = managed(external_id=before) if kind != "convert_access_code" else unmanaged(external_id=before)
    assert kept(done(code, kind, external_id=said)).external_id == after


def test_code_was_found_when_a_lock_first_showed_it() -> None:
    assert kept(done(managed(found_at=NOON), "set_access_code")).found_at == NOON


# -- failure --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_doubt", [False, True])
def test_conversion_that_failed_leaves_the_code_as_it_was(in_doubt: bool) -> None:
    code = unmanaged()
    settled = not_done(code, "convert_access_code", in_doubt=in_doubt)
    assert (settled.code, types(settled)) == (code, ["unmanaged.failed_to_convert_to_managed"])


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    ("kind", "told", "certain", "doubtful"),
    [
        ("set_access_code", NOT_SET, "unset", "unset"),
        ("update_access_code", NOT_SET, "set", "unknown"),
        ("remove_access_code", NOT_REMOVED, "set", "unknown"),
    ],
)
def test_managed_code_of_a_failed_operation_keeps_all_but_status_and_error(
    kind: OperationKind, told: str, certain: Status, doubtful: Status, status: Status, in_doubt: bool
) -> None:
    earlier = Condition(told, "The last time.", print_time(NOON))
    code = managed(status, errors=(earlier, OTHER_ERROR))
    settled = not_done(code, kind, in_doubt=in_doubt, causes=(OPERATION_TIMED_OUT, DEVICE_OFFLINE))
    assert types(settled) == [told]
    error = Condition(told, OPERATION_TIMED_OUT.message, print_time(AT))
    assert kept(settled) == msgspec.structs.replace(
        code, status=doubtful if in_doubt else certain, errors=(OTHER_ERROR, error), updated_at=NOW, version=2
    )


def test_unmanaged_code_that_could_not_be_removed_has_an_error_and_no_event() -> None:
    settled = not_done(unmanaged(), "remove_access_code", in_doubt=True)
    assert settled.facts == ()
    assert (kept(settled).status, [one.code for one in kept(settled).errors]) == ("set", [NOT_REMOVED])


@pytest.mark.parametrize("kind", get_args(OperationKind))
def test_failure_tells_causes_remarks_and_then_what_else_is_wrong(kind: OperationKind) -> None:
    standing = Standing(
        code_errors=(OTHER_ERROR,), code_warnings=(Condition("old", "Old.", print_time(NOON)),),
        device_errors=(Condition("device_offline", "Since noon.", print_time(NOON)),),
        account_warnings=(Condition("being_deleted", "Soon.", print_time(NOON)),),
    )  # fmt: skip
    remarks = (Remark(warning_code="slow", message="Slow."),)
    code = unmanaged() if kind == "convert_access_code" else managed()
    (fact,) = not_done(code, kind, causes=(DEVICE_REJECTED, DEVICE_OFFLINE), remarks=remarks, standing=standing).facts
    codes = {
        name: [getattr(one, "error_code", None) or one.warning_code for one in items]
        for name, items in fact.more.items()
    }
    assert codes == {
        "access_code_errors": ["device_rejected", "provider_issue"],
        "access_code_warnings": ["slow", "old"],
        "connected_account_errors": [],
        "connected_account_warnings": ["being_deleted"],
        "device_errors": ["device_offline"],
        "device_warnings": [],
    }


@pytest.mark.parametrize("kind", get_args(OperationKind))
def test_failure_without_a_cause_cannot_be_told(kind: OperationKind) -> None:
    with pytest.raises(ValueError, match="at least one cause"):
        not_done(managed(), kind, causes=())


# -- whatever is asked for ------------------------------------------------------------------------------------------

_TARGETS = st.builds(
    Target,
    external_id=st.sampled_from([None, "1"]),
    name=st.sampled_from([None, "Guest", "Night"]),
    type=st.just("ongoing"),
    sealed_pin=st.just(b"sealed"),
    pin_index=st.sampled_from([pin_index(CANARY), pin_index(OTHER_CANARY)]),
).flatmap(
    lambda one: st.sampled_from(
        [
            one,
            msgspec.structs.replace(one, type="time_bound", starts_at=NOON),
            msgspec.structs.replace(one, type="time_bound", starts_at=NOON, ends_at=NOW),
        ]
    )
)
_KINDS: st.SearchStrategy[OperationKind] = st.sampled_from(["set_access_code", "update_access_code"])
_PINS = {pin_index(pin): pin for pin in (CANARY, OTHER_CANARY)}


@given(target=_TARGETS, kind=_KINDS, external_id=st.sampled_from([None, "1", "9"]), status=st.sampled_from(STATUSES))
def test_report_that_shows_just_what_was_asked_for_is_no_news(
    target: Target, kind: OperationKind, external_id: str | None, status: Status
) -> None:
    before = managed(status, external_id=None)
    code = kept(done(before, kind, Request(code=target), external_id))
    assert target.pin_index is not None
    shown = reported(
        external_id, _PINS[target.pin_index], name=target.name, type=target.type,
        frame=(target.starts_at, target.ends_at),
    )  # fmt: skip
    for complete in (True, False):
        later = msgspec.structs.replace(report(shown, complete=complete), reported_at=AT)
        assert diff([code], later).unchanged == (code,)
        assert diff([code], later) == diff([code], msgspec.structs.replace(later, reported_at=None))


@given(target=_TARGETS, kind=st.sampled_from(get_args(OperationKind)), ok=st.booleans(), ours=st.booleans())
def test_no_fact_tells_digits(target: Target, kind: OperationKind, ok: bool, ours: bool) -> None:
    code = managed() if ours and kind != "convert_access_code" else unmanaged()
    settled = done(code, kind, Request(code=target)) if ok else not_done(code, kind)
    told = repr(settled.facts).encode() + msgspec.json.encode(
        [list(map(str, fact.more.items())) for fact in settled.facts]
    )
    for pin in (CANARY, OTHER_CANARY):
        assert pin.encode() not in told
        assert repr(pin_index(pin)).encode() not in told
    assert b"sealed" not in told
