"""A fleet as its manager knows it: what the spreadsheet says of each device, what the device does, what must follow.

Nothing here asks the platform: the numbers that it must come to are counted from this input alone.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

TAGS = ("Lobby", "Indoor", "Menu board")
SITES = ("Harbour Hotel", "Old Mill")
KEPT, NARROW, WIDE = "Standard", "Night mode", "Old screens"
"""Policies: one stays; two are deleted, under few recipes and under more than one transaction detaches."""

COLUMNS = (
    "Inventory no.", "Manufacturer", "Model no.", "S/N", "LAN MAC", "Label", "Tags", "Site", "Policy",
    "Owner confirmed", "Pairing code", "Remark",
)  # fmt: skip
MAPPING = ("Inventory no.:customMetadata.inventory", "Owner confirmed:confirmedOwnership")

# A recipe's history in short words; see `word`.
CREATED, KEPT_INVALID = "Created Pending", "Created Invalid"
WARNED = "Updated unsuccessfulRegisterAttemptStatus"
LOST = "Updated errorMessage Invalid"
FOUND_AGAIN = "Updated errorMessage locationUid Pending"
CHOSEN, CORRECTED = "Updated policyUid", "Updated macAddress"
REPAIRED = "Updated errorMessage policyUid Pending"
PAIRED, ADDED = "DevicePaired", "Device.Added"
FAILED, INVALID = "StatusUpdated Failed", "StatusUpdated Invalid"
PENDING, APPLIED = "StatusUpdated Pending", "StatusUpdated Applied"

# What a device or its operator does, and what is answered.
NEW, KNOWN, NOBODY = "applied, new", "applied", "noRecipe no_recipe"
REGISTER_NEW, REGISTER_KNOWN, REGISTER_NOBODY = ("register", NEW), ("register", KNOWN), ("register", NOBODY)
UNCONFIRMED, LACKING = "pending ownership_unconfirmed", "pending policy_missing"
CHOOSE_POLICY, CHOOSE_SITE, RETRY_IN_VAIN = ("choose policy", "200"), ("choose site", "200"), ("retry", "409")

Step = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What happens to devices of one kind, each with a row of the file unless `row` is false.

    `early` are the steps after the policies were deleted, before the job has detached all that named them.
    `theirs` says that another organization claims the device too: its recipe's history there, and `confirmed` who
    has confirmed the ownership.
    """

    count: int
    steps: tuple[Step, ...] = ()
    early: tuple[Step, ...] = ()
    history: tuple[str, ...] = ()
    status: str | None = "Applied"
    row: bool = True
    policy: str | None = KEPT
    site_known: bool = True
    code: bool = False
    theirs: tuple[str, ...] = ()
    confirmed: str = ""


BECOMES = (ADDED, APPLIED)
FATES = {
    "plain": Fate(count=700, steps=(REGISTER_NEW,), history=(CREATED, *BECOMES)),
    "registers twice": Fate(count=20, steps=(REGISTER_NEW, REGISTER_KNOWN), history=(CREATED, *BECOMES)),
    "never seen": Fate(count=50, history=(CREATED,), status="Pending"),
    "unknown": Fate(count=50, steps=(REGISTER_NOBODY,), row=False, status=None),
    "wrong MAC": Fate(
        count=90, steps=(("register wrong MAC", "refused identifier_mismatch"),),
        history=(CREATED, WARNED), status="Pending",
    ),
    "wrong MAC, corrected": Fate(
        count=10,
        steps=(("register wrong MAC", "refused identifier_mismatch"), ("correct MAC", "200"),
               ("register wrong MAC", NEW)),
        history=(CREATED, WARNED, CORRECTED, *BECOMES),
    ),
    "contested": Fate(
        count=8, steps=(("register", UNCONFIRMED),), history=(CREATED, WARNED), status="Pending",
        theirs=(CREATED, WARNED),
    ),
    "contested, ours": Fate(
        count=8, steps=(REGISTER_NEW,), history=(CREATED, *BECOMES), theirs=(CREATED,), confirmed="ours"
    ),
    "contested, confirmed twice": Fate(
        count=4, steps=(("register", "pending ambiguous"),), history=(CREATED, WARNED), status="Pending",
        theirs=(CREATED, WARNED), confirmed="both",
    ),
    "claim code": Fate(
        count=10, code=True, steps=(("register with code", NEW),), history=(CREATED, PAIRED, *BECOMES)
    ),
    "claim code, wrong first": Fate(
        count=10, code=True,
        steps=(("register wrong code", "refused claim_code_wrong"), ("register wrong code", "refused claim_code_wrong"),
               ("register with code", NEW)),
        history=(CREATED, WARNED, PAIRED, *BECOMES),
    ),
    "claim code, none first": Fate(
        count=10, code=True, steps=(("register", UNCONFIRMED), ("register with code", NEW)),
        history=(CREATED, WARNED, PAIRED, *BECOMES),
    ),
    "misspelt site": Fate(
        count=8, site_known=False, steps=(REGISTER_NOBODY, RETRY_IN_VAIN, CHOOSE_SITE, REGISTER_NEW),
        history=(KEPT_INVALID, FOUND_AGAIN, *BECOMES),
    ),
    "misspelt site, left so": Fate(
        count=2, site_known=False, steps=(REGISTER_NOBODY,), history=(KEPT_INVALID,), status="Invalid"
    ),
    "narrow policy": Fate(
        count=10, policy=NARROW, steps=(REGISTER_NOBODY, RETRY_IN_VAIN, CHOOSE_POLICY, REGISTER_NEW),
        history=(CREATED, LOST, REPAIRED, *BECOMES),
    ),
    "wide policy, at once": Fate(
        count=50, policy=WIDE, steps=(REGISTER_NOBODY, CHOOSE_POLICY, REGISTER_NEW),
        history=(CREATED, LOST, REPAIRED, *BECOMES),
    ),
    "wide policy, by the job": Fate(
        count=3, policy=WIDE, steps=(REGISTER_NOBODY, CHOOSE_POLICY, REGISTER_NEW),
        history=(CREATED, LOST, REPAIRED, *BECOMES),
    ),
    "wide policy, failed": Fate(
        count=3, policy=WIDE, early=(("register", LACKING), ("register", LACKING)),
        steps=(RETRY_IN_VAIN, CHOOSE_POLICY, REGISTER_KNOWN),
        history=(CREATED, FAILED, WARNED, INVALID, CHOSEN, PENDING, *BECOMES),
    ),
    "wide policy, failed and repaired early": Fate(
        count=2, policy=WIDE, early=(("register", LACKING), RETRY_IN_VAIN, CHOOSE_POLICY), steps=(REGISTER_KNOWN,),
        history=(CREATED, FAILED, CHOSEN, PENDING, *BECOMES),
    ),
    "wide policy, failed for good": Fate(
        count=2, policy=WIDE, early=(("register", LACKING),), steps=(REGISTER_NOBODY,),
        history=(CREATED, FAILED, INVALID), status="Invalid",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """One device and its row in the file."""

    number: int
    kind: str

    @property
    def fate(self) -> Fate:
        """What happens to it."""
        return FATES[self.kind]

    @property
    def serial(self) -> str:
        """What its label says."""
        return f"SN-{self.number:05}"

    @property
    def name(self) -> str:
        """What the screen is to be called."""
        return f"Écran {self.number}; floor {self.number % 7}"

    @property
    def tags(self) -> tuple[str, ...]:
        """Some of the tags, none for many."""
        return tuple(tag for place, tag in enumerate(TAGS) if self.number >> place & 1)

    @property
    def site(self) -> str:
        """Where it hangs."""
        return SITES[self.number % 2]

    @property
    def code(self) -> str:
        """The claim code on its box."""
        return f"BOX-{self.number:04}-QRST"

    def mac(self, *, wrong: bool = False) -> str:
        """Return the MAC address that is meant, or the one that the device has by mistake."""
        digits = f"02{'EE' if wrong else '00'}{self.number:08X}"
        return ":".join(digits[n : n + 2] for n in range(0, 12, 2))

    @cached_property
    def cells(self) -> tuple[str, ...]:
        """Its row in the file, written as different people would."""
        separator = ("; ", "|", ",")[self.number % 3]
        return (
            f"INV {self.number}", ("Samsung", " samsung ", "SAMSUNG")[self.number % 3], "QM55C", self.serial,
            self.mac() if self.number % 2 else self.mac().replace(":", "-").lower(), self.name,
            separator.join(self.tags), self.site if self.fate.site_known else "Harbor Hotell",
            self.fate.policy or "", "yes" if self.fate.confirmed else "", self.code if self.fate.code else "",
            "checked;\r\nby night" if self.number % 10 == 0 else "",
        )  # fmt: skip

    def presented(self, action: str) -> dict[str, Any]:
        """Return what it sends when it registers."""
        body = {"brand": "Samsung", "model": "qm55c", "serialNumber": self.serial.lower()}
        body["macAddress"] = self.mac(wrong="wrong MAC" in action)
        if "code" in action:
            body["claimCode"] = "WRONG-CODE-1" if "wrong" in action else self.code
        return body

    @property
    def device_history(self) -> tuple[str, ...]:
        """What is told of the device, from the first event that names it."""
        history = self.fate.history
        known = [place for place, told in enumerate(history) if told in (PAIRED, ADDED, FAILED)]
        return history[known[0] :] if known else ()


UNITS = [
    Unit(number, kind) for number, kind in enumerate(kind for kind, fate in FATES.items() for _ in range(fate.count))
]
LISTED = [unit for unit in UNITS if unit.fate.row]
CONTESTED = [unit for unit in UNITS if unit.fate.theirs]


def spreadsheet() -> bytes:
    """Return the file as a spreadsheet program saves it: a byte order mark, semicolons, quotes where needed."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(unit.cells for unit in LISTED)
    return text.getvalue().encode("utf-8-sig")


def statuses() -> dict[str, int]:
    """Count the recipes by the status that they end with."""
    return dict(Counter(unit.fate.status for unit in LISTED if unit.fate.status))


def reasons() -> dict[str, dict[str, int]]:
    """Count the registrations in vain by reason, in our organization, in the other one, and where no recipe was."""
    found: dict[str, Counter[str]] = {"ours": Counter(), "theirs": Counter(), "nobody's": Counter()}
    for unit in UNITS:
        for _, answer in unit.fate.early + unit.fate.steps:
            _, _, reason = answer.partition(" ")
            if reason == "no_recipe":
                found["nobody's"][reason] += 1
            elif answer.startswith(("refused", "pending")):
                found["ours"][reason] += 1
                if unit.fate.theirs:
                    found["theirs"][reason] += 1
    return {place: dict(counted) for place, counted in found.items()}


_SHARED = {"owner", "originator", "type", "uid", "organizationUid", "status"}


def word(event: dict[str, Any]) -> str:
    """Put an event in the short words of a history: the changed fields by name, a status by its value."""
    payload = event["payload"]
    short = event["type"].removeprefix("Device.ProvisioningRecipe").removeprefix("Device.Verification.")
    fields = sorted(payload.keys() - _SHARED) if short == "Updated" else []
    status = [payload["status"]] if "status" in payload else []
    return " ".join([short, *fields, *status])


def word_counts(side: str) -> dict[str, int]:
    """Count the events of our organization's recipes and devices, or of `theirs`, in the same words."""
    histories = [unit.fate.theirs if side == "theirs" else unit.fate.history for unit in UNITS]
    return dict(Counter(told for history in histories for told in history))
