"""Files of recipes on both databases: what becomes of every row, once, exactly as a dry run said before."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.devices import actions as devices
from heliograph.devices.model import Identity, Settings
from heliograph.errors import Conflict, Invalid
from heliograph.http.jobs import table as report_table
from heliograph.ids import Uid
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import JobRow, unguarded
from heliograph.provisioning import actions, importing
from heliograph.provisioning.claims import hash_code, is_right
from heliograph.provisioning.model import RecipePatch
from heliograph.references import actions as references
from heliograph.storage import migrate
from heliograph.storage.sqlite import SqliteEngine
from heliograph.tenancy.actions import get_account, remove_grant, revoke_account
from tests.conformance.imports import ImportDesk, Line, table
from tests.conformance.provisioned import SEALER, names, recipe_event, somebody
from tests.conformance.stores import START_OF_TIME, store_on
from tests.custom_metadata import LONGEST_METADATA, WRONG_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from heliograph.jobs.runner import Runner
    from heliograph.provisioning.recipes import Demands, Recipe
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store

CANARY = "KEEP-CANARY-77"


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def desk(store: Store) -> ImportDesk:
    return ImportDesk(store)


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut files into chunks of two rows."""
    monkeypatch.setattr(importing, "ROWS_AT_ONCE", 2)


def row(who: Identity, **more: str) -> dict[str, str]:
    """Return the row that asks for a recipe of this device."""
    cells = {"brand": who.brand, "serial number": who.serial_number, "mac address": who.mac_address}
    return {name: text for name, text in cells.items() if text is not None} | {
        name.replace("_", " "): text for name, text in more.items()
    }


# -- what becomes of a row ------------------------------------------------------------------------------------------


def test_new_rows_become_recipes_with_all_that_they_say(desk: ImportDesk) -> None:
    tag, policy, location = (desk.reference(kind) for kind in ("tag", "policy", "location"))
    desk.forget()
    who = somebody()
    cells = row(
        who, device_name="Lobby", model="QM55C", tags=tag.hex(), policy=policy.hex(), location=location.hex(),
        confirmed="yes", on_repeat="reset",
    ) | {"customMetadata.floor": "3"}  # fmt: skip
    content = table([cells], "confirmed", "on repeat", "customMetadata.floor")
    [line] = desk.take(content)
    [recipe] = desk.recipes()
    assert line == Line(1, "created", {"line": 2, "recipeUid": recipe.uid.hex()})
    assert recipe.settings == Settings(
        name="Lobby", tag_uids=(tag,), policy_uid=policy, location_uid=location, custom_metadata={"floor": "3"}
    )
    assert (recipe.status, recipe.confirmed_ownership, recipe.on_repeat) == ("Pending", True, "reset")
    assert desk.news() == [
        recipe_event(
            desk.here, "Created", recipe, status="Pending", confirmedOwnership=True, serialNumber=who.serial_number,
            macAddress=who.mac_address, model="QM55C", brand="Samsung", tagUids=[tag.hex()], deviceName="Lobby",
            policyUid=policy.hex(), locationUid=location.hex(),
        )
    ]  # fmt: skip


def test_events_of_a_file_come_in_the_order_of_its_rows(desk: ImportDesk) -> None:
    present = desk.recipe(somebody(), name="old")
    desk.forget()
    rows = [row(somebody()), row(somebody(), mac_address="nonsense"), row(present.identity, device_name="new")]
    assert desk.outcomes(table([*rows, row(somebody())]), existing="update", keep_invalid=True) == [
        "created", "invalid", "updated", "created",
    ]  # fmt: skip
    told = desk.news()
    created, updated = "ProvisioningRecipeCreated", "ProvisioningRecipeUpdated"
    assert names(told) == [created, created, updated, created]
    assert [one.body.get("status") for one in told] == ["Pending", "Invalid", None, "Pending"]
    assert told[2] == recipe_event(desk.here, "Updated", present, deviceName="new")


def test_row_with_faults_is_rejected_naming_each_of_them(desk: ImportDesk) -> None:
    rows = [{"brand": "Samsung", "serial number": "x" * 201, "mac address": "1", "tags": "nowhere"}, {"brand": "LG"}]
    first, second = desk.take(table([*rows, {"serial number": "SN"}]))[:2]
    assert first.outcome == "rejected"
    assert [(fault["pointer"], fault["rule"]) for fault in first.detail["errors"]] == [
        ("/serialNumber", "max-length"), ("/macAddress", "mac-address"), ("/tags/0", "unknown-tag"),
    ]  # fmt: skip
    assert first.detail["cells"]["mac address"] == "1"
    assert (second.outcome, second.detail["reason"]) == ("rejected", "identifier-required")
    assert desk.recipes() == []


def test_row_with_faults_is_kept_as_invalid_when_asked_for(desk: ImportDesk) -> None:
    who = somebody(mac_address=None)
    content = table([row(who, mac_address="1", policy="nowhere", device_name="x" * 300), {"serial number": "SN"}])
    kept, refused = desk.take(content, keep_invalid=True)
    [recipe] = desk.recipes()
    assert (kept.outcome, kept.detail["recipeUid"]) == ("invalid", recipe.uid.hex())
    assert (recipe.status, recipe.identity, recipe.settings.name) == ("Invalid", who, None)
    assert recipe.error_message == kept.detail["message"]
    assert refused.outcome == "rejected", "without a brand nothing can be kept"


def test_recipe_that_says_otherwise_stays_and_the_row_is_a_conflict(desk: ImportDesk) -> None:
    recipe = desk.recipe(somebody(), name="Lobby")
    desk.forget()
    [line] = desk.take(table([row(recipe.identity, device_name="Bar", model="X")]))
    assert (line.outcome, line.detail["reason"]) == ("conflict", "recipe_exists")
    assert line.detail["recipeUid"] == recipe.uid.hex()
    assert line.detail["message"] == "The recipe is there already, with another deviceName, model."
    assert (desk.present(recipe), desk.news()) == (recipe, [])


def test_identifiers_of_two_recipes_or_of_a_device_are_a_conflict(desk: ImportDesk) -> None:
    one, other, who = desk.recipe(somebody()), desk.recipe(somebody()), somebody()
    device, _ = desk.write(devices.create, desk.here, who, Settings())
    mixed = row(one.identity, mac_address=other.identity.mac_address or "")
    first, second = desk.take(table([mixed, row(who)]), existing="update")
    assert {first.outcome, second.outcome} == {"conflict"}
    assert {first.detail["reason"], second.detail["reason"]} == {"identifiers_taken"}
    assert all(recipe.uid.hex() in first.detail["message"] for recipe in (one, other))
    assert second.detail["message"] == f"In use already: device {device.uid.hex()}."


def test_device_or_recipe_of_another_organization_is_not_in_the_way(desk: ImportDesk) -> None:
    theirs = desk.recipe(somebody(), desk.there)
    enrolled, _ = desk.write(devices.create, desk.there, somebody(), Settings())
    rows = [row(theirs.identity), row(enrolled.identity)]
    assert desk.outcomes(table(rows)) == ["created", "created"]


def test_blank_cells_say_nothing(desk: ImportDesk) -> None:
    tag, policy = desk.reference("tag"), desk.reference("policy")
    recipe = desk.recipe(
        somebody(), name="Lobby", tag_uids=(tag,), policy_uid=policy, confirmed_ownership=True, on_repeat="reject"
    )
    desk.forget()
    cells = {"brand": " SAMSUNG ", "serial number": recipe.identity.serial_number or "", "device name": "  "}
    assert desk.outcomes(table([cells], "confirmed", "on repeat"), existing="update") == ["unchanged"]
    assert (desk.present(recipe), desk.news()) == (recipe, [])


def test_update_changes_what_the_row_says_and_nothing_else(desk: ImportDesk) -> None:
    who = somebody(mac_address=None)
    recipe = desk.recipe(who, name="Lobby", custom_metadata={"a": "1", "b": "2"})
    desk.forget()
    mac = somebody().mac_address
    cells = row(who, mac_address=mac or "") | {"customMetadata.b": "3"}
    assert desk.outcomes(table([cells], "customMetadata.b"), existing="update") == ["updated"]
    after = desk.present(recipe)
    assert (after.settings.name, after.settings.custom_metadata) == ("Lobby", {"a": "1", "b": "3"})
    assert desk.news() == [recipe_event(desk.here, "Updated", recipe, macAddress=mac)]


def test_row_that_adds_one_key_too_many_to_a_recipe_does_not_change_it(desk: ImportDesk) -> None:
    recipe = desk.recipe(somebody(), custom_metadata=LONGEST_METADATA)
    content = table([row(recipe.identity) | {"customMetadata.more": "x"}], "customMetadata.more")
    [line] = desk.take(content, existing="update")
    assert (line.outcome, line.detail["reason"]) == ("conflict", "update_refused")
    assert [(fault["pointer"], fault["rule"]) for fault in line.detail["errors"]] == [
        ("/customMetadata", "maxProperties")
    ]
    assert desk.present(recipe) == recipe


def test_update_repairs_a_failed_recipe_and_enrols_its_device(desk: ImportDesk) -> None:
    recipe, policy = desk.failed(somebody()), desk.reference("policy")
    desk.forget()
    content = table([row(recipe.identity, policy=policy.hex())])
    assert desk.outcomes(content, existing="update") == ["updated"]
    assert desk.present(recipe).status == "Applied"
    assert names(desk.news())[-2:] == ["Added", "ProvisioningRecipeStatusUpdated"]


def test_applied_recipe_keeps_its_identifiers(desk: ImportDesk) -> None:
    recipe = desk.recipe(somebody(mac_address=None))
    desk.register(recipe.identity)
    [line] = desk.take(table([row(recipe.identity, mac_address=somebody().mac_address or "")]), existing="update")
    assert (line.outcome, line.detail["reason"]) == ("conflict", "update_refused")
    assert desk.present(recipe).identity == recipe.identity


# -- what rows refer to ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "column"), [("tag", "tags"), ("policy", "policy"), ("location", "location")])
def test_reference_is_found_by_uid_or_by_the_only_one_of_its_name(desk: ImportDesk, kind: str, column: str) -> None:
    pointer = "/tags/0" if kind == "tag" else f"/{kind}"

    def add(name: str, scope: Any = None, **more: Any) -> bytes:
        made = desk.write(references.create, scope or desk.here, kind, name=name, **more)
        return bytes(made.uid)

    mine, theirs = add("Harbour"), add("Elsewhere", desk.there)
    above = add("Twice")
    add("Twice", **({"parent_uid": above} if kind == "tag" else {}))
    texts = [mine.hex(), " hARBOUR ", theirs.hex(), "Elsewhere", "Twice", "Nowhere"]
    lines = desk.take(table([row(somebody(), **{column: text}) for text in texts]))
    assert [line.outcome for line in lines] == ["created"] * 2 + ["rejected"] * 4
    unknown, ambiguous = (pointer, f"unknown-{kind}"), (pointer, f"ambiguous-{kind}")
    found = [(fault["pointer"], fault["rule"]) for line in lines[2:] for fault in line.detail["errors"]]
    assert found == [unknown, unknown, ambiguous, unknown]


@pytest.mark.parametrize("field", ["policy", "location", "tags", "deviceName", "serialNumber", "brand", "macAddress"])
def test_control_character_is_a_fault_of_its_row_alone(desk: ImportDesk, field: str) -> None:
    bad = {"brand": "LG", "serialNumber": somebody().serial_number, field: ["a\0"] if field == "tags" else "a\0"}
    good = {"brand": "LG", "serialNumber": somebody().serial_number}
    content = b"\n".join(json.dumps(line).encode() for line in (bad, good))
    assert desk.outcomes(content) == ["rejected", "created"]
    assert desk.outcomes(content, keep_invalid=True)[1] == "unchanged"


@pytest.mark.parametrize(("metadata", "fault"), WRONG_OBJECTS)
def test_custom_metadata_that_breaks_a_rule_is_a_fault_of_its_row(
    desk: ImportDesk, metadata: dict[str, Any], fault: tuple[str, str]
) -> None:
    lines = [
        {"brand": "LG", "serialNumber": somebody().serial_number, "customMetadata": given}
        for given in (metadata, LONGEST_METADATA)
    ]
    in_cells = table([row(somebody()) | {"customMetadata": json.dumps(metadata)}], "customMetadata")
    told = [*desk.take(b"\n".join(json.dumps(line).encode() for line in lines)), *desk.take(in_cells)]
    assert [line.outcome for line in told] == ["rejected", "created", "rejected"]
    for line in (told[0], told[2]):
        assert [(one["pointer"], one["rule"]) for one in line.detail["errors"]] == [fault]
    assert [recipe.settings.custom_metadata for recipe in desk.recipes()] == [LONGEST_METADATA]


def test_text_of_a_column_that_is_too_long_for_custom_metadata_is_a_fault_of_its_row(desk: ImportDesk) -> None:
    rows = [row(somebody()) | {"customMetadata.note": "x" * length} for length in (500, 501)]
    told = desk.take(table(rows, "customMetadata.note"))
    assert [line.outcome for line in told] == ["created", "rejected"]
    assert [(one["pointer"], one["rule"]) for one in told[1].detail["errors"]] == [
        ("/customMetadata/note", "maxLength")
    ]


# -- rows that are kept with their faults ---------------------------------------------------------------------------


def kept(desk: ImportDesk, cells: dict[str, str], *columns: str) -> Recipe:
    """Import one row that cannot be right, and return the recipe that is made of it."""
    [line] = desk.take(table([cells], *columns), keep_invalid=True)
    [recipe] = [recipe for recipe in desk.recipes() if recipe.uid.hex() == line.detail["recipeUid"]]
    assert (line.outcome, recipe.status) == ("invalid", "Invalid")
    return recipe


def code_is(recipe: Recipe, code: str) -> bool:
    return is_right(recipe.claim_hash or b"", hash_code(SEALER, recipe.uid, code))


def test_kept_row_waits_only_when_each_of_its_faults_was_dealt_with(desk: ImportDesk) -> None:
    recipe = kept(desk, row(somebody(), policy="nowhere", claim_code=CANARY), "claim code")
    changed = desk.patch(recipe, device_name="lobby")
    assert (changed.status, changed.error_message) == ("Invalid", recipe.error_message)
    with pytest.raises(Conflict, match="'policyUid' could not be used"):
        desk.write(actions.retry, desk.here, recipe.uid, None)
    repaired = desk.patch(recipe, policy_uid=None)
    assert (repaired.status, repaired.error_message, repaired.faulty_fields) == ("Pending", None, ())
    assert code_is(repaired, CANARY), "the proof that the row asked for is still asked for"


def test_kept_row_with_unusable_custom_metadata_waits_once_it_is_set(desk: ImportDesk) -> None:
    recipe = kept(desk, row(somebody()) | {"customMetadata": '{"floor": 3}'}, "customMetadata")
    assert (recipe.faulty_fields, recipe.settings.custom_metadata) == (("customMetadata",), {})
    assert desk.patch(recipe, device_name="lobby").status == "Invalid"
    assert desk.patch(recipe, custom_metadata={"floor": "3"}).status == "Pending"


def test_identifier_that_was_no_use_is_not_silently_left_out(desk: ImportDesk) -> None:
    who = somebody()
    recipe = kept(desk, row(who, mac_address="1"))
    assert recipe.faulty_fields == ("macAddress",)
    assert desk.patch(recipe, device_name="lobby").status == "Invalid"
    repaired = desk.patch(recipe, mac_address=who.mac_address)
    assert (repaired.status, repaired.identity) == ("Pending", who)


def test_demanded_field_of_a_kept_row_cannot_be_done_without(store: Store) -> None:
    demands: Demands = {"samsung": ("model",)}
    desk = ImportDesk(store, demands)
    recipe = kept(desk, row(somebody()))
    with pytest.raises(Invalid):
        desk.write(actions.update, desk.here, recipe.uid, None, RecipePatch(model=None), demands)
    assert desk.patch(recipe, model="QM55C").status == "Pending"


@pytest.mark.parametrize(("code", "expires"), [("short", ""), (CANARY, "tomorrow")])
def test_lost_claim_code_needs_another_one_or_the_word_of_an_operator(
    desk: ImportDesk, code: str, expires: str
) -> None:
    columns = "claim code", "claim code expires"
    first, second = (
        kept(desk, row(somebody(), claim_code=code, claim_code_expires=expires), *columns) for _ in range(2)
    )
    for changes in ({"device_name": "lobby"}, {"confirmed_ownership": False}):
        assert desk.patch(first, **changes).status == "Invalid"
    with pytest.raises(Conflict, match="claim code could not be used"):
        desk.write(actions.retry, desk.here, first.uid, None)
    hashed = hash_code(SEALER, first.uid, "OTHER-2345")
    assert desk.write(actions.set_claim_code, desk.here, first.uid, None, hashed, None).status == "Pending"
    assert desk.patch(second, confirmed_ownership=True).status == "Pending"


def test_expiry_without_a_claim_code_is_a_fault(desk: ImportDesk) -> None:
    cells = row(somebody(), claim_code_expires="2100-01-01T00:00:00Z")
    [line] = desk.take(table([cells], "claim code expires"))
    assert (line.outcome, line.detail["reason"]) == ("rejected", "claim-code-required")


def test_kept_row_is_kept_again_when_its_recipe_was_deleted(desk: ImportDesk) -> None:
    cells = row(somebody(), policy="nowhere")
    first = kept(desk, cells)
    desk.write(actions.delete, desk.here, first.uid, None)
    assert kept(desk, cells).uid != first.uid


@pytest.mark.parametrize("dry_run", [False, True])
def test_kept_row_that_became_right_repairs_its_recipe(desk: ImportDesk, dry_run: bool) -> None:
    cells = row(somebody(), policy="Late", device_name="Lobby", claim_code=CANARY)
    recipe = kept(desk, cells, "claim code")
    policy = desk.write(references.create, desk.here, "policy", name="Late")
    content = table([cells, cells], "claim code")
    assert desk.outcomes(content, may_confirm=False, dry_run=dry_run) == ["updated", "unchanged"]
    assert [one.uid for one in desk.recipes()] == [recipe.uid]
    after = desk.present(recipe)
    assert (after.status, after.settings.policy_uid) == (("Invalid", None) if dry_run else ("Pending", policy.uid))


def test_kept_recipe_that_somebody_changed_is_repaired_only_on_request(desk: ImportDesk) -> None:
    cells = row(somebody(), policy="Late", device_name="Lobby")
    recipe = kept(desk, cells)
    desk.patch(recipe, device_name="Bar")
    desk.write(references.create, desk.here, "policy", name="Late")
    [line] = desk.take(table([cells]))
    assert (line.outcome, line.detail["reason"]) == ("conflict", "recipe_exists")
    assert desk.present(recipe).settings.name == "Bar"
    assert desk.outcomes(table([cells]), existing="update") == ["updated"]
    after = desk.present(recipe)
    assert (after.status, after.settings.name) == ("Pending", "Lobby")


# -- rights and brands ----------------------------------------------------------------------------------------------


def test_ownership_is_confirmed_or_taken_back_only_with_the_permission(desk: ImportDesk) -> None:
    confirmed = desk.recipe(somebody(), confirmed_ownership=True)
    rows = [row(somebody(), confirmed="x"), row(confirmed.identity, confirmed="no"), row(somebody(), confirmed="no")]
    content = table(rows, "confirmed")
    lines = desk.take(content, existing="update", may_confirm=False)
    assert [line.outcome for line in lines] == ["rejected", "conflict", "created"]
    assert (lines[0].detail["reason"], lines[1].detail["reason"]) == ("permission", "update_refused")
    assert desk.present(confirmed).confirmed_ownership
    assert desk.outcomes(content, existing="update") == ["created", "updated", "unchanged"]


def test_brand_may_demand_more(store: Store) -> None:
    desk = ImportDesk(store, {"samsung": ("model",)})
    lines = desk.take(table([row(somebody()), row(somebody(), model="Q"), row(somebody(brand="LG"))]))
    assert [line.outcome for line in lines] == ["rejected", "created", "created"]
    assert lines[0].detail["reason"] == "brand-demands"


# -- again ----------------------------------------------------------------------------------------------------------


def test_importing_a_file_again_changes_nothing(desk: ImportDesk, few_rows: None) -> None:
    rows = [row(somebody(), device_name=f"n{n}", confirmed="yes") for n in range(5)]
    rows += [row(somebody(), mac_address="bad"), row(somebody(), policy="nowhere", claim_code=CANARY)]
    content = table(rows, "confirmed", "claim code")
    assert desk.outcomes(content, keep_invalid=True) == ["created"] * 5 + ["invalid"] * 2
    desk.forget()
    before = desk.dump()
    for existing in ("keep", "update"):
        assert desk.outcomes(content, keep_invalid=True, existing=existing) == ["unchanged"] * 7
    assert (desk.dump(), desk.news()) == (before, [])


def test_row_is_there_once_however_often_the_file_has_it(desk: ImportDesk, few_rows: None) -> None:
    who = somebody()
    again = row(who, brand=" samsung")
    rows = [row(who), again, row(somebody()), again, row(who, device_name="other")]
    rows += [row(somebody(), mac_address="bad")] * 3
    outcomes = ["created", "unchanged", "created", "unchanged", "conflict", "invalid", "unchanged", "unchanged"]
    assert desk.outcomes(table(rows), keep_invalid=True, dry_run=True) == outcomes
    assert desk.outcomes(table(rows), keep_invalid=True) == outcomes


# -- dry runs -------------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A table, and what the organization has when it is imported. Identifiers are small numbers, 0 for none."""

    rows: list[dict[str, Any]]
    present: list[tuple[str, int, int]]
    existing: str
    keep_invalid: bool
    kept_before: bool


_SERIALS = _MACS = st.integers(0, 4)
_ROW = st.fixed_dictionaries(
    {"serial": _SERIALS, "mac": _MACS},
    optional={
        "brand": st.sampled_from(["Samsung", "samsung ", "LG", ""]),
        "device name": st.sampled_from(["a", "b"]),
        "model": st.sampled_from(["m", "n"]),
        "policy": st.sampled_from(["Here", "Nowhere", "Twice", "Late"]),
        "confirmed": st.sampled_from(["yes", "no", "perhaps"]),
        "customMetadata.x": st.sampled_from(["1", "2"]),
        "claim code": st.sampled_from(["LEFT-1111", "left1111", "RIGHT-2222", "no"]),
    },
)
_PRESENT = st.tuples(st.sampled_from(["Pending", "Applied", "Failed", "Invalid", "device"]), _SERIALS, _MACS)
_CASES = st.builds(
    Case,
    rows=st.lists(_ROW, min_size=1, max_size=9),
    present=st.lists(_PRESENT, max_size=3),
    existing=st.sampled_from(["keep", "update"]),
    keep_invalid=st.booleans(),
    kept_before=st.booleans(),
)


class Stage:
    """An organization prepared for a case, and its file; the same case twice differs in uids and prefixes only."""

    def __init__(self, store: Store, case: Case) -> None:
        self.desk = ImportDesk(store)
        self._case = case
        self._prefix = self.desk.here.tenant_id
        for name in ("Here", "Twice", "Twice"):
            self.desk.write(references.create, self.desk.here, "policy", name=name)
        for state, serial, mac in case.present:
            self._prepare(state, serial, self._identity(serial, mac))
        rows = [
            {
                "brand": "Samsung", "serial number": self._serial(cells["serial"]) or "",
                "mac address": self._mac(cells["mac"]) or "", **cells,
            }
            for cells in case.rows
        ]  # fmt: skip
        rows = [{name: text for name, text in cells.items() if name not in ("serial", "mac")} for cells in rows]
        self.content = table(rows, "confirmed", "customMetadata.x", "claim code")
        if case.kept_before:
            self.desk.take(self.content, existing=case.existing, keep_invalid=True)
            self.desk.write(references.create, self.desk.here, "policy", name="Late")
        known = [recipe.uid.hex() for recipe in self.desk.recipes()]
        self._names = {uid: f"recipe-{n}" for n, uid in enumerate(known)}

    def _serial(self, number: int) -> str | None:
        return f"S{self._prefix}-{number}" if number else None

    def _mac(self, number: int) -> str | None:
        return f"02:00:{self._prefix >> 8 & 255:02X}:{self._prefix & 255:02X}:00:{number:02X}" if number else None

    def _identity(self, serial: int, mac: int) -> Identity:
        return Identity(brand="Samsung", serial_number=self._serial(serial), mac_address=self._mac(mac))

    def _prepare(self, state: str, serial: int, who: Identity) -> None:
        """Make what the case wants to be there, unless something else is in the way."""
        desk = self.desk
        if not who.identifiers or desk.read(actions.taken_here, desk.here, who.identifiers):
            return
        if state == "device":
            desk.write(devices.create, desk.here, who, Settings())
        elif state == "Failed":
            # The device knows more than its recipe.
            desk.failed(who, msgspec.structs.replace(who, mac_address=None) if serial else who)
        elif state == "Invalid":
            desk.recipe(who, error_message="wrong")
        else:
            desk.recipe(who)
            if state == "Applied":
                desk.register(who)

    def run(self, dry_run: bool) -> list[Any]:
        """Import the file and return the report, with names instead of uids that differ from run to run."""
        case = self._case
        lines = self.desk.take(self.content, existing=case.existing, keep_invalid=case.keep_invalid, dry_run=dry_run)
        return [(line.number, line.outcome, self._plain(line.detail)) for line in lines]

    def _plain(self, detail: dict[str, Any]) -> dict[str, Any]:
        plain = dict(detail)
        if "recipeUid" in plain:
            plain["recipeUid"] = self._names.get(plain["recipeUid"], "new")
        if plain.get("recipeUid") == "new":
            del plain["recipeUid"]
        if detail.get("reason") == "identifiers_taken":
            users = detail["message"].removeprefix("In use already: ").removesuffix(".").split(", ")
            plain["message"] = sorted({self._user(user) for user in users})
        elif detail.get("reason") == "update_refused":
            plain["message"] = "refused"
        plain.pop("cells", None)
        return plain

    def _user(self, text: str) -> str:
        kind, _, uid = text.partition(" ")
        if kind == "device":
            return "device"
        return self._names.get(uid, "the recipe of an earlier row")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=_CASES)
def test_dry_run_tells_exactly_what_the_real_one_then_does(store: Store, few_rows: None, case: Case) -> None:
    stage = Stage(store, case)
    before = stage.desk.dump()
    rehearsed = stage.run(dry_run=True)
    assert stage.desk.dump() == before
    assert stage.run(dry_run=False) == rehearsed
    if case.existing == "keep":
        after = stage.desk.dump()
        assert not {outcome for _, outcome, _ in stage.run(dry_run=False)} & {"created", "updated", "invalid"}
        assert stage.desk.dump() == after


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=_CASES)
def test_report_does_not_depend_on_where_the_file_is_cut(store: Store, case: Case) -> None:
    reports = []
    with pytest.MonkeyPatch.context() as patch:
        for rows in (1, 3, 100):
            patch.setattr(importing, "ROWS_AT_ONCE", rows)
            stage = Stage(store, case)
            reports.append(stage.run(dry_run=rows == 3))
    assert reports[0] == reports[1] == reports[2]


def test_identifier_that_an_earlier_chunk_freed_can_be_had(desk: ImportDesk, few_rows: None) -> None:
    recipe = desk.recipe(somebody())
    new = somebody().serial_number or ""
    other = somebody()
    rows = [row(recipe.identity, serial_number=new), row(somebody())]
    rows += [{"brand": "Samsung", "serial number": recipe.identity.serial_number or ""}, row(other)]
    for dry_run in (True, False):
        assert desk.outcomes(table(rows), existing="update", dry_run=dry_run) == ["updated"] + ["created"] * 3


def test_change_by_one_identifier_is_seen_by_the_other(desk: ImportDesk, few_rows: None) -> None:
    who, name = somebody(), {"device name": "a"}
    rows = [row(who), row(somebody()), row(msgspec.structs.replace(who, mac_address=None)) | name, row(somebody())]
    rows += [row(msgspec.structs.replace(who, serial_number=None)) | name]
    for dry_run in (True, False):
        outcomes = desk.outcomes(table(rows), existing="update", dry_run=dry_run)
        assert outcomes == ["created", "created", "updated", "created", "unchanged"]


def test_brand_of_the_row_with_the_serial_number_of_the_recipe_may_be_taken(desk: ImportDesk, few_rows: None) -> None:
    who, other = somebody(), somebody()
    rows = [row(who), row(other), row(msgspec.structs.replace(who, brand="LG", mac_address=None)), row(other)]
    rows += [row(msgspec.structs.replace(who, brand="LG", serial_number=None))]
    for dry_run in (True, False):
        lines = desk.take(table(rows), existing="update", dry_run=dry_run)
        assert [line.outcome for line in lines] == ["created", "created", "created", "unchanged", "conflict"]
        assert lines[4].detail["reason"] == "identifiers_taken"


def test_identifier_of_a_device_that_an_earlier_chunk_enrolled_is_taken(desk: ImportDesk, few_rows: None) -> None:
    who = somebody()
    policy = desk.reference("policy")
    recipe = desk.recipe(somebody(serial_number=who.serial_number, mac_address=None), policy_uid=policy)
    desk.write(references.delete, desk.here, "policy", policy, None)
    desk.register(who)
    rows = [row(recipe.identity, policy=desk.reference("policy").hex()), row(somebody()), row(somebody())]
    rows += [{"brand": "Samsung", "mac address": who.mac_address or ""}]
    for dry_run in (True, False):
        lines = desk.take(table(rows), existing="update", dry_run=dry_run)
        assert [line.outcome for line in lines] == ["updated", "created", "created", "conflict"]
        assert lines[3].detail["reason"] == "identifiers_taken"


# -- claim codes ----------------------------------------------------------------------------------------------------


def test_claim_code_is_kept_as_a_hash_alone(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "heliograph.db", "NORMAL")
    migrate.migrate(engine, START_OF_TIME)
    store = store_on(engine)
    desk = ImportDesk(store)
    who, ignored, broken = somebody(), somebody(), row(somebody())
    rows = [
        row(who, claim_code=CANARY), row(somebody(), mac_address="bad", claim_code=CANARY),
        row(ignored, pairing_code=CANARY), row(ignored, device_name="other", pairing_code=CANARY),
    ]  # fmt: skip
    content = table(rows, "claim code", "pairing code")
    content += f"Samsung,{broken['serial number']},too,many,{CANARY},cells,,,,,{CANARY},,,{CANARY}\r\n".encode()
    mapping = {"pairing code": "-"}
    for order in ({"dry_run": True}, {}, {"keep_invalid": True}):
        desk.take(content, mapping, **order)
    lines = [{"brand": "LG", "claim code": CANARY}, {"brand": 7, "claimCode": CANARY}]
    desk.take(b"\n".join(json.dumps(line).encode() for line in lines) + b'\n{"claimCode": "' + CANARY.encode())
    [recipe] = [recipe for recipe in desk.recipes() if recipe.identity == who]
    assert is_right(recipe.claim_hash or b"", hash_code(SEALER, recipe.uid, CANARY))
    store.close()
    engine.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (who.serial_number or "").encode() in kept
    assert CANARY.encode() not in kept
    assert b'"cells"' in kept


def test_file_is_gone_when_its_job_is_over(desk: ImportDesk) -> None:
    content = table([row(somebody())])
    for cancel in (False, True):
        uid = desk.begin(content)
        assert list(jobs.read_inputs(desk.store.read, desk.here, uid, 0))
        if cancel:
            desk.write(jobs.cancel, desk.here, uid)
            desk.write(jobs.clear, desk.here, uid)
        desk.runner().run_pending()
        assert list(jobs.read_inputs(desk.store.read, desk.here, uid, 0)) == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_changed_claim_code_is_a_difference(desk: ImportDesk, few_rows: None, dry_run: bool) -> None:
    who = somebody()
    rows = [row(who, claim_code=CANARY), row(who, claim_code=CANARY.lower()), row(who, claim_code="NEWER-2345")]
    rows += [row(who), row(who, claim_code="NEWER-2345"), row(who, claim_code=CANARY)]
    lines = desk.take(table(rows, "claim code"), dry_run=dry_run)
    assert [line.outcome for line in lines] == [
        "created", "unchanged", "conflict", "unchanged", "conflict", "unchanged",
    ]  # fmt: skip
    assert lines[2].detail["message"].endswith("with another claimCode.")
    lines = desk.take(table(rows[2:], "claim code"), existing="update", dry_run=dry_run)
    if not dry_run:
        assert [line.outcome for line in lines] == ["updated", "unchanged", "unchanged", "updated"]
        assert code_is(desk.recipes()[0], CANARY)


def test_claim_code_is_replaced_only_by_who_may_confirm(desk: ImportDesk) -> None:
    recipe = desk.recipe(somebody(), code=CANARY)
    content = table([row(recipe.identity, claim_code="NEWER-2345")], "claim code")
    [line] = desk.take(content, existing="update", may_confirm=False)
    assert (line.outcome, line.detail["reason"]) == ("conflict", "update_refused")
    assert code_is(desk.present(recipe), CANARY)


def test_used_claim_code_is_never_replaced_by_that_of_a_file(desk: ImportDesk) -> None:
    recipe = desk.recipe(somebody(), code=CANARY)
    assert desk.register(recipe.identity, code=CANARY).result == "applied"
    content = table([row(recipe.identity, claim_code=code) for code in (CANARY, "NEWER-2345")], "claim code")
    same, other = desk.take(content, existing="update")
    assert (same.outcome, other.outcome, other.detail["reason"]) == ("unchanged", "conflict", "claim_code_used")


def test_recipe_made_at_the_same_moment_is_no_match_for_a_claim_code(desk: ImportDesk) -> None:
    who = somebody()
    uid = desk.begin(table([row(who, claim_code=CANARY)], "claim code"))
    after_chunks(desk, 0, lambda: desk.recipe(who, code="OTHER-2345")).run_pending()
    [line] = desk.report(uid)
    assert (line.outcome, line.detail["reason"]) == ("conflict", "claim_code_not_compared")


# -- in the middle --------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a runner in the middle, as the end of its process would."""


def after_chunks(desk: ImportDesk, chunks: int, act: Callable[[], object]) -> Runner:
    """Return a runner in which something happens once so many chunks are done."""
    opened = desk.kind.open

    def interrupted(context: Any) -> Iterator[Any]:
        for done, chunk in enumerate(opened(context)):
            if done == chunks:
                act()
            yield chunk

    runner = desk.runner()
    kind = type(desk.kind)(desk.kind.name, desk.kind.read, desk.kind.change, interrupted)
    runner._kinds = {kind.name: kind}
    return runner


def test_import_goes_on_where_it_was_killed(desk: ImportDesk, few_rows: None) -> None:
    rows = [row(somebody()) for _ in range(7)]
    uid = desk.begin(table(rows))

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        after_chunks(desk, 2, kill).run_pending()
    assert (len(desk.recipes()), len(desk.report(uid))) == (4, 4)
    desk.write(lambda tx: tx.run("update job set lease_until = 0"))
    desk.runner().run_pending()
    assert [line.outcome for line in desk.report(uid)] == ["created"] * 7
    assert names(desk.news()) == ["ProvisioningRecipeCreated"] * 7
    assert desk.job(uid).result["rows"] == 7


def test_cancelled_import_keeps_what_it_has_done(desk: ImportDesk, few_rows: None) -> None:
    uid = desk.begin(table([row(somebody()) for _ in range(6)]))
    after_chunks(desk, 1, lambda: desk.write(jobs.cancel, desk.here, uid)).run_pending()
    assert (desk.job(uid).state, len(desk.report(uid)), len(desk.recipes())) == ("cancelled", 2, 2)


def test_import_ends_when_its_account_is_revoked(desk: ImportDesk, few_rows: None) -> None:
    uid = desk.begin(table([row(somebody()) for _ in range(6)]))
    account = Uid(bytes.fromhex(desk.here.actor.uid or ""))
    after_chunks(desk, 1, lambda: desk.write(revoke_account, desk.here, account)).run_pending()
    job = desk.job(uid)
    assert (job.state, len(desk.report(uid)), len(desk.recipes())) == ("failed", 2, 2)
    assert "revoked" in (job.error or "")


def lose(desk: ImportDesk, right: str) -> None:
    """Take a right from the account that imports."""
    account = Uid(bytes.fromhex(desk.here.actor.uid or ""))
    [grant] = [grant for grant in desk.read(get_account, desk.here, account).grants if grant.name == right]
    desk.write(remove_grant, desk.caller(), desk.here, "account", account, grant.uid)


def test_import_that_updates_ends_when_its_account_may_no_longer_update(desk: ImportDesk, few_rows: None) -> None:
    uid = desk.begin(table([row(somebody()) for _ in range(6)]), existing="update")
    after_chunks(desk, 1, lambda: lose(desk, "update recipe.tenant")).run_pending()
    job = desk.job(uid)
    assert (job.state, len(desk.report(uid))) == ("failed", 2)
    assert "update recipe.tenant" in (job.error or "")


def test_import_confirms_no_more_when_its_account_may_not(desk: ImportDesk, few_rows: None) -> None:
    uid = desk.begin(table([row(somebody(), confirmed="yes") for _ in range(4)], "confirmed"))
    after_chunks(desk, 1, lambda: lose(desk, "confirm recipe.tenant")).run_pending()
    assert desk.job(uid).state == "succeeded"
    assert [line.outcome for line in desk.report(uid)] == ["created"] * 2 + ["rejected"] * 2


def test_rows_with_many_tags_share_their_transaction_with_few_others(desk: ImportDesk) -> None:
    tags = [desk.reference("tag").hex() for _ in range(50)]
    uid = desk.begin(table([row(somebody(), tags=";".join(tags)) for _ in range(10)]))
    seen: list[int] = []
    after_chunks(desk, 1, lambda: seen.append(len(desk.report(uid)))).run_pending()
    assert (seen, desk.job(uid).result["outcomes"]) == ([4], {"created": 10})


# -- reports --------------------------------------------------------------------------------------------------------


def test_corrected_report_sent_again_succeeds(desk: ImportDesk) -> None:
    good, bad, formula = somebody(), somebody(), somebody()
    rows = [row(good), row(bad, mac_address="-1"), row(formula, mac_address="=2", device_name="'=x", model='a, "b"')]
    content = table(rows)
    uid = desk.begin(content)
    desk.runner().run_pending()
    kept, _ = desk.read(jobs.rows, desk.here, uid, ("rejected",), 0, 100)
    report = list(csv.DictReader(io.StringIO(report_table(desk.job(uid), kept).decode())))
    assert [(line["heliograph_row"], line["heliograph_reason"]) for line in report] == [
        ("2", "mac-address"), ("3", "mac-address"),
    ]  # fmt: skip
    assert not any(cell.startswith(tuple("=+-@")) for line in report for cell in line.values())
    for line, who in zip(report, (bad, formula), strict=True):
        line["mac address"] = who.mac_address or ""
    text = io.StringIO()
    writer = csv.DictWriter(text, report[0])
    writer.writeheader()
    writer.writerows(report)
    assert desk.outcomes(text.getvalue().encode()) == ["created", "created"]
    [made] = [recipe for recipe in desk.recipes() if recipe.identity == Identity(
        brand="Samsung", model='a, "b"', serial_number=formula.serial_number, mac_address=formula.mac_address
    )]  # fmt: skip
    assert made.settings.name == unguarded("'=x")


def test_json_lines_are_reported_as_a_table_of_their_members(desk: ImportDesk) -> None:
    metadata = {"floor": "3"}
    lines = [{"brand": "LG", "serialNumber": "=1+1", "tags": ["a", "b"], "customMetadata": metadata}, {"brand": "LG"}]
    uid = desk.begin(b"\n".join(json.dumps(line).encode() for line in lines))
    desk.runner().run_pending()
    rows = [JobRow(*line) for line in desk.report(uid)]
    first, second = csv.DictReader(io.StringIO(report_table(desk.job(uid), rows).decode()))
    assert (first["serialNumber"], first["tags"], first["customMetadata"]) == ("'=1+1", "a; b", '{"floor":"3"}')
    assert (second["brand"], second["tags"], second["heliograph_outcome"]) == ("LG", "", "rejected")


def test_report_of_json_lines_has_columns_for_so_many_names_only(desk: ImportDesk) -> None:
    lines = [{"brand": "LG", f"{n}-" + "ä" * 60: 1, "x" * (101 + n): 2} for n in range(150)]
    uid = desk.begin(b"\n".join(json.dumps(line).encode() for line in lines))
    desk.runner().run_pending()
    columns = desk.job(uid).result["columns"]
    assert "brand" in columns
    assert max(map(len, columns)) <= 100
    assert 7 * 1024 < sum(len(name.encode()) for name in columns) <= 8 * 1024


def test_columns_of_a_table_are_not_written_with_every_chunk(desk: ImportDesk, few_rows: None) -> None:
    uid = desk.begin(table([row(somebody()), {"brand": "LG"}, row(somebody())], "note"))
    tables: list[bytes] = []

    def look() -> None:
        assert "columns" not in desk.job(uid).result
        tables.append(report_table(desk.job(uid), [JobRow(*line) for line in desk.report(uid)]))

    after_chunks(desk, 1, look).run_pending()
    assert (desk.job(uid).result["columns"][-1], desk.job(uid).result["ignoredColumns"]) == ("note", ["note"])
    [_, refused] = csv.DictReader(io.StringIO(tables[0].decode()))
    assert (refused["brand"], refused["heliograph_outcome"]) == ("LG", "rejected")


@pytest.mark.parametrize(("column", "told"), [("note", None), ("claim code", "***")])
def test_row_that_cannot_be_read_is_reported_with_its_text(desk: ImportDesk, column: str, told: str | None) -> None:
    broken = [b'LG,"SN-1" x,,,,,,,KEEP-THIS', b"LG,SN-\xff,,,,,,,KEEP-THIS"]
    # Bytes that are no text are found at once where the file begins.
    good = [row(somebody(), device_name="x" * 200)] * 700
    uid = desk.begin(table(good, column) + b"\r\n".join(broken) + b"\r\n")
    desk.runner().run_pending()
    report = report_table(desk.job(uid), [JobRow(*line) for line in desk.report(uid)])
    lines = list(csv.DictReader(io.StringIO(report.decode())))[-2:]
    texts = [line["heliograph_text"] for line in lines]
    assert [line["heliograph_outcome"] for line in lines] == ["rejected"] * 2
    assert texts == ([told] * 2 if told else [text.decode(errors="replace") for text in broken])


def test_damaged_file_fails_the_job_and_keeps_what_came_before(desk: ImportDesk, few_rows: None) -> None:
    content = table([row(somebody()), row(somebody())]) + (b'"' + b"x" * 66_000 + b"\r\n") * 101
    uid = desk.begin(content)
    desk.runner().run_pending()
    job = desk.job(uid)
    assert job.state == "failed"
    assert "no CSV file" in (job.error or "")
    assert len(desk.recipes()) == 2
