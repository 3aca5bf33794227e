"""Longer work: a job and its state, the chunks that it is done in, and what it says of each row of its input."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from heliograph.eventlog.model import Actor
from heliograph.tenancy.model import Scope

T = TypeVar("T")

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Ending = Literal["succeeded", "failed", "cancelled"]

# The last four are the full-width forms of = + - @, which spreadsheets in East Asian languages read alike.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of longer work in one tenant. Times in microseconds UTC.

    `position` is where the work goes on, in the terms of its kind, and None before the first chunk. `done` and
    `total` count in the unit of its kind; `total` is None while it is not known. `error` is one sentence for people.
    """

    uid: bytes
    tenant_id: int
    kind: str
    state: State
    actor: Actor
    parameters: dict[str, Any]
    position: Any = None
    done: int = 0
    total: int | None = None
    result: Any = None
    error: str | None = None
    cancel_requested: bool = False
    created_at: int
    updated_at: int
    finished_at: int | None = None
    version: int = 1


class JobRow(msgspec.Struct, frozen=True):
    """What became of one row of a job's input; rows are numbered from 1."""

    number: int
    outcome: str
    detail: dict[str, Any]


class Advance(msgspec.Struct, frozen=True):
    """How far a chunk has brought its job; a `total` of None and a `result` that is left out stay as they were."""

    position: Any
    done: int
    total: int | None = None
    result: Any | UnsetType = UNSET


class Chunk(Protocol):
    """A part of a job that is carried out in one transaction: at most some 500 rows."""

    # The transaction has no type here: a model knows no storage.
    def apply(self, tx: Any, scope: Scope, /) -> Advance:
        """Do this part; together with the job's new position it counts once, whatever crashes.

        Raises:
            Refusal: to end the job as failed, with that detail.
        """


class Read(Protocol):
    """Runs a function over one snapshot of the database."""

    def __call__(self, function: Callable[[Any], T], /) -> T:
        """Return the function's result."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a kind makes its chunks from: the job at its stored position, a right, and the input.

    `inputs` reads the parts of the input as (number, content) from the given number on, one at a time.
    """

    job: Job
    scope: Scope
    read: Read
    inputs: Callable[[int], Iterator[tuple[int, bytes]]]


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job: who may see it (`read`) and begin or cancel it (`change`), and how it is done.

    `open` yields the chunks from the job's position on; it runs outside any transaction, and again after every
    interruption. When it ends, the job has succeeded; a Refusal that it raises ends the job as failed. What must be
    done to its end to be right is not `cancellable`.
    """

    name: str
    read: str
    change: str
    open: Callable[[JobContext], Iterator[Chunk]]
    cancellable: bool = True


def guarded(cell: str) -> str:
    """Return a cell such that no spreadsheet takes it for a formula: a quote is put before what could be one.

    A cell that looks guarded already gets one more quote, so that `unguarded` always finds the original. Which
    beginnings are dangerous: OWASP, "CSV Injection". Whoever writes the table puts every cell in quotes, or a
    spreadsheet that separates at other characters would find a beginning inside the cell.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """Return the cell that `guarded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
