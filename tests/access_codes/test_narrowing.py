"""A partial report is about the codes that it names: what else is known of the lock makes no difference."""

from __future__ import annotations

from hypothesis import given

from heliograph.access_codes.model import AccessCode, ReportedCode
from heliograph.access_codes.reconcile import diff, names_in
from tests.access_codes.locks import contents, histories, known, report, reported


@given(histories(), contents())
def test_codes_that_a_partial_report_does_not_name_make_no_difference(
    codes: list[AccessCode], said: tuple[ReportedCode, ...]
) -> None:
    told = report(*said, complete=False)
    ids, pins = names_in(told)
    named = [
        code for code in codes
        if code.external_id in ids or code.pin_index in pins or code.wanted_pin_index in pins
    ]  # fmt: skip
    assert diff(named, told) == diff(codes, told)


def test_report_names_codes_by_id_and_by_pin() -> None:
    told = report(reported("1", "1000"), reported("2"), reported(None, "3000"))
    pins = {code.pin_index for code in (known(None, "1000"), known(None, "3000"))}
    assert names_in(told) == ({"1", "2"}, pins)
