"""Codes on locks as their guests and owners know them: what happens to each, and what must be told of it.

Nothing here asks the platform: the events that it must record follow from this input alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

CHAPTERS = ("discover", "convert", "mend", "change", "again", "lose", "heir", "silence", "end")
"""In each a code lives through one step at most. Locks report in the first, in part in the third, in `lose` and `end`.

Nobody completes operations in `lose`; in `heir` one connector dies with what it took, in `silence` all do.
"""

LOCKS, CODES = 200, 5_000
ACCOUNTS = 5
CHAPTER, COMPLETED, REPORTED = timedelta(seconds=30), 15, 22
"""How long a chapter is at least by the clocks of the locks, and seconds from its begin to what is completed, then
reported. All nine together end before a lock's clock would be too far ahead of the platform's, however quick that is.
"""
PLACES = {"online": range(150), "offline": range(150, 160), "disconnected": range(160, 190), "both": range(190, 200)}
"""Locks by what keeps them from being reached in the chapter `convert`."""

FOUND, GONE = "unmanaged.created", "unmanaged.removed"
TAKEN, NOT_TAKEN = "unmanaged.converted_to_managed", "unmanaged.failed_to_convert_to_managed"
CREATED, SET, SCHEDULED, DELETED = "created", "set_on_device", "scheduled_on_device", "deleted"
NOT_SET, OFF, NOT_OFF = "failed_to_set_on_device", "removed_from_device", "failed_to_remove_from_device"
MODIFIED, LOST = "modified_external_to_seam", "deleted_external_to_seam"
CHANGED, NAMED, NUMBERED, TIMED = "changed", "name_changed", "code_changed", "time_frame_changed"

SUBJECTS = {
    "cannot_be_managed": "access_code",
    "code_unreadable": "access_code",
    "duplicate_code_on_device": "access_code",
    "managed_by_other_workspace": "access_code",
    "account_disconnected": "connected_account",
    "device_offline": "device",
    "device_rejected": "access_code",
    "operation_timed_out": "access_code",
    "no_space_for_access_code_on_device": "access_code",
    "code_constraints_violated": "access_code",
    "the_cat_sat_on_the_lock": "access_code",
    "bridge_disconnected": "connected_account",
    "hub_disconnected": "device",
}
"""What connectors name as causes, and where each is told; the last three are not of the platform's own list."""


def failure(event: str, *errors: str, warnings: tuple[str, ...] = ()) -> str:
    """Return the word for a failure with these causes."""
    told = [f"{SUBJECTS.get(code, 'access_code')}_errors:{code}" for code in errors]
    return " ".join([event, *sorted([*told, *(f"access_code_warnings:{code}" for code in warnings)])])


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is done about a code, how its connector ends it, and what is told at once and then.

    `says` is `done`, or `refused` with errors and warnings; without it no connector has a say.
    """

    act: str
    status: int = 202
    says: str = ""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    at_once: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def is_conversion(self) -> bool:
        """Whether a code is to be taken over."""
        return self.act.startswith("convert")

    @property
    def is_done_at_lock(self) -> bool:
        """Whether it is somebody at the lock who does it; the next report tells."""
        return self.act.startswith("guest")


def done(act: str, *told: str, at_once: tuple[str, ...] = ()) -> Step:
    return Step(act=act, says="done", told=told, at_once=at_once)


def refused(act: str, event: str, *errors: str, warnings: tuple[str, ...] = (), told: str | None = None) -> Step:
    word = failure(event, *(errors or ("device_rejected",)), warnings=warnings) if told is None else told
    return Step(act=act, says="refused", errors=errors, warnings=warnings, told=(word,) if word else ())


def barred(*causes: str) -> Step:
    return Step(act="convert", at_once=(failure(NOT_TAKEN, *causes),))


def silent(act: str, event: str) -> Step:
    return Step(act=act, at_once=(failure(event, "operation_timed_out"),))


def guest(act: str, *told: str) -> Step:
    return Step(act=f"guest {act}", told=told)


TAKE = done("convert", TAKEN)
REMOVE = done("remove", OFF, DELETED)


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What happens to codes of one kind: by chapter, and how a lock shows them.

    `place` None is anywhere. `with_id` None leaves it to chance whether the lock has an id for a code. A `late` code
    is on its lock from the chapter `mend` on; what `has` is False is made through the API instead.
    """

    count: int
    steps: Mapping[str, Step] = field(default_factory=dict)
    place: str | None = "online"
    with_id: bool | None = None
    with_pin: bool = True
    late: bool = False
    found: bool = True
    shown: Mapping[str, Any] = field(default_factory=dict)


def _taken(count: int, with_id: bool | None = None, **steps: Step) -> Fate:
    return Fate(count=count, steps={"convert": TAKE, **steps}, with_id=with_id)


_LOCKED = {"cannotBeManaged": True}
_EVERYTHING = ("cannot_be_managed", "code_unreadable", "account_disconnected", "device_offline")
FATES = {
    "vanishes": Fate(count=400, steps={"lose": guest("removes", GONE)}, place=None),
    "is renamed at the lock": Fate(count=10, steps={"lose": guest("renames")}, place=None),
    "taken over": _taken(97),
    "taken over with leave, then changed at the lock": Fate(
        count=10, steps={"convert": done("convert with leave", TAKEN), "lose": guest("renames", MODIFIED)}
    ),
    "locked": Fate(count=40, steps={"convert": barred("cannot_be_managed")}, shown=_LOCKED),
    "locked, vanishes": Fate(
        count=20, shown=_LOCKED, steps={"convert": barred("cannot_be_managed"), "lose": guest("removes", GONE)}
    ),
    "unreadable": Fate(count=40, with_id=True, with_pin=False, steps={"convert": barred("code_unreadable")}),
    "offline": Fate(count=20, place="offline", steps={"convert": barred("device_offline")}),
    "offline for a while": Fate(count=20, place="offline", steps={"convert": barred("device_offline"), "mend": TAKE}),
    "disconnected": Fate(count=20, place="disconnected", steps={"convert": barred("account_disconnected")}),
    "disconnected for a while": Fate(
        count=20, place="disconnected", steps={"convert": barred("account_disconnected"), "mend": TAKE}
    ),
    "out of reach": Fate(
        count=10, place="both", steps={"convert": barred("account_disconnected", "device_offline")}
    ),
    "everything is wrong": Fate(
        count=10, place="both", with_id=True, with_pin=False, shown=_LOCKED, steps={"convert": barred(*_EVERYTHING)}
    ),
    "original": _taken(20, with_id=True),
    "twin": Fate(count=20, late=True, with_id=True, steps={"mend": barred("duplicate_code_on_device")}),
    **{
        f"refused {code}": Fate(count=16, steps={"convert": refused("convert", NOT_TAKEN, code)}) for code in SUBJECTS
    },
    "refused": Fate(count=20, steps={"convert": refused("convert", NOT_TAKEN)}),
    "refused, vanishes": Fate(
        count=60, steps={"convert": refused("convert", NOT_TAKEN), "lose": guest("removes", GONE)}
    ),
    "refused at length": Fate(
        count=10,
        steps={
            "convert": refused(
                "convert", NOT_TAKEN, "hub_disconnected", "code_constraints_violated", "bridge_disconnected",
                warnings=("weak_signal", "battery_low"),
            )
        },
    ),
    "taken by force": Fate(
        count=20,
        steps={
            "convert": refused("convert", NOT_TAKEN, "managed_by_other_workspace"),
            "mend": done("convert by force", TAKEN),
        },
    ),
    "vanishes under way": Fate(
        count=20, steps={"lose": Step(act="convert twice and vanish", told=(GONE,))}
    ),
    "removed unmanaged": Fate(count=10, steps={"convert": done("remove", GONE)}),
    "removal refused unmanaged": Fate(
        count=5,
        steps={
            "convert": refused("remove", NOT_OFF, told=""),
            "change": refused(
                "convert", NOT_TAKEN, told=failure(NOT_TAKEN, "device_rejected", "failed_to_remove_from_device")
            ),
        },
    ),
    "renamed": _taken(20, change=done("rename", f"{CHANGED} name", NAMED, SET)),
    "retimed": _taken(20, change=done("retime", f"{CHANGED} ends_at type", TIMED, SET)),
    "scheduled": _taken(10, change=done("schedule", f"{CHANGED} starts_at type", TIMED, SCHEDULED)),
    "renumbered": _taken(20, with_id=True, change=done("renumber", f"{CHANGED} code", NUMBERED, SET)),
    "changed": _taken(
        10, with_id=True, change=done("change", f"{CHANGED} code ends_at name type", NAMED, NUMBERED, TIMED, SET)
    ),
    "change refused": _taken(10, change=refused("rename", NOT_SET, "code_constraints_violated")),
    "leave given": _taken(
        10, change=Step(act="give leave", status=200, at_once=(f"{CHANGED} is_external_modification_allowed",))
    ),
    "removed": _taken(20, change=REMOVE),
    "removal refused at first": _taken(10, change=refused("remove", NOT_OFF, "device_offline"), again=REMOVE),
    "modified": _taken(10, lose=guest("renames", MODIFIED)),
    "lost": _taken(10, lose=guest("removes", LOST)),
    "lost and set again": _taken(10, lose=guest("removes", LOST), heir=done("set again", SET)),
    "lost and deleted": _taken(
        10, lose=guest("removes", LOST), heir=Step(act="remove", status=204, at_once=(DELETED,))
    ),
    "expired": Fate(
        count=10, steps={"convert": TAKE, "lose": guest("removes", OFF)},
        shown={"startsAt": "2026-03-01T08:00:00Z", "endsAt": "2026-03-02T02:30:00Z"},
    ),
    "inherited": Fate(count=20, steps={"heir": TAKE}),
    "never fetched": Fate(count=20, steps={"silence": silent("convert", NOT_TAKEN)}),
    "fetched in vain": Fate(count=20, steps={"silence": silent("convert and fetch", NOT_TAKEN)}),
    "changed in silence": _taken(
        10, silence=silent("rename and fetch", NOT_SET), end=guest("shows", f"{CHANGED} name", NAMED, SET)
    ),
    "made": Fate(count=20, found=False, steps={"convert": done("create", SET, at_once=(CREATED,))}),
    "made and removed": Fate(
        count=10, found=False, steps={"convert": done("create", SET, at_once=(CREATED,)), "change": REMOVE}
    ),
    "made in vain": Fate(
        count=10, found=False,
        steps={
            "convert": Step(
                act="create", says="refused", errors=("no_space_for_access_code_on_device",), at_once=(CREATED,),
                told=(failure(NOT_SET, "no_space_for_access_code_on_device"),),
            ),
            "change": Step(act="remove", status=204, at_once=(DELETED,)),
        },
    ),
}  # fmt: skip
_REST = CODES - sum(fate.count for fate in FATES.values() if fate.found)
FATES["stays"] = Fate(count=_REST, place=None)


@dataclass(frozen=True)
class Unit:
    """One code; `original` is the number of the one that a twin has the digits of."""

    number: int
    kind: str
    lock: int
    original: int | None = None

    @property
    def fate(self) -> Fate:
        """What happens to it."""
        return FATES[self.kind]

    @property
    def name(self) -> str:
        """What it is called at first."""
        return f"Code {self.number}"

    @property
    def pin(self) -> str:
        """Its digits at first."""
        return str(100_000 + (self.number if self.original is None else self.original))

    @cached_property
    def shown(self) -> dict[str, Any]:
        """How its lock shows it at first; a lock that holds two codes with the same digits shows them once."""
        fate = self.fate
        with_id = self.number % 8 != 0 if fate.with_id is None else fate.with_id
        found = {"name": self.name, **fate.shown}
        if with_id:
            found["externalId"] = f"id {self.number}"
        if fate.with_pin:
            found["code"] = self.pin
        return found


def account_of(lock: int) -> int:
    """Return the account that a lock belongs to; the last is the one that is disconnected for a while."""
    return ACCOUNTS - 1 if lock in PLACES["disconnected"] or lock in PLACES["both"] else lock % (ACCOUNTS - 1)


def after(number: int, seconds: int = 0) -> timedelta:
    """Return how long after the begin of a chapter something happened, each code and lock at a time of its own."""
    return timedelta(seconds=seconds, milliseconds=number)


def _units() -> list[Unit]:
    """Put the codes on the locks: four long reports, and by chance within the places that fit."""
    chance = random.Random(4)
    late = sum(fate.count for fate in FATES.values() if fate.late)
    slots = [lock for lock in range(4) for _ in range(150)]
    small = range(4, LOCKS)
    slots += [small[n % len(small)] for n in range(CODES - late - len(slots))]
    chance.shuffle(slots)
    free = {place: [lock for lock in slots if lock in locks] for place, locks in PLACES.items()}
    found: list[Unit] = []
    kinds = sorted((kind for kind in FATES if kind != "twin"), key=lambda kind: FATES[kind].place is None)
    for kind in kinds:
        fate = FATES[kind]
        for _ in range(fate.count):
            number = len(found)
            if not fate.found:
                lock = number % len(PLACES["online"])
            else:
                lock = (free[fate.place] if fate.place else max(free.values(), key=len)).pop()
            found.append(Unit(number, kind, lock))
    originals = [unit for unit in found if unit.kind == "original"]
    return found + [Unit(len(found) + n, "twin", one.lock, one.number) for n, one in enumerate(originals)]


UNITS = _units()


def living(chapter: str) -> list[Unit]:
    """Return the codes that something happens to in a chapter."""
    return [unit for unit in UNITS if chapter in unit.fate.steps]


Told = tuple[str, str, timedelta | None]
"""Word, chapter, and how long after its begin it happened by a lock's clock; None for when it was recorded."""


def history(unit: Unit) -> list[Told]:
    """Return all that must be told of a code, in order."""
    told: list[Told] = []
    if unit.fate.found:
        chapter = "mend" if unit.fate.late else "discover"
        told.append((FOUND, chapter, after(unit.lock)))
    for chapter in CHAPTERS:
        step = unit.fate.steps.get(chapter)
        if step is None:
            continue
        told += [(word, chapter, None) for word in step.at_once]
        at = after(unit.number, COMPLETED) if step.says else after(unit.lock, REPORTED)
        told += [(word, chapter, at) for word in step.told]
    return told


_PREFIX = "access_code."


def word(payload: dict[str, Any]) -> str:
    """Put the body of an event in a short word: a change with its properties, a failure with its causes."""
    short = str(payload["event_type"]).removeprefix(_PREFIX)
    if short == CHANGED:
        return " ".join([short, *sorted(one["property"] for one in payload["changed_properties"])])
    told = [
        f"{name}:{item.get('error_code') or item.get('warning_code')}"
        for name, items in payload.items() if name.endswith(("_errors", "_warnings")) for item in items
    ]  # fmt: skip
    return " ".join([short, *sorted(told)])


_CHANGES = dict.fromkeys((CHANGED, NAMED, NUMBERED, TIMED, SET, SCHEDULED), "set")
LIVES: dict[str, dict[str, str]] = {
    "unborn": {FOUND: "unmanaged", CREATED: "setting"},
    "unmanaged": {NOT_TAKEN: "unmanaged", TAKEN: "set", GONE: "gone"},
    "setting": {SET: "set", SCHEDULED: "set", NOT_SET: "unset"},
    "set": {**_CHANGES, MODIFIED: "set", NOT_SET: "set", NOT_OFF: "set", LOST: "unset", OFF: "unset"},
    "unset": {**_CHANGES, NOT_SET: "unset", DELETED: "gone"},
    "gone": {},
}
"""What may be told of a code in each state, and the state after that. What has left a lock may be set again."""


def state_after(types: list[str]) -> str:
    """Follow what was told of a code.

    Raises:
        AssertionError: when something was told that cannot follow.
    """
    state = "unborn"
    for type_ in types:
        after = LIVES[state].get(type_)
        assert after is not None, f"{type_} after {state}: {types}"
        state = after
    return state
