"""What callers ask of access codes, to take one over, to make, change or remove one, and what connectors answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heliograph.simulation.guests import guest_name, time_frame
from heliograph.simulation.steps import Step
from heliograph.simulation.world import CodeState, Kind, LockState, Outcome, Pending, World, at_rest

MOST_MANAGED = 6
"""Managed codes on a lock at which no more are made, and none is taken over."""

PATIENCE = 400
"""Steps after which a connector that was silent says that the lock did not answer; the server may have found that out
by itself by then."""

TIMED_OUT = "operation_timed_out"

AT_THE_LOCK = ("managed_by_other_workspace", "device_rejected", "no_space_for_access_code_on_device",
               "code_constraints_violated", "device_offline", "account_disconnected")  # fmt: skip
"""Why a conversion fails that was begun, in a connector's words."""

_FAILED_TO_CONVERT = "access_code.unmanaged.failed_to_convert_to_managed"
_NAMES: dict[Kind, str] = {
    "convert_access_code": "conversion",
    "set_access_code": "setting",
    "update_access_code": "change",
    "remove_access_code": "removal",
}


# -- asking ---------------------------------------------------------------------------------------------------------


def convert(world: World) -> Step | None:
    """Ask for a guest's code to be taken over; what is known to be in the way makes that fail at once."""
    lock = world.draw(world.locks, lambda one: len(one.managed) < MOST_MANAGED and bool(at_rest(one.guests)))
    if lock is None:
        return None
    code = world.chance.choice(at_rest(lock.guests))
    causes = _in_the_way(world, lock, code)
    if causes and world.chance.random() < 0.7:
        return None
    body = {"force": world.chance.random() < 0.2, "isExternalModificationAllowed": world.chance.random() < 0.3}
    outcome = _outcome(world, "convert_access_code")
    name = _begin(world, lock, code, "convert_access_code", outcome, {}, fails=bool(causes))
    words = f"{code.name} is to be taken over" + (f", but {causes[0].replace('_', ' ')}" if causes else "")
    return Step(
        actor=lock.actor,
        text=f"{lock.actor.capitalize()}: {words}",
        counts=("conversions", *(("conversions failed", causes[0]) if causes else ())),
        method="POST",
        path=f"/v1/access-codes/{{{lock.name_of(code)}}}/convert",
        body=body,
        status=(202,),
        answer={
            "state": "failed" if causes else "pending",
            "kind": "convert_access_code",
            "accessCodeUid": f"{{{lock.name_of(code)}}}",
            "errors": [{"errorCode": cause} for cause in causes],
        },
        learns={} if causes else {name: "uid"},
        events=(_FAILED_TO_CONVERT,) if causes else (),
    )


def _in_the_way(world: World, lock: LockState, code: CodeState) -> list[str]:
    found = {
        "cannot_be_managed": code.cannot_be_managed,
        "code_unreadable": code.hidden,
        "duplicate_code_on_device": not code.hidden and code.pin in {one.pin for one in lock.managed},
        "account_disconnected": not world.account_of(lock).connected,
        "device_offline": not lock.presence.online,
    }
    return [cause for cause, is_so in found.items() if is_so]


def create(world: World) -> Step | None:
    """Ask for a new managed code."""
    lock = world.draw_lock(lambda one: len(one.managed) < MOST_MANAGED)
    if lock is None:
        return None
    lock.numbered += 1
    code = CodeState(
        lock.numbered, guest_name(world, lock.numbered), world.free_pin(lock), managed=True, on_lock=False, named=False
    )  # fmt: skip
    if world.chance.random() < 0.5:
        code.frame = time_frame(world, later=world.chance.random() < 0.4)
    lock.codes[code.number] = code
    outcome = _outcome(world, "set_access_code")
    name = _begin(world, lock, code, "set_access_code", outcome, {})
    body = {"deviceUid": f"{{{lock.actor}}}", "name": code.name, "code": code.pin, **_times(code.frame)}
    return Step(
        actor=lock.actor,
        text=f"{lock.actor.capitalize()}: {code.name} is to get a code",
        counts=("codes created",),
        method="POST",
        path="/v1/access-codes",
        body=body,
        status=(202,),
        answer={"accessCode": {"managed": True, "status": "setting", "name": code.name}, "operation": _PENDING},
        learns={lock.name_of(code): "accessCode/uid", name: "operation/uid"},
        events=("access_code.created",),
    )


_PENDING = {"state": "pending"}


def change(world: World) -> Step | None:
    """Ask for another name, other times or other digits of a managed code; one that is not on the lock is set again."""
    place = _managed(world)
    if place is None:
        return None
    lock, code = place
    wish, asked = _wish(world, lock, code)
    kind: Kind = "update_access_code" if code.on_lock else "set_access_code"
    name = _begin(world, lock, code, kind, _outcome(world, kind), wish)
    words = f"{code.name} is to get another {', '.join(wish)}" if code.on_lock else f"{code.name} is to be set again"
    return Step(
        actor=lock.actor,
        text=f"{lock.actor.capitalize()}: {words}",
        counts=("codes changed",),
        method="PATCH",
        path=f"/v1/access-codes/{{{lock.name_of(code)}}}",
        body=asked,
        status=(202,),
        answer={"accessCode": {"status": "setting", "name": code.name}, "operation": {"kind": kind, **_PENDING}},
        learns={name: "operation/uid"},
    )


def _wish(world: World, lock: LockState, code: CodeState) -> tuple[dict[str, Any], dict[str, Any]]:
    """Choose what is to be different; return that by the names of the plan, and as it is asked for."""
    what = world.chance.choice(("name", "frame", "pin"))
    if what == "name":
        name = f"{guest_name(world, code.number)}'s family" if "family" not in code.name else code.name.split("'")[0]
        return {"name": name}, {"name": name}
    if what == "pin":
        pin = world.free_pin(lock)
        return {"pin": pin}, {"code": pin}
    frame = None if code.frame else time_frame(world, later=world.chance.random() < 0.3)
    return {"frame": frame}, _times(frame) or {"startsAt": None, "endsAt": None}


def remove(world: World) -> Step | None:
    """Ask for a code to be removed: a managed one, or a guest's."""
    place = _managed(world) if world.chance.random() < 0.7 else _of_a_guest(world)
    if place is None:
        return None
    lock, code = place
    shared: dict[str, Any] = {
        "actor": lock.actor,
        "text": f"{lock.actor.capitalize()}: {code.name} is to be removed",
        "counts": ("removals",),
        "method": "DELETE",
        "path": f"/v1/access-codes/{{{lock.name_of(code)}}}",
    }
    if not code.on_lock:
        del lock.codes[code.number]
        return Step(status=(204,), events=("access_code.deleted",), **shared)
    name = _begin(world, lock, code, "remove_access_code", _outcome(world, "remove_access_code"), {})
    answer = {"kind": "remove_access_code", **_PENDING}
    return Step(status=(202,), answer=answer, learns={name: "uid"}, **shared)


def ask_again(world: World) -> Step | None:
    """Ask for a removal that is under way once more: it is the same operation."""
    places = [place for place in world.pending.values() if place[2].kind == "remove_access_code"]
    if not places:
        return None
    lock, code, pending = world.chance.choice(places)
    return Step(
        actor=lock.actor,
        text=f"{lock.actor.capitalize()}: {code.name} is to be removed, once more",
        counts=("asked again",),
        method="DELETE",
        path=f"/v1/access-codes/{{{lock.name_of(code)}}}",
        status=(202,),
        answer={"uid": f"{{{pending.name}}}", **_PENDING},
    )


def _managed(world: World) -> tuple[LockState, CodeState] | None:
    lock = world.draw_lock(lambda one: bool(at_rest(one.managed)))
    return None if lock is None else (lock, world.chance.choice(at_rest(lock.managed)))


def _of_a_guest(world: World) -> tuple[LockState, CodeState] | None:
    lock = world.draw_lock(lambda one: bool(at_rest(one.guests)))
    return None if lock is None else (lock, world.chance.choice(at_rest(lock.guests)))


def _times(frame: tuple[str, str] | None) -> dict[str, str]:
    return {} if frame is None else {"startsAt": frame[0], "endsAt": frame[1]}


def _outcome(world: World, kind: Kind) -> Outcome:
    # Nobody knows whether a change or a removal that ran out of time was made after all; what the next report then
    # says would depend on whether the server or the connector was the first to give up.
    may_be_silent = kind in ("convert_access_code", "set_access_code")
    outcomes: tuple[Outcome, ...] = ("succeeded", "failed", "silent")
    return world.chance.choices(outcomes, (65, 25, 10 if may_be_silent else 0))[0]


def _begin(
    world: World, lock: LockState, code: CodeState, kind: Kind, outcome: Outcome, wish: dict[str, Any], *,
    fails: bool = False,
) -> str:  # fmt: skip
    """Note that an operation is under way, unless it fails at once; return its name."""
    code.operations += 1
    name = f"operation {lock.lock.number}/{code.number}/{code.operations}"
    error = TIMED_OUT if outcome == "silent" else world.chance.choice(AT_THE_LOCK)
    if not fails:
        code.pending = Pending(name, kind, outcome, error, world.steps, wish)
        world.pending[name] = (lock, code, code.pending)
    return name


# -- answering ------------------------------------------------------------------------------------------------------


def complete(world: World, *, last: bool = False) -> Step | None:
    """Let a connector answer for one of the operations under way; at the `last` the silent ones too."""
    # The oldest first, as a connector does, so that none runs out of time that is not meant to.
    due = (
        one
        for one in world.pending.values()
        if last or one[2].outcome != "silent" or world.steps - one[2].since >= PATIENCE
    )
    place = next(due, None)
    if place is None:
        return None
    lock, code, pending = place
    code.pending = None
    del world.pending[pending.name]
    told = tuple(_settled(lock, code, pending))
    succeeded = pending.outcome == "succeeded"
    body: dict[str, Any] = {"outcome": "succeeded" if succeeded else "failed"}
    if not succeeded:
        body["errors"] = [{"errorCode": pending.error}]
    elif pending.kind == "set_access_code":
        body["externalId"] = code.external_id
    words = "succeeds" if succeeded else f"fails: {pending.error.replace('_', ' ')}"
    return Step(
        actor=lock.actor,
        text=f"{lock.actor.capitalize()}: the {_NAMES[pending.kind]} of {code.name} {words}",
        counts=_outcome_counts(pending),
        method="POST",
        path=f"/v1/device-operations/{{{pending.name}}}/complete",
        body=body,
        # A server that gave up before does not take the answer any more; what follows is the same.
        status=(200, 409) if pending.outcome == "silent" else (200,),
        answer={} if pending.outcome == "silent" else {"state": body["outcome"], "kind": pending.kind},
        events=told,
        offered=pending.name,
    )


def _outcome_counts(pending: Pending) -> tuple[str, ...]:
    about = "conversions" if pending.kind == "convert_access_code" else "changes"
    if pending.outcome == "succeeded":
        return (f"{about} succeeded",)
    if pending.outcome == "silent":
        return (f"{about} timed out", pending.error)
    return (f"{about} failed", pending.error)


def _settled(lock: LockState, code: CodeState, pending: Pending) -> Iterator[str]:
    """Make a code what it is after an operation, and yield the events that tell it."""
    succeeded = pending.outcome == "succeeded"
    if pending.kind == "convert_access_code":
        code.managed = succeeded
        yield "access_code.unmanaged.converted_to_managed" if succeeded else _FAILED_TO_CONVERT
    elif pending.kind == "remove_access_code":
        if succeeded:
            del lock.codes[code.number]
        yield from _removal(code.managed, succeeded)
    elif succeeded:
        code.on_lock = code.named = True
        yield from _difference(code, pending.wish)
        for name, value in pending.wish.items():
            setattr(code, name, value)
        scheduled = code.frame is not None and code.frame[0] > "2080"
        yield "access_code.scheduled_on_device" if scheduled else "access_code.set_on_device"
    else:
        yield "access_code.failed_to_set_on_device"


def _removal(managed: bool, succeeded: bool) -> tuple[str, ...]:
    if managed:
        gone = ("access_code.removed_from_device", "access_code.deleted")
        return gone if succeeded else ("access_code.failed_to_remove_from_device",)
    return ("access_code.unmanaged.removed",) if succeeded else ()


def _difference(code: CodeState, wish: dict[str, Any]) -> Iterator[str]:
    told = {"name": "name_changed", "pin": "code_changed", "frame": "time_frame_changed"}
    differing = [told[name] for name, value in wish.items() if getattr(code, name) != value]
    if differing:
        yield "access_code.changed"
        yield from (f"access_code.{one}" for one in differing)
