"""Loads a file of events into the platform: in order, in batches, and without duplicates when it is done again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec

from heliograph.cli.client import Answer, Call, Refused, Transport, describe_fault
from heliograph.cli.records import Record, Unreadable

BATCH_EVENTS = 500
BATCH_BYTES = 4 * 1024 * 1024

IN_FLIGHT = 4
"""Batches that wait for the connection or on it for their answer, while the file is read on."""

TRIES = 10
"""How often a batch is sent that the platform is too busy to take."""

NDJSON = "application/x-ndjson"
CLOUDEVENTS = "application/cloudevents-batch+json"


class Fault(msgspec.Struct, frozen=True):
    """One place of a record that breaks one rule."""

    pointer: str
    rule: str
    message: str


class RefusedRecord(msgspec.Struct, frozen=True):
    """A record that was not stored, with the reasons; `text` is how it stands in the file."""

    line: int
    status: int
    detail: str
    errors: list[Fault]
    text: str


class _Result(msgspec.Struct):
    index: int
    status: int
    detail: str = ""
    errors: list[Fault] = []


class _Results(msgspec.Struct):
    results: list[_Result]


@dataclass
class Totals:
    """What became of the records so far; `repeated` were stored by an earlier run."""

    stored: int = 0
    repeated: int = 0
    refused: int = 0


class Importer:
    """Sends records and counts what becomes of them.

    One batch after the other goes over one connection, so that the log keeps the order of the file; reading the file
    and waiting for the platform overlap. `on_refused` is told each record that is not stored, `on_progress` the place
    in the file up to which everything is settled.
    """

    def __init__(
        self,
        transport: Transport,
        query: str,
        on_refused: Callable[[RefusedRecord], None],
        on_progress: Callable[[int], None],
    ) -> None:
        self.totals = Totals()
        self._transport = transport
        self._query = query
        self._on_refused = on_refused
        self._on_progress = on_progress

    def run(self, records: Iterable[Record | Unreadable]) -> None:
        """Import all records.

        Raises:
            Refused, NoAnswer: when the platform takes no events at all; what was stored is not sent again next time.
            Unusable: when the file cannot be read on.
        """
        waiting: deque[tuple[list[Record], Future[list[_Result]]]] = deque()
        connection = ThreadPoolExecutor(1)
        try:
            for batch in self._batches(records):
                waiting.append((batch, connection.submit(self._deliver, batch)))
                if len(waiting) >= IN_FLIGHT:
                    self._settle(*waiting.popleft())
            while waiting:
                self._settle(*waiting.popleft())
        finally:
            connection.shutdown(cancel_futures=True)

    def _batches(self, records: Iterable[Record | Unreadable]) -> Iterator[list[Record]]:
        """Gather records of one kind, few enough for one request."""
        batch: list[Record] = []
        size = 0
        for record in records:
            if isinstance(record, Unreadable):
                self._refuse(record.line, record.text, 400, record.message, [Fault("", record.rule, record.message)])
                continue
            full = len(batch) >= BATCH_EVENTS or size + len(record.event) > BATCH_BYTES
            if batch and (full or batch[0].is_cloudevent != record.is_cloudevent):
                yield batch
                batch, size = [], 0
            batch.append(record)
            size += len(record.event)
        if batch:
            yield batch

    def _deliver(self, batch: list[Record]) -> list[_Result]:
        answer = self._send(batch)
        if answer.status < 300:
            return msgspec.json.decode(answer.body, type=_Results).results
        if answer.status not in (400, 413):
            raise Refused(answer)
        if len(batch) == 1:
            problem = answer.document
            return [_Result(0, answer.status, problem["detail"], msgspec.convert(problem["errors"], list[Fault]))]
        # The platform takes less at once than it does by default, or one record spoils the whole for the others.
        middle = len(batch) // 2
        return self._deliver(batch[:middle]) + self._deliver(batch[middle:])

    def _send(self, batch: list[Record]) -> Answer:
        events = [record.event for record in batch]
        if batch[0].is_cloudevent:
            body, content_type = b"[%s]" % b",".join(events), CLOUDEVENTS
        else:
            body, content_type = b"\n".join(events), NDJSON
        call = Call("POST", "/v1/events", self._query, body, content_type, repeatable=True)
        for _ in range(TRIES):
            answer = self._transport.send(call)
            if answer.status not in (429, 503):
                break
            time.sleep(answer.retry_after or 1)
        return answer

    def _settle(self, batch: list[Record], delivered: Future[list[_Result]]) -> None:
        for record, result in zip(batch, delivered.result(), strict=True):
            if result.status == 201:
                self.totals.stored += 1
            elif result.status == 200:
                self.totals.repeated += 1
            else:
                faults = [_outside_batch(fault, result.index) for fault in result.errors]
                self._refuse(record.line, record.text, result.status, result.detail, faults)
        self._on_progress(batch[-1].end)

    def _refuse(self, line: int, text: bytes, status: int, detail: str, faults: list[Fault]) -> None:
        self.totals.refused += 1
        self._on_refused(RefusedRecord(line, status, detail, faults, text.decode(errors="replace")))


def _outside_batch(fault: Fault, index: int) -> Fault:
    pointer = fault.pointer.removeprefix(f"/{index}")
    return Fault(pointer, fault.rule, fault.message)


def describe(record: RefusedRecord) -> str:
    """Say on one line per fault which record was refused, where and why."""
    if not record.errors:
        return f"line {record.line}: {record.detail}"
    faults = [describe_fault(fault.pointer, fault.rule, fault.message) for fault in record.errors]
    return "\n".join(f"line {record.line}: {fault}" for fault in faults)


def as_line(record: RefusedRecord) -> bytes:
    """Write a refused record as a line of NDJSON."""
    return msgspec.json.encode(record) + b"\n"


def summary(totals: Totals) -> dict[str, Any]:
    """Return the totals as a document."""
    return {"stored": totals.stored, "repeated": totals.repeated, "refused": totals.refused}
