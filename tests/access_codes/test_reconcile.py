"""What a lock's report changes: every kind of change by example, and what holds whatever is reported."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.access_codes.model import AccessCode, CodeReport, ReportedCode, Status
from heliograph.access_codes.reconcile import Diff, changed_code, diff
from heliograph.errors import Fault
from tests.access_codes.locks import (
    HOUR,
    NOON,
    after,
    applied,
    contents,
    histories,
    identity,
    known,
    pin_index,
    report,
    reported,
    reports,
)

NEXT_HOUR = (NOON, NOON + HOUR)


def contents_of(codes: list[AccessCode]) -> set[tuple[object, ...]]:
    """Return all that a report can say of codes."""
    return {
        (
            code.managed,
            code.status,
            code.external_id,
            code.pin_index,
            code.sealed_pin,
            code.name,
            code.type,
            code.starts_at,
            code.ends_at,
            code.cannot_be_managed,
        )
        for code in codes
    }


# By example.


def test_code_is_discovered_when_nothing_is_known() -> None:
    code = reported("1", "1234", name="Guest")
    assert diff([], report(code)) == Diff(discovered=(code,))


def test_code_is_unchanged_when_it_is_reported_again() -> None:
    code = known("1", "1234", name="Guest")
    assert diff([code], report(reported("1", "1234", name="Guest", type="ongoing"))) == Diff(unchanged=(code,))


def test_code_vanishes_when_a_complete_report_lacks_it() -> None:
    code = known("1", "1234")
    assert diff([code], report()) == Diff(vanished=(code,))
    assert diff([code], report(complete=False)) == Diff()


@pytest.mark.parametrize(
    ("before", "said", "properties"),
    [
        (known("1", name="Guest"), reported("1", name="Cleaner"), ("name",)),
        (known("1", "1234"), reported("1", "5678"), ("code",)),
        (known("1"), reported("1", type="time_bound", frame=NEXT_HOUR), ("type", "starts_at", "ends_at")),
        (
            known("1", type="time_bound", frame=NEXT_HOUR),
            reported("1", type="time_bound", frame=(NOON, NOON + 2 * HOUR)),
            ("ends_at",),
        ),
        (
            known("1", type="time_bound", frame=NEXT_HOUR),
            reported("1", type="ongoing"),
            ("type", "starts_at", "ends_at"),
        ),
        (known(None, "1234", name="Guest"), reported(None, "1234", name="Cleaner"), ("name",)),
        (known(None, "1234"), reported("1", "1234"), ("external_id",)),
        (known(None, "1234", name="Guest"), reported("1", "1234", name="Cleaner"), ("external_id", "name")),
        (known("1"), reported("1", cannot_be_managed=True), ("cannot_be_managed",)),
        (known("1"), reported("1", cannot_delete=True), ("cannot_delete",)),
        (known("1"), reported("1", "1234"), ("code",)),
    ],
)
def test_code_is_changed_when_the_lock_says_something_else(
    before: AccessCode, said: ReportedCode, properties: tuple[str, ...]
) -> None:
    (change,) = diff([before], report(said)).changed
    assert (change.known, change.reported, change.properties) == (before, said, properties)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (known("1", "1234", name="Guest"), reported("1")),
        (known("1", "1234"), reported("1", name=None)),
        (known("1", type="time_bound", frame=NEXT_HOUR), reported("1")),
    ],
)
def test_what_a_lock_does_not_say_has_not_changed(before: AccessCode, said: ReportedCode) -> None:
    assert diff([before], report(said)) == Diff(unchanged=(before,))


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (known("1", "1234"), reported("2", "1234")),
        (known("1", "1234"), reported(None, "1234")),
        (known(None, "1234"), reported(None, "5678")),
        (known(None, "1234"), reported("1", "5678")),
        (known(None, "1234"), reported("1")),
    ],
)
def test_code_is_another_one_when_its_identity_differs(before: AccessCode, said: ReportedCode) -> None:
    assert diff([before], report(said)) == Diff(discovered=(said,), vanished=(before,))


def test_id_counts_more_than_the_pin() -> None:
    renumbered, other = known("1", "1234", number=1), known(None, "5678", number=2)
    change = diff([renumbered, other], report(reported("1", "5678")))
    assert [one.known for one in change.changed] == [renumbered]
    assert change.vanished == (other,)


def test_changed_code_has_what_the_lock_says_and_keeps_the_rest() -> None:
    before = known("1", "1234", name="Guest", managed=True)
    (change,) = diff([before], report(reported("1", "5678", type="time_bound", frame=NEXT_HOUR))).changed
    assert changed_code(change, sealed_pin=b"sealed", now=NOON + HOUR) == msgspec.structs.replace(
        before,
        sealed_pin=b"sealed",
        pin_index=pin_index("5678"),
        type="time_bound",
        starts_at=NOON,
        ends_at=NOON + HOUR,
        updated_at=NOON + HOUR,
        version=2,
    )


def test_sealed_pin_is_kept_when_the_pin_did_not_change() -> None:
    before = known("1", "1234", name="Guest")
    (change,) = diff([before], report(reported("1", "1234", name="Cleaner"))).changed
    assert changed_code(change, sealed_pin=None, now=NOON).sealed_pin == before.sealed_pin


def test_managed_codes_are_told_from_unmanaged_ones() -> None:
    ours, found = known("1", managed=True, number=1), known("2", number=2)
    change = diff([ours, found], report())
    assert (change.deleted_externally, change.removed) == ((ours,), (found,))
    change = diff([ours, found], report(reported("1", name="x"), reported("2", name="x")))
    assert [one.known for one in change.modified_externally] == [ours]
    assert [one.known for one in change.changed] == [ours, found]


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (known(None, "1234", managed=True), reported("1", "1234")),
        (known("1", managed=True), reported("1", "1234")),
        (known("1", managed=True), reported("1", cannot_delete=True)),
    ],
)
def test_managed_code_is_not_modified_when_only_more_is_known_of_it(before: AccessCode, said: ReportedCode) -> None:
    change = diff([before], report(said))
    assert len(change.changed) == 1
    assert change.modified_externally == ()


@pytest.mark.parametrize("status", ["setting", "unset", "removing"])
def test_managed_code_does_not_vanish_while_the_lock_need_not_hold_it(status: Status) -> None:
    assert diff([known("1", managed=True, status=status)], report()) == Diff()


@pytest.mark.parametrize("status", ["setting", "removing"])
def test_only_the_id_is_believed_while_an_operation_is_under_way(status: Status) -> None:
    ours = known(None, "1234", name="Guest", managed=True, status=status)
    (change,) = diff([ours], report(reported("1", "1234", name="before"))).changed
    assert change.properties == ("external_id",)
    (ours,) = after([ours], report(reported("1", "1234", name="before")))
    assert diff([ours], report(reported("1", "1234", name="before"))) == Diff(unchanged=(ours,))


@pytest.mark.parametrize("status", ["unset", "unknown"])
def test_managed_code_that_was_missed_is_found_again_by_its_id_or_its_digits(status: Status) -> None:
    for ours, said in (
        (known("1", "1234", managed=True, status=status), reported("1")),
        (known(None, "1234", managed=True, status=status), reported(None, "1234")),
    ):
        assert diff([ours], report(said)) == Diff(unchanged=(ours,))
        assert ours.is_missed
    ours = known("1", "1234", managed=True, status=status)
    (change,) = diff([ours], report(reported("1", "5678"))).changed
    assert change.properties == ("code",)


def test_code_of_which_nobody_knew_vanishes_and_one_that_is_unset_does_not() -> None:
    ours = known("1", managed=True, status="unknown")
    assert diff([ours], report()) == Diff(vanished=(ours,))
    assert diff([known("1", managed=True, status="unset")], report()) == Diff()


@pytest.mark.parametrize("managed", [False, True])
def test_report_from_before_an_operation_settled_a_code_says_nothing_of_it(managed: bool) -> None:
    code = known("1", "1234", name="Guest", managed=managed)
    settled = msgspec.structs.replace(code, settled_at=NOON + 1)
    said = reported("1", "5678", name="Old", type="time_bound", frame=NEXT_HOUR, cannot_delete=True)
    assert diff([settled], report(said)) == Diff(unchanged=(settled,))
    assert diff([settled], report()) == Diff()
    for at in (NOON, NOON - 1, None):
        believed = msgspec.structs.replace(code, settled_at=at)
        assert len(diff([believed], report(said)).changed) == 1
        assert diff([believed], report()).vanished == (believed,)


def test_report_without_a_time_precedes_nothing() -> None:
    code = known("1", name="Guest")
    settled = msgspec.structs.replace(code, settled_at=NOON + HOUR)
    untimed = msgspec.structs.replace(report(), reported_at=None)
    assert diff([settled], untimed).vanished == (settled,)


def test_id_is_believed_even_of_an_older_report() -> None:
    settled = msgspec.structs.replace(known(None, "1234", name="Guest", managed=True), settled_at=NOON + 1)
    (change,) = diff([settled], report(reported("1", "1234", name="Old"))).changed
    assert change.properties == ("external_id",)


def test_all_that_changes_is_sorted_whatever_the_order_of_the_report() -> None:
    codes = [known(str(n), number=n) for n in range(1, 7)]
    same = [reported("1"), reported("2")]
    renamed = [reported("3", name="x"), reported("4", name="x")]
    new = [reported(None, "1234"), reported("8"), reported("9")]
    change = diff(codes[::-1], report(*new[::-1], *renamed[::-1], *same[::-1]))
    assert change.unchanged == tuple(codes[:2])
    assert [one.known for one in change.changed] == codes[2:4]
    assert change.vanished == tuple(codes[4:])
    assert change.discovered == tuple(new)


def test_refused_codes_are_passed_on() -> None:
    fault = Fault("/codes/0", "identifier-required", "The lock's own id or the PIN is required.")
    nameless = CodeReport(complete=True, reported_at=NOON, codes=(), refused=(fault,))
    assert diff([], nameless).refused == (fault,)


# Whatever is reported.


@given(codes=histories(), said=reports())
def test_nothing_is_new_when_a_report_is_applied_again(codes: list[AccessCode], said: CodeReport) -> None:
    codes = after(codes, said)
    again = diff(codes, said)
    assert (again.discovered, again.vanished, again.changed) == ((), (), ())
    assert len(again.unchanged) == len(said.codes)


@given(codes=histories(under_way=False), held=contents())
def test_discovered_minus_vanished_is_what_the_lock_holds_after_a_complete_report(
    codes: list[AccessCode], held: tuple[ReportedCode, ...]
) -> None:
    change = diff(codes, report(*held))
    now = applied(codes, change)
    assert len(change.discovered) - len(change.vanished) == len(held) - len(codes)
    assert sorted(map(repr, map(identity, now))) == sorted(map(repr, map(identity, held)))


@given(codes=histories(), held=contents())
def test_only_what_waits_for_the_lock_is_known_beside_what_it_holds(
    codes: list[AccessCode], held: tuple[ReportedCode, ...]
) -> None:
    said = {identity(code) for code in held}
    beside = [code for code in after(codes, report(*held)) if identity(code) not in said]
    assert {code.status for code in beside} <= {"setting", "removing", "unset"}
    assert all(code.managed for code in beside)


@given(codes=histories(), said=reports(), order=st.randoms(use_true_random=False))
def test_order_does_not_matter(codes: list[AccessCode], said: CodeReport, order: Random) -> None:
    shuffled = order.sample(codes, len(codes))
    other = msgspec.structs.replace(said, codes=tuple(order.sample(said.codes, len(said.codes))))
    assert diff(shuffled, other) == diff(codes, said)


@given(codes=histories(), held=contents(), data=st.data())
def test_partial_report_before_the_complete_one_makes_no_difference(
    codes: list[AccessCode], held: tuple[ReportedCode, ...], data: st.DataObject
) -> None:
    part = tuple(code for code in held if data.draw(st.booleans()))
    both = after(codes, report(*part, complete=False), report(*held))
    assert contents_of(both) == contents_of(after(codes, report(*held)))


@given(codes=histories(under_way=False), earlier=contents(), held=contents())
def test_partial_report_of_anything_is_corrected_by_the_complete_one(
    codes: list[AccessCode], earlier: tuple[ReportedCode, ...], held: tuple[ReportedCode, ...]
) -> None:
    both = after(codes, report(*earlier, complete=False), report(*held))
    assert set(map(identity, both)) == set(map(identity, after(codes, report(*held))))


@given(codes=histories(), said=contents())
def test_partial_report_makes_nothing_vanish(codes: list[AccessCode], said: tuple[ReportedCode, ...]) -> None:
    change = diff(codes, report(*said, complete=False))
    assert change.vanished == ()
    assert {code.uid for code in codes} <= {code.uid for code in applied(codes, change)}


@given(codes=histories())
def test_no_sequence_of_reports_leaves_two_codes_with_one_identity(codes: list[AccessCode]) -> None:
    identities = [identity(code) for code in codes]
    assert len(set(identities)) == len(identities)


@given(codes=histories(), said=reports())
def test_every_known_code_has_exactly_one_fate(codes: list[AccessCode], said: CodeReport) -> None:
    change = diff(codes, said)
    met = [*change.unchanged, *(one.known for one in change.changed)]
    fates = [code.uid for code in [*met, *change.vanished]]
    assert len(set(fates)) == len(fates)
    assert len(met) + len(change.discovered) == len(said.codes)
    passed_over = [code for code in codes if code.uid not in fates]
    assert all(not said.complete or not code.is_expected for code in passed_over)
