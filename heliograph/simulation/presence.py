"""What players and locks say of themselves: connections, batteries, a case that is too hot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heliograph.simulation.steps import Step
from heliograph.simulation.world import BATTERY_LOW, BATTERY_RECOVERED, LockState, PlayerState, World

ADDED, DELETED = "Device.DeviceConnectionAdded", "Device.DeviceConnectionDeleted"

Device = PlayerState | LockState


def _reports(device: Device, text: str, count: str, body: dict[str, Any], *events: str) -> Step:
    return Step(
        actor=device.actor,
        text=f"{device.actor.capitalize()} {text}",
        counts=(count,),
        method="POST",
        path=f"/v1/devices/{{{device.actor}}}/reports",
        body=body,
        answer={"connected": device.presence.online, "ignored": []},
        events=events,
    )


def _session(world: World, device: Device) -> dict[str, Any]:
    device.presence.session += 1
    return {"state": "online", "sessionId": f"{world.fleet.seed}-{device.presence.session}"}


def come_online(world: World, device: Device) -> Step:
    """Connect a device that is not connected."""
    device.presence.online = True
    return _reports(device, "comes online", "came online", {"session": _session(world, device)}, ADDED)


def go_offline(device: Device) -> Step:
    """Disconnect a device that is connected."""
    device.presence.online = False
    return _reports(device, "goes offline", "went offline", {"session": {"state": "offline"}}, DELETED)


def start_again(world: World, device: Device) -> Step:
    """Let a connected device begin another session without ending the one that it had."""
    body = {"session": _session(world, device)}
    return _reports(device, "has started again", "started again", body, DELETED, ADDED)


def drain(world: World, device: Device) -> Step:
    """Report a battery that is emptier than before, or a new one in place of one that is empty."""
    presence, events = device.presence, []
    if presence.battery <= 5:
        presence.battery, text, count = 100, "has a new battery", "batteries changed"
    else:
        presence.battery = max(3, presence.battery - world.chance.randint(5, 25))
        text, count = f"has {presence.battery} percent left", "battery levels"
    if not presence.low and presence.battery <= BATTERY_LOW:
        presence.low, count = True, "batteries ran low"
        events.append("Device.BatteryLow")
    elif presence.low and presence.battery >= BATTERY_RECOVERED:
        presence.low = False
        events.append("Device.BatteryRecovered")
    return _reports(device, text, count, {"battery": {"level": presence.battery / 100}}, *events)


def warm(device: Device) -> Step:
    """Report that the case became hot, or that it is no longer so."""
    presence = device.presence
    presence.hot = not presence.hot
    warnings = [{"code": "hot", "message": "The case is above 40 degrees."}] if presence.hot else []
    words = "is hot" if presence.hot else "has cooled down"
    return _reports(device, words, "warnings changed", {"warnings": warnings}, "Device.ConditionsChanged")


def player_reports(world: World) -> Step | None:
    """Let one of the enrolled players say something of itself."""
    player = world.draw(world.players, lambda one: one.enrolled)
    if player is None:
        return None
    if not player.presence.online:
        return come_online(world, player)
    moves: tuple[Callable[[], Step], ...] = (
        lambda: go_offline(player),
        lambda: start_again(world, player),
        lambda: drain(world, player),
        lambda: warm(player),
    )
    return world.chance.choices(moves, (3, 1, 5, 2))[0]()


def lock_reports(world: World) -> Step | None:
    """Let one of the locks say something of itself; one that has something to do stays online."""
    if not world.locks:
        return None
    lock = world.chance.choice(world.locks)
    if not lock.presence.online:
        return come_online(world, lock)
    if world.chance.random() < 0.2 and not lock.is_busy:
        return go_offline(lock)
    return drain(world, lock)
