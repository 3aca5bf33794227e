"""What the log says about jobs: that longer work began, and how it ended."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from heliograph.catalog.definition import CamelBody, EventDefinition, HexUid

Count = Annotated[int, Meta(ge=0)]


class JobStarted(CamelBody, frozen=True, kw_only=True):
    """Payload of `Job.Started`; `total` is there when the amount of work is known beforehand."""

    uid: HexUid
    kind: str
    total: Count | UnsetType = UNSET


class JobFinished(CamelBody, frozen=True, kw_only=True):
    """Payload of `Job.Finished`; a failed job says why in `error`."""

    uid: HexUid
    kind: str
    state: Literal["succeeded", "failed", "cancelled"]
    done: Count
    total: Count | UnsetType = UNSET
    error: str | UnsetType = UNSET


_JOB = "0197b3d1527578a1b2c3d4e5f6071829"

JOB_STARTED = EventDefinition(
    type="Job.Started",
    family="record",
    code=1500,
    criticality=5,
    target="Job",
    struct=JobStarted,
    sample=JobStarted(uid=_JOB, kind="recipe-import", total=1000),
    meaning="Somebody began a longer work, such as an import.",
)

JOB_FINISHED = EventDefinition(
    type="Job.Finished",
    family="record",
    code=1501,
    criticality=5,
    target="Job",
    struct=JobFinished,
    sample=JobFinished(
        uid=_JOB, kind="recipe-import", state="failed", done=400, total=1000, error="The account that began this ended."
    ),
    meaning="A longer work ended: it succeeded, failed or was cancelled.",
)

EVENTS: tuple[EventDefinition, ...] = (JOB_STARTED, JOB_FINISHED)
