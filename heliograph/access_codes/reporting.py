"""A long report as a job: kept sealed, compared anew whenever something came between, applied a few codes at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from heliograph.access_codes import actions
from heliograph.access_codes.actions import REPORT_JOB, Late, Order, Postponed
from heliograph.access_codes.applying import Counts, Step
from heliograph.access_codes.model import CodeReport, CodeType, ReportedCode
from heliograph.access_codes.pins import Pins
from heliograph.errors import Fault
from heliograph.ids import Secret
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Advance, Chunk, JobContext, JobKind, JobRow
from heliograph.storage.engine import Transaction
from heliograph.storage.sealing import Sealer
from heliograph.tenancy.model import Scope

CHANGES_AT_ONCE = 40
"""Changes of one transaction: few enough that others, who wait for it, hardly notice."""

REFUSALS_AT_ONCE = 400

PART_BYTES = 256 * 1024
"""Length of the parts in which a report is kept."""

REFUSED = "refused"
"""Outcome of the job's rows; each is about one code of the report, numbered from 1."""


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a report has come to so far; the result of its job. `overtaken` when a newer complete one put an end to it.

    `unchanged` is there at the end.
    """

    discovered: int = 0
    vanished: int = 0
    changed: int = 0
    unchanged: int | None = None
    refused: int = 0
    overtaken: bool = False


class _KeptCode(msgspec.Struct, frozen=True, array_like=True):
    external_id: str | None
    pin: str | None
    name: str | None
    type: CodeType | None
    starts_at: int | None
    ends_at: int | None
    cannot_be_managed: bool | None
    cannot_delete: bool | None

    def __repr__(self) -> str:
        return "_KeptCode(...)"


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    codes: list[_KeptCode]
    refused: tuple[Fault, ...]


# -- the report at rest ---------------------------------------------------------------------------------------------


def sealed_parts(sealer: Sealer, job_uid: bytes, report: CodeReport) -> list[bytes]:
    """Return the parts in which a report is kept as its job's input: sealed, for there are PINs in it."""
    codes = [
        _KeptCode(
            code.external_id, None if code.pin is None else code.pin.reveal(), code.name, code.type, code.starts_at,
            code.ends_at, code.cannot_be_managed, code.cannot_delete,
        )
        for code in report.codes
    ]  # fmt: skip
    content = msgspec.json.encode(_Kept(codes, report.refused))
    parts = [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]
    return [sealer.seal(part, _place_of(job_uid, number)) for number, part in enumerate(parts)]


def _place_of(job_uid: bytes, part: int) -> bytes:
    return b"access code report %b %d" % (job_uid, part)


def _kept_report(context: JobContext, order: Order, sealer: Sealer, pins: Pins) -> CodeReport:
    job_uid, device_uid = context.job.uid, bytes.fromhex(order.device_uid)
    content = b"".join(sealer.unseal(sealed, _place_of(job_uid, number)) for number, sealed in context.inputs(0))
    kept = msgspec.json.decode(content, type=_Kept)
    codes = tuple(
        ReportedCode(
            external_id=code.external_id,
            pin=None if code.pin is None else Secret(code.pin),
            pin_index=None if code.pin is None else pins.index(device_uid, code.pin),
            name=code.name,
            type=code.type,
            starts_at=code.starts_at,
            ends_at=code.ends_at,
            cannot_be_managed=code.cannot_be_managed,
            cannot_delete=code.cannot_delete,
        )
        for code in kept.codes
    )
    # Jobs from before reports had two times have but one.
    seen_at = order.reported_at if order.seen_at is None else order.seen_at
    return CodeReport(
        complete=order.complete, reported_at=seen_at, received_at=seen_at, codes=codes, refused=kept.refused
    )


# -- the job --------------------------------------------------------------------------------------------------------


def report_kind(sealer: Sealer) -> JobKind:
    """Return the job that applies a report; its progress is counted in codes to change.

    Whoever reports may watch it: connectors report and read nothing.
    """

    def open_report(context: JobContext) -> Iterator[Chunk]:
        return _chunks(context, sealer)

    permission = "report access_code.tenant"
    return JobKind(name=REPORT_JOB, read=permission, change=permission, open=open_report)


def _chunks(context: JobContext, sealer: Sealer) -> Iterator[Chunk]:
    order = msgspec.convert(context.job.parameters, Order)
    pins = Pins(sealer, context.scope)
    report = _kept_report(context, order, sealer, pins)
    progress = _Progress(
        msgspec.convert(context.job.result or {}, Summary), context.job.position or 0, context.job.done
    )  # fmt: skip
    while progress.refused < len(report.refused):
        some = report.refused[progress.refused : progress.refused + REFUSALS_AT_ONCE]
        yield _RefusalChunk(context.job.uid, some, progress)
    device_uid = bytes.fromhex(order.device_uid)
    is_current = False
    while not is_current:
        # What is known already shows what this job did before, whatever became of it meanwhile.
        survey = partial(actions.survey, scope=context.scope, device_uid=device_uid, report=report)
        plan = actions.plan(context.read(survey), report)
        version, is_current = plan.version, True
        # The last chunk has no steps: it makes sure that nothing came between, and sums up.
        for start in range(0, len(plan.steps) + CHANGES_AT_ONCE, CHANGES_AT_ONCE):
            steps = plan.steps[start : start + CHANGES_AT_ONCE]
            chunk = _ReportChunk(order, version, steps, pins, progress)
            yield chunk
            if isinstance(chunk.outcome, Late):
                return
            if isinstance(chunk.outcome, Postponed):
                is_current = False
                break
            version += 1


class _Progress:
    """How far the job has come; moved on by its chunks."""

    def __init__(self, summary: Summary, refused: int, done: int) -> None:
        self.summary = summary
        self.refused = refused
        self.done = done

    def advance(self) -> Advance:
        """Return it as the job keeps it."""
        return Advance(position=self.refused, done=self.done, result=msgspec.to_builtins(self.summary))


class _RefusalChunk:
    """Some codes that nothing tells from others; each becomes a row of the job."""

    def __init__(self, job_uid: bytes, faults: Sequence[Fault], progress: _Progress) -> None:
        self._job_uid = job_uid
        self._faults = faults
        self._progress = progress
        self._before = progress.refused

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        """Tell of the codes."""
        progress = self._progress
        jobs.report(tx, scope, self._job_uid, [_row(fault) for fault in self._faults])
        progress.refused = self._before + len(self._faults)
        progress.summary = msgspec.structs.replace(progress.summary, refused=progress.refused)
        return progress.advance()


def _row(fault: Fault) -> JobRow:
    number = int(fault.pointer.rsplit("/", 1)[1]) + 1
    return JobRow(number, REFUSED, {"pointer": fault.pointer, "reason": fault.rule, "message": fault.message})


class _ReportChunk:
    """Some changes, to be made in one transaction; without any it sums up what the report has come to."""

    def __init__(self, order: Order, version: int, steps: Sequence[Step], pins: Pins, progress: _Progress) -> None:
        self._order = order
        self._version = version
        self._steps = steps
        self._pins = pins
        self._progress = progress
        self._before = (progress.summary, progress.done)
        self.outcome: Late | Postponed | None = None

    def apply(self, tx: Transaction, scope: Scope) -> Advance:
        """Make the changes, unless something came between."""
        progress = self._progress
        # A transaction that is run again must not count twice.
        summary, done = self._before
        self.outcome = actions.go_on(tx, scope, self._order, self._version, self._steps, self._pins)
        if isinstance(self.outcome, Late):
            summary = msgspec.structs.replace(summary, overtaken=True)
        elif self.outcome is None and self._steps:
            counts = Counts(summary.discovered, summary.vanished, summary.changed).plus(self._steps)
            done += len(self._steps)
            summary = msgspec.structs.replace(
                summary, discovered=counts.discovered, vanished=counts.vanished, changed=counts.changed
            )  # fmt: skip
        elif self.outcome is None:
            unchanged = self._order.codes - summary.discovered - summary.changed
            summary = msgspec.structs.replace(summary, unchanged=max(0, unchanged))
        progress.summary, progress.done = summary, done
        return progress.advance()
