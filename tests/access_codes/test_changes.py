"""What callers want of codes, as requests: what a patch comes to, which requests are the same, what is different."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from heliograph.access_codes.changes import (
    CodePatch,
    Request,
    Target,
    changed_properties,
    needs_pin,
    read_request,
    target_of,
    with_target,
)
from heliograph.access_codes.model import AccessCode
from heliograph.errors import Invalid
from heliograph.ids import Secret
from tests.access_codes.locks import HOUR, NOON, known, pin_index

KINDS = ("convert_access_code", "set_access_code", "update_access_code", "remove_access_code")
FRAME = (NOON, NOON + HOUR)


class Keeper:
    """Seals each time anew, as the platform does."""

    def __init__(self) -> None:
        self.sealed = 0

    def index(self, device_uid: bytes, pin: str) -> bytes:
        return pin_index(pin)

    def seal(self, code_uid: bytes, pin: Secret | None) -> bytes | None:
        self.sealed += 1
        return None if pin is None else f"sealing {self.sealed}".encode()


def onto(code: AccessCode, **patch: Any) -> Target:
    if "pin" in patch:
        patch["pin"] = Secret(patch["pin"])
    return CodePatch(**patch).onto(code, Keeper())


def request(**more: Any) -> Request:
    return Request(code=target_of(known("1", "1234", name="Guest")), **more)


# -- patches --------------------------------------------------------------------------------------------------------


def test_empty_patch_changes_nothing() -> None:
    for code in (known("1", "1234", name="Guest"), known(None, "1234", type="time_bound", frame=FRAME)):
        assert onto(code) == target_of(code)


@pytest.mark.parametrize(
    ("frame", "patch", "expected"),
    [
        ((None, None), {"starts_at": NOON}, ("time_bound", NOON, None)),
        ((None, None), {"ends_at": NOON}, ("time_bound", None, NOON)),
        (FRAME, {"starts_at": None}, ("time_bound", None, NOON + HOUR)),
        (FRAME, {"starts_at": None, "ends_at": None}, ("ongoing", None, None)),
        (FRAME, {"starts_at": NOON - HOUR, "ends_at": NOON + HOUR}, ("time_bound", NOON - HOUR, NOON + HOUR)),
    ],
)  # fmt: skip
def test_type_follows_from_the_time_frame(frame: Any, patch: dict[str, Any], expected: tuple[Any, ...]) -> None:
    code = known("1", type="time_bound" if frame[0] else "ongoing", frame=frame)
    target = onto(code, **patch)
    assert (target.type, target.starts_at, target.ends_at) == expected


@pytest.mark.parametrize("patch", [{"starts_at": NOON + HOUR}, {"ends_at": NOON}, {"ends_at": NOON - 1}])
def test_time_that_would_end_before_it_begins_is_refused(patch: dict[str, int]) -> None:
    with pytest.raises(Invalid) as refusal:
        onto(known("1", type="time_bound", frame=FRAME), **patch)
    assert [(fault.pointer, fault.rule) for fault in refusal.value.faults] == [("/endsAt", "time-order")]


def test_name_is_removed_by_none_and_stays_when_unset() -> None:
    code = known("1", name="Guest")
    assert onto(code, name=None).name is None
    assert onto(code, name=UNSET).name == "Guest"


def test_digits_are_sealed_anew_only_when_they_are_others() -> None:
    code = known("1", "1234")
    assert onto(code, pin="1234") == target_of(code)
    other = onto(code, pin="5678")
    assert (other.pin_index, other.sealed_pin) == (pin_index("5678"), b"sealing 1")


_TIMES = st.sampled_from([UNSET, None, NOON, NOON + HOUR])
_PATCHES = st.builds(
    CodePatch,
    name=st.sampled_from([UNSET, None, "Guest", "Night"]),
    pin=st.sampled_from([UNSET, *map(Secret, ("1234", "5678"))]),
    starts_at=_TIMES,
    ends_at=_TIMES,
)
_CODES = st.builds(
    known,
    external_id=st.sampled_from([None, "1"]),
    pin=st.just("1234"),
    managed=st.just(True),
    name=st.sampled_from([None, "Guest"]),
).flatmap(
    lambda code: st.sampled_from(
        [code, msgspec.structs.replace(code, type="time_bound", starts_at=NOON, ends_at=NOON + HOUR)]
    )
)


@given(code=_CODES, patch=_PATCHES)
def test_patch_again_changes_nothing_more(code: AccessCode, patch: CodePatch) -> None:
    keeper = Keeper()
    try:
        target = patch.onto(code, keeper)
    except Invalid:
        return
    changed = with_target(code, target)
    assert target_of(changed) == target
    assert patch.onto(changed, keeper) == target
    assert changed_properties(target, patch.onto(changed, keeper)) == ()


@given(code=_CODES, patch=_PATCHES)
def test_same_patch_twice_is_the_same_request(code: AccessCode, patch: CodePatch) -> None:
    keeper = Keeper()
    try:
        first, second = (Request(code=patch.onto(code, keeper)) for _ in range(2))
    except Invalid:
        return
    assert first.is_same(second, "update_access_code")
    assert (first.code == target_of(code)) == (not changed_properties(target_of(code), first.code))


# -- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_lock_gives_and_how_digits_are_sealed_makes_no_other_request(kind: str) -> None:
    code = msgspec.structs.replace(request().code, external_id=None, sealed_pin=b"sealed anew")
    assert request().is_same(msgspec.structs.replace(request(), code=code, unsure=True), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flag", ["force", "external_modification_allowed"])
def test_other_flag_is_another_request(kind: str, flag: str) -> None:
    assert not request().is_same(request(**{flag: True}), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other", [{"name": "Night"}, {"pin_index": b"other"}, {"type": "time_bound", "starts_at": NOON}, {"ends_at": NOON}]
)
def test_other_code_is_another_request_where_the_caller_says_what_it_is_to_be(kind: str, other: Any) -> None:
    changed = msgspec.structs.replace(request(), code=msgspec.structs.replace(request().code, **other))
    assert request().is_same(changed, kind) == (kind in ("convert_access_code", "remove_access_code"))


@pytest.mark.parametrize("unsure", [False, True])
def test_request_is_read_as_it_was_kept(unsure: bool) -> None:
    asked = request(force=True, external_modification_allowed=True, unsure=unsure)
    kept = msgspec.json.decode(msgspec.json.encode(asked.to_keep()))
    assert read_request(kept) == asked


def test_ended_request_keeps_all_but_the_digits() -> None:
    left = request(force=True).without_pin()
    code = msgspec.structs.replace(request().code, sealed_pin=None, pin_index=None)
    assert left == Request(code=code, force=True)
    assert b"sealed" not in msgspec.json.encode(left.to_keep()).replace(b"sealed_pin", b"")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("external_id", [None, "1"])
def test_connector_needs_digits_to_program_them_or_as_the_only_name(kind: str, external_id: str | None) -> None:
    asked = Request(code=target_of(known(external_id, "1234")))
    assert needs_pin(kind, asked) == (external_id is None or kind in ("set_access_code", "update_access_code"))


# -- differences ----------------------------------------------------------------------------------------------------


def test_changed_properties_tell_values_but_for_digits() -> None:
    before = target_of(known("1", "1234", name="Guest"))
    after = target_of(known("2", "5678", name=None, type="time_bound", frame=(NOON, NOON + HOUR)))
    found = [(one.property, one.from_, one.to) for one in changed_properties(before, after)]
    assert found == [
        ("name", "Guest", None),
        ("code", None, None),
        ("type", "ongoing", "time_bound"),
        ("starts_at", None, "2026-03-02T12:00:00.000Z"),
        ("ends_at", None, "2026-03-02T13:00:00.000Z"),
    ]
    assert changed_properties(before, msgspec.structs.replace(before, external_id="9", sealed_pin=b"x")) == ()
