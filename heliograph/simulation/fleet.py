"""Who plays: players, locks and the accounts that the locks belong to, the same for the same seed.

Serial numbers, addresses and names carry the seed, so that fleets of several seeds can live on one server.
"""

from __future__ import annotations

import csv
import io
import random
from typing import Any, Literal

import msgspec

LARGEST_SEED = 65_535
MOST_PLAYERS = 100_000
MOST_LOCKS = 10_000

MOST_ACCOUNTS = 8
LOCKS_OF_AN_ACCOUNT = 5

Fate = Literal["listed", "wrong model", "wrong serial", "unlisted"]
"""How a player compares with the spreadsheet: as listed there, of another model than listed, with another serial
number, or not there at all."""

_FATES: tuple[Fate, ...] = ("listed", "wrong model", "wrong serial", "unlisted")
_SHARES = (80, 8, 7, 5)

_SCREENS = (("Samsung", "QM55C"), ("LG", "55UH5"), ("Philips", "43BDL4550D"), ("Sharp", "PN-HW551"))
_LOCKS = (("Yale", "YRD256"), ("August", "ASL-05"), ("Schlage", "BE489WB"))
_PLACES = ("Lobby", "Bar", "Kitchen", "Corridor", "Terrace", "Garage", "Gym", "Lift")
_HOUSES = ("Harbour Hotel", "Old Mill", "Station House", "Park View", "Lakeside", "North Pier", "The Wharf", "Castle")
_PROVIDERS = ("yale", "august", "schlage")


class Player(msgspec.Struct, frozen=True):
    """A screen that registers by itself."""

    number: int
    name: str
    brand: str
    model: str
    serial: str
    mac: str
    fate: Fate

    def presented(self, fate: Fate) -> dict[str, Any]:
        """Return what it says of itself when it registers, wrong in the way of `fate`."""
        return {
            "brand": self.brand,
            "model": self.model + ("-Z" if fate == "wrong model" else ""),
            "serialNumber": self.serial + ("-Z" if fate == "wrong serial" else ""),
            "macAddress": self.mac,
        }


class Lock(msgspec.Struct, frozen=True):
    """A lock of the account numbered `account`."""

    number: int
    name: str
    brand: str
    model: str
    serial: str
    account: int


class Account(msgspec.Struct, frozen=True):
    """An account at a vendor."""

    number: int
    name: str
    provider: str


class Fleet(msgspec.Struct, frozen=True):
    """All that take part. `serials` is what their serial numbers begin with, `accounts_named` their accounts' names."""

    seed: int
    players: tuple[Player, ...]
    locks: tuple[Lock, ...]
    accounts: tuple[Account, ...]

    @property
    def serials(self) -> str:
        """What the serial numbers of this fleet, and of no other seed's, begin with."""
        return f"SIM{self.seed}-"

    @property
    def account_names(self) -> str:
        """What the names of this fleet's accounts, and of no other seed's, begin with."""
        return f"Simulation {self.seed}: "


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier run of the same seed left on the server, by serial number.

    It changes what the server answers, and none of the decisions. `listed` have a recipe, `warned` one that tells of
    an attempt in vain, `enrolled` are devices, and `placed` are locks with their account and name.
    """

    listed: frozenset[str] = frozenset()
    warned: frozenset[str] = frozenset()
    enrolled: frozenset[str] = frozenset()
    placed: frozenset[str] = frozenset()


def dice(*words: object) -> random.Random:
    """Return a source of decisions, the same for the same words."""
    return random.Random(" ".join(map(str, words)))  # noqa: S311 - to be repeated, not to be kept secret


def assemble(players: int, locks: int, seed: int) -> Fleet:
    """Make the fleet of a seed; a player or lock is the same in larger ones, except for a lock's account.

    Raises:
        ValueError: when a number is out of its range.
    """
    for number, most, name in ((players, MOST_PLAYERS, "players"), (locks, MOST_LOCKS, "locks")):
        if not 0 <= number <= most:
            raise ValueError(f"There are 0 to {most} {name}, not {number}.")
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"A seed is 0 to {LARGEST_SEED}, not {seed}.")
    fleet = Fleet(seed, (), (), ())
    count = min(MOST_ACCOUNTS, -(-locks // LOCKS_OF_AN_ACCOUNT))
    return Fleet(
        seed,
        tuple(_player(fleet, number) for number in range(1, players + 1)),
        tuple(_lock(fleet, number, count) for number in range(1, locks + 1)),
        tuple(
            Account(number, f"{fleet.account_names}{_HOUSES[number - 1]}", _PROVIDERS[number % len(_PROVIDERS)])
            for number in range(1, count + 1)
        ),
    )


def _player(fleet: Fleet, number: int) -> Player:
    chance = dice(fleet.seed, "player", number)
    brand, model = chance.choice(_SCREENS)
    return Player(
        number=number,
        name=f"{chance.choice(_PLACES)} {number}",
        brand=brand,
        model=model,
        serial=f"{fleet.serials}P{number:06}",
        # 02 stands for addresses that no manufacturer gives away (IEEE 802, locally administered).
        mac=":".join(f"{byte:02X}" for byte in (2, *divmod(fleet.seed, 256), *number.to_bytes(3, "big"))),
        fate=chance.choices(_FATES, _SHARES)[0],
    )


def _lock(fleet: Fleet, number: int, accounts: int) -> Lock:
    chance = dice(fleet.seed, "lock", number)
    brand, model = chance.choice(_LOCKS)
    serial = f"{fleet.serials}L{number:06}"
    return Lock(number, f"Room {100 + number}", brand, model, serial, 1 + (number - 1) % accounts)


def spreadsheet(fleet: Fleet) -> str:
    """Write the file by which the fleet is registered in advance."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Manufacturer", "Model", "Serial No.", "MAC", "Label"))
    for player in fleet.players:
        if player.fate != "unlisted":
            writer.writerow((player.brand, player.model, player.serial, player.mac, player.name))
    for lock in fleet.locks:
        writer.writerow((lock.brand, lock.model, lock.serial, "", lock.name))
    return text.getvalue()


def listed(fleet: Fleet) -> list[str]:
    """Return the serial numbers that the spreadsheet has."""
    players = [player.serial for player in fleet.players if player.fate != "unlisted"]
    return players + [lock.serial for lock in fleet.locks]
