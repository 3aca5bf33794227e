"""The beginning of a fleet: its accounts, its recipes, and devices that register."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heliograph.simulation import presence
from heliograph.simulation.fleet import Fate, Lock, listed, spreadsheet
from heliograph.simulation.steps import Step
from heliograph.simulation.world import AccountState, LockState, PlayerState, World

RECIPES = "/v1/provisioning-recipes"
_ENROLLED = ("Device.Added", "Device.ProvisioningRecipeStatusUpdated")

_REFUSALS: dict[Fate, tuple[str, str]] = {
    "wrong model": ("refused", "model_mismatch"),
    "wrong serial": ("refused", "identifier_mismatch"),
    "unlisted": ("noRecipe", "no_recipe"),
}


def opening(world: World) -> Iterator[Step]:
    """Yield what comes first: the recipes, and each lock with its account and name."""
    yield _import(world)
    for lock in world.locks:
        yield _register_lock(world, lock)
        yield _place(world, lock)
        yield presence.come_online(world, lock)


def metadata_of(lock: Lock) -> dict[str, Any]:
    """Return what is to be read beside the events about a lock's codes."""
    return {"room": str(100 + lock.number), "guests": True}


def connect_account(account: AccountState) -> Step:
    """Add an account that is not there yet."""
    return Step(
        actor=account.actor,
        text=f"{account.account.name} is connected",
        counts=("accounts connected",),
        method="POST",
        path="/v1/connected-accounts",
        body={
            "name": account.account.name,
            "provider": account.account.provider,
            "customMetadata": {"simulated": True},
        },
        status=(201,),
        answer={"state": "connected"},
        learns={account.actor: "uid"},
        events=("connected_account.connected",),
    )


def _import(world: World) -> Step:
    rows = listed(world.fleet)
    unchanged = sum(serial in world.before.listed for serial in rows)
    outcomes = {"created": len(rows) - unchanged, "unchanged": unchanged}
    return Step(
        actor="fleet",
        text=f"The fleet manager imports a spreadsheet of {len(rows)} devices",
        counts=("imports",),
        method="POST",
        path=f"{RECIPES}/import",
        body=spreadsheet(world.fleet),
        content_type="text/csv",
        status=(202,),
        answer={"state": "succeeded", "result": {"outcomes": {name: n for name, n in outcomes.items() if n}}},
        learns={"import": "uid"},
        events=("Job.Started", "Job.Finished", *["Device.ProvisioningRecipeCreated"] * outcomes["created"]),
        awaits_job=True,
    )


def _register_lock(world: World, state: LockState) -> Step:
    lock = state.lock
    known = lock.serial in world.before.enrolled
    return Step(
        actor=state.actor,
        text=f"Lock {lock.number} registers",
        counts=("locks registered",),
        method="POST",
        path="/v1/devices/register",
        body={"brand": lock.brand, "model": lock.model, "serialNumber": lock.serial},
        status=(200 if known else 201,),
        answer={"result": "applied"},
        learns={state.actor: "deviceIdentityHash"},
        events=() if known else _ENROLLED,
    )


def _place(world: World, state: LockState) -> Step:
    lock = state.lock
    return Step(
        actor=state.actor,
        text=f"Lock {lock.number} belongs to {world.account_of(state).account.name}",
        counts=("locks placed",),
        method="PATCH",
        path=f"/v1/devices/{{{state.actor}}}",
        body={
            "connectedAccountUid": f"{{account {lock.account}}}",
            "customMetadata": metadata_of(lock),
        },
        answer={"state": "enrolled"},
        events=() if lock.serial in world.before.placed else ("Device.Updated",),
    )


def player_registers(world: World) -> Step | None:
    """Let a player register: for the first time, once more in vain, put right, or though it is enrolled."""
    if world.arriving:
        player = world.arriving.pop()
        return _register(world, player, player.player.fate)
    player = world.chance.choice(world.players)
    if world.chance.random() < 0.7:
        return None
    if player.enrolled:
        return _register(world, player, "listed")
    put_right = player.player.fate != "unlisted" and world.chance.random() < 0.5
    return _register(world, player, "listed" if put_right else player.player.fate)


def _register(world: World, state: PlayerState, fate: Fate) -> Step:
    player = state.player
    known = player.serial in world.before.enrolled
    first = not state.enrolled
    if fate in _REFUSALS and not (known and fate == "wrong model"):
        return _refused(state, fate, known)
    if fate == "listed":
        state.enrolled = True
    else:
        # An enrolled device is known by its identifiers, whatever model it says that it is.
        state.tried += 1
    count = "registered" if first and fate == "listed" else "registered again"
    fresh = first and not known
    return Step(
        actor=state.actor,
        text=f"Player {player.number} registers{'' if first else ' again'}: {player.name}",
        counts=(count,),
        method="POST",
        path="/v1/devices/register",
        body=player.presented(fate),
        status=(201 if fresh else 200,),
        answer={"result": "applied", "reason": None},
        learns={state.actor: "deviceIdentityHash"},
        events=_ENROLLED if fresh else (),
    )


def _refused(state: PlayerState, fate: Fate, known: bool) -> Step:
    player, (result, reason) = state.player, _REFUSALS[fate]
    tells = fate != "unlisted" and not state.warned and not known
    state.warned = state.warned or tells
    state.tried += 1
    return Step(
        actor=state.actor,
        text=f"Player {player.number} registers in vain: {reason.replace('_', ' ')}",
        counts=("not listed" if fate == "unlisted" else "refused",),
        method="POST",
        path="/v1/devices/register",
        body=player.presented(fate),
        answer={"result": result, "reason": reason},
        events=("Device.ProvisioningRecipeUpdated",) if tells else (),
    )
