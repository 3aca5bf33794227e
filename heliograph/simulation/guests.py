"""What people do at locks and with the accounts of their vendor, and what the connector then reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph.simulation.steps import Step
from heliograph.simulation.world import CodeState, LockState, World, at_rest

MOST_GUESTS = 8
"""Codes of guests on a lock at which no more come."""

LONG_AGO = "2020-01-01T00:00:00Z"
"""A time before anything that any lock reports here."""

_NAMES = ("Amal", "Bea", "Chidi", "Dana", "Emre", "Freya", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena", "Mateo",
          "Noor", "Olga", "Priya", "Quinn", "Rosa", "Sami", "Tove", "Uma", "Vera", "Wim", "Xenia", "Yusuf",
          "Zoe")  # fmt: skip

CREATED, REMOVED = "access_code.unmanaged.created", "access_code.unmanaged.removed"


def guest_name(world: World, number: int) -> str:
    """Return a name; the number keeps those of one lock apart."""
    return f"{world.chance.choice(_NAMES)} {number}"


def time_frame(world: World, *, later: bool = False) -> tuple[str, str]:
    """Return when a code opens; far enough away that it makes no difference on which day the plan is played."""
    start, day = 2080 if later else 2020, world.chance.randint(1, 28)
    return f"{start}-03-{day:02}T14:00:00Z", f"2090-03-{day:02}T10:00:00Z"


def report(
    lock: LockState, text: str, codes: Sequence[CodeState], *, complete: bool, counts: tuple[str, ...],
    discovered: int = 0, vanished: int = 0, changed: int = 0, events: Sequence[str] = (), **more: Any,
) -> Step:  # fmt: skip
    """Return the connector's report of some codes, with what must become of them."""
    return Step(
        actor=lock.actor,
        text=f"{lock.actor.capitalize()}: {text}",
        counts=("reports", *counts),
        method="PUT",
        path=f"/v1/devices/{{{lock.actor}}}/access-code-report",
        body={"complete": complete, "codes": [code.reported() for code in codes], **more},
        answer={
            "applied": True,
            "discovered": discovered,
            "vanished": vanished,
            "changed": changed,
            "unchanged": len(codes) - discovered - changed,
            "refused": [],
        },
        events=tuple(events),
    )


def first_report(world: World, lock: LockState) -> Step:
    """Report the codes that were on a lock before anybody knew it."""
    for _ in range(world.chance.randint(2, 4)):
        _arrive(world, lock)
    count = len(lock.codes)
    return report(
        lock, f"holds {count} codes", lock.shown, complete=True, counts=("guests came",) * count,
        discovered=count, events=[CREATED] * count,
    )  # fmt: skip


def guests_come_and_go(world: World) -> Step | None:
    """Let guests arrive at a lock and leave it, and report all that it then holds."""
    lock = world.draw_lock()
    if lock is None:
        return None
    room = MOST_GUESTS - len(lock.guests)
    arrived = [_arrive(world, lock) for _ in range(min(room, world.chance.randint(0, 2)))]
    new = {code.number for code in arrived}
    guests = [code for code in at_rest(lock.guests) if code.number not in new]
    left = world.chance.sample(guests, min(len(guests), world.chance.randint(0, 2)))
    for code in left:
        del lock.codes[code.number]
    words = [f"{code.name} comes" for code in arrived] + [f"{code.name} leaves" for code in left]
    return report(
        lock, ", ".join(words) or "nothing new", lock.shown, complete=True,
        counts=("guests came",) * len(arrived) + ("guests left",) * len(left),
        discovered=len(arrived), vanished=len(left), events=[CREATED] * len(arrived) + [REMOVED] * len(left),
    )  # fmt: skip


def guest_comes(world: World) -> Step | None:
    """Let one guest arrive, and report that code alone; some type in what a code that is ours has already."""
    lock = world.draw_lock()
    if lock is None or len(lock.guests) >= MOST_GUESTS:
        return None
    code = _arrive(world, lock)
    pin = world.doubled_pin(lock)
    if pin is not None and world.chance.random() < 0.3:
        code.pin, code.hidden = pin, False
    return report(
        lock, f"{code.name} comes", [code], complete=False, counts=("guests came",), discovered=1, events=[CREATED]
    )  # fmt: skip


def guest_is_renamed(world: World) -> Step | None:
    """Let somebody give a guest's code another name or time, of which the log says nothing."""
    lock = world.draw_lock()
    guests = at_rest(lock.guests) if lock else []
    if lock is None or not guests:
        return None
    code = world.chance.choice(guests)
    before = code.name
    code.name = f"{guest_name(world, code.number)}b" if code.name[-1] != "b" else guest_name(world, code.number)
    return report(
        lock, f"{before} is {code.name} now", [code], complete=False, counts=("guests renamed",), changed=1
    )  # fmt: skip


def reported_late(world: World) -> Step | None:
    """Let a report come in that was made before another one, and has no effect."""
    lock = world.draw_lock()
    if lock is None:
        return None
    return Step(
        actor=lock.actor,
        text=f"{lock.actor.capitalize()}: a late report",
        counts=("reports", "late reports"),
        method="PUT",
        path=f"/v1/devices/{{{lock.actor}}}/access-code-report",
        body={"complete": True, "codes": [], "reportedAt": LONG_AGO},
        answer={"applied": False, "reason": "late_report"},
    )


def somebody_tampers(world: World) -> Step | None:
    """Let somebody rename a managed code at the lock, or delete it there."""
    lock = world.draw_lock()
    managed = [code for code in at_rest(lock.managed) if code.on_lock] if lock else []
    if lock is None or not managed:
        return None
    code = world.chance.choice(managed)
    if world.chance.random() < 0.5:
        code.on_lock = False
        return report(
            lock, f"somebody deletes {code.name}", lock.shown, complete=True, counts=("deleted at the lock",),
            vanished=1, events=["access_code.deleted_external_to_seam"],
        )  # fmt: skip
    before = code.name
    code.name = before.removesuffix("*") if before.endswith("*") else f"{before}*"
    return report(
        lock, f"somebody renames {before}", [code], complete=False, counts=("changed at the lock",), changed=1,
        events=["access_code.modified_external_to_seam"],
    )  # fmt: skip


def account_changes(world: World) -> Step | None:
    """Let an account lose its connection, or get it back."""
    if not world.accounts:
        return None
    lost = [account for account in world.accounts if not account.connected]
    account = world.chance.choice(lost if lost and world.chance.random() < 0.8 else world.accounts)
    under_way = (lock for lock, _, pending in world.pending.values() if pending.outcome != "silent")
    if account.connected and any(lock.lock.account == account.account.number for lock in under_way):
        return None
    account.connected = not account.connected
    verb = "reconnect" if account.connected else "disconnect"
    return Step(
        actor=account.actor,
        text=f"{account.account.name} is {verb}ed",
        counts=(f"accounts {verb}ed",),
        method="POST",
        path=f"/v1/connected-accounts/{{{account.actor}}}/{verb}",
        body=None if account.connected else {"message": "The password was changed."},
        answer={"state": "connected" if account.connected else "disconnected"},
        events=("connected_account.connected" if account.connected else "connected_account.disconnected",),
    )


def _arrive(world: World, lock: LockState) -> CodeState:
    chance = world.chance
    lock.numbered += 1
    code = CodeState(
        number=lock.numbered,
        name=guest_name(world, lock.numbered),
        pin=world.free_pin(lock),
        frame=time_frame(world) if chance.random() < 0.4 else None,
        hidden=chance.random() < 0.12,
        cannot_be_managed=chance.random() < 0.08,
    )
    lock.codes[code.number] = code
    return code
