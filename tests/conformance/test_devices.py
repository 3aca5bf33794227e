"""Devices keep their promises on both databases: one owner for an identifier, exact events, complete lists."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.devices import actions
from heliograph.devices.model import Device, DeviceFilter, Identity, Settings, fold, fold_prefix
from heliograph.errors import Conflict, Invalid, NotFound, PreconditionFailed
from heliograph.eventlog.model import Actor
from heliograph.ids import new_uid
from heliograph.presence import actions as presence
from heliograph.presence.model import Options, Report, SessionReport
from heliograph.references import actions as references
from heliograph.tenancy import device_tokens
from heliograph.tenancy.access import SYSTEM
from heliograph.tenancy.actions import plant_tenant
from heliograph.tenancy.model import Kind, Scope
from tests.conformance.stores import store_on, whole_log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from heliograph.storage.engine import Engine, Transaction
    from heliograph.storage.store import Store

_NUMBERS = count(1)
HASH = "9f" * 32
RECIPE = bytes.fromhex("0197a1d0b7c87a2d9f3e5b6c7d8e9fa0")


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


class Fleet:
    """Two organizations of one company, and the devices that a test gives them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.here, self.there = store.execute(lambda tx: _organizations(tx, 2))

    def write(self, action: Callable[..., Any], *given: Any, **more: Any) -> Any:
        """Carry out what may write to either organization's log."""
        tenants = [self.here.tenant_id, self.there.tenant_id]
        return self.store.execute(lambda tx: action(tx, *given, **more), tenants)

    def read(self, action: Callable[..., Any], *given: Any, **more: Any) -> Any:
        return self.store.read(lambda tx: action(tx, *given, **more))

    def enrol(self, identity: Identity, given: Settings | None = None, scope: Scope | None = None, **more: Any) -> Any:
        return self.write(actions.enrol, scope or self.here, identity, given or Settings(), **more)

    def find(self, device: Device, scope: Scope | None = None) -> Device | None:
        found: Device | None = self.read(actions.find, scope or self.here, device.uid)
        return found

    def holders(self, identity: Identity) -> dict[str, tuple[int, bytes]]:
        found: dict[str, tuple[int, bytes]] = self.read(actions.holders, identity.identifiers)
        return found

    def reference(self, kind: Any, **more: Any) -> bytes:
        made = self.write(references.create, self.here, kind, name=f"{kind} {next(_NUMBERS)}", **more)
        uid: bytes = made.uid
        return uid

    def events(self, scope: Scope | None = None) -> list[tuple[str, Any]]:
        """Return type and payload of what the log says of devices."""
        log = whole_log(self.store, scope or self.here)
        return [
            (event.envelope.type or "", msgspec.json.decode(event.payload or b""))
            for event in log
            if event.envelope.target_entity_type == "Device"
        ]

    def types(self, scope: Scope | None = None) -> list[str]:
        return [type for type, _ in self.events(scope)]


def _organizations(tx: Transaction, how_many: int) -> list[Scope]:
    number = next(_NUMBERS)
    company, _ = plant_tenant(tx, SYSTEM, None, Kind.COMPANY, "company", f"company-{number}")
    return [
        plant_tenant(tx, SYSTEM, company, Kind.ORGANIZATION, "organization", f"organization-{n}")[1]
        for n in range(how_many)
    ]


@pytest.fixture
def fleet(store: Store) -> Fleet:
    return Fleet(store)


def identity(**more: Any) -> Identity:
    """Return what nobody else is."""
    number = next(_NUMBERS)
    mac = ":".join(f"{number:012X}"[n : n + 2] for n in range(0, 12, 2))
    return Identity(**{"brand": "Samsung", "serial_number": f"SN-{number}", "mac_address": mac} | more)


# -- enrolling ------------------------------------------------------------------------------------------------------


def test_enrolling_claims_every_identifier_and_records_what_the_device_is(fleet: Fleet) -> None:
    tag, other, policy = fleet.reference("tag"), fleet.reference("tag"), fleet.reference("policy")
    who = identity(model="QM55C")
    device = fleet.enrol(
        who,
        Settings(name="Lobby", tag_uids=(other, tag, other), policy_uid=policy, custom_metadata={"floor": "1"}),
        recipe_uid=RECIPE,
    )
    assert fleet.holders(who) == dict.fromkeys(who.identifiers, (fleet.here.tenant_id, device.uid))
    assert fleet.find(device) == device
    assert (device.state, device.version, device.settings.tag_uids) == ("enrolled", 1, tuple(sorted((tag, other))))
    assert fleet.events() == [
        (
            "Device.Added",
            {
                "uid": device.uid.hex(),
                "brand": "Samsung",
                "model": "QM55C",
                "serialNumber": who.serial_number,
                "macAddress": who.mac_address,
                "name": "Lobby",
                "tagUids": sorted((tag.hex(), other.hex())),
                "policyUid": policy.hex(),
                "customMetadata": {"floor": "1"},
                "recipeUid": RECIPE.hex(),
            },
        )
    ]


def test_events_of_a_device_belong_to_its_recipe_too(fleet: Fleet) -> None:
    device = fleet.enrol(identity(), recipe_uid=RECIPE, verification_hash=HASH)
    fleet.write(actions.delete, fleet.here, device.uid, None)
    envelopes = [event.envelope for event in whole_log(fleet.store, fleet.here)]
    related = [
        [(one.id, one.type) for one in envelope.related_entities]
        for envelope in envelopes
        if envelope.target_entity_type == "Device"
    ]
    assert related == [[(RECIPE.hex(), "ProvisioningRecipe")]] * 4


def test_pairing_is_recorded_before_the_device_is_added_when_a_claim_code_was_used(fleet: Fleet) -> None:
    device = fleet.enrol(identity(), verification_hash=HASH)
    assert fleet.types() == ["Device.Verification.DevicePaired", "Device.Added"]
    assert fleet.events()[0][1] == {
        "owner": {
            "ownershipType": "organization",
            "organizationUid": fleet.here.tenant_uid,
            "parentCompanyUid": fleet.here.parent_uid,
        },
        "type": "Device.Verification.DevicePaired",
        "deviceIdentityHash": device.uid.hex(),
        "verificationHash": HASH,
    }


@pytest.mark.parametrize("shared", ["serial_number", "mac_address"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_nothing_is_claimed_or_recorded_when_one_identifier_is_taken(
    fleet: Fleet, shared: str, elsewhere: bool
) -> None:
    first = identity()
    holder = fleet.enrol(first, scope=fleet.there if elsewhere else None)
    before = fleet.types()
    second = identity(**{shared: getattr(first, shared)})
    assert fleet.enrol(second) is None
    assert {uid for _, uid in fleet.holders(second).values()} == {holder.uid}
    assert len(fleet.holders(second)) == 1
    assert fleet.types() == before


def test_serial_numbers_are_compared_without_case_and_within_their_brand(fleet: Fleet) -> None:
    number = f"Ab-{next(_NUMBERS)}"
    assert fleet.enrol(Identity(brand="LG", serial_number=number)) is not None
    assert fleet.enrol(Identity(brand="lg", serial_number=number.upper())) is None
    assert fleet.enrol(Identity(brand="Philips", serial_number=number)) is not None


def _enrol(tx: Transaction, scope: Scope, who: Identity) -> Device | None:
    return actions.enrol(tx, scope, who, Settings())


def test_one_wins_when_two_organizations_race_for_one_device(fleet: Fleet, engine: Engine) -> None:
    # Two stores, as two processes would have; on PostgreSQL their transactions really overlap.
    other = store_on(engine)
    try:
        for _ in range(20):
            who = identity()
            with ThreadPoolExecutor(2) as threads:
                racing = [
                    threads.submit(store.execute, partial(_enrol, scope=scope, who=who), [scope.tenant_id])
                    for store, scope in ((fleet.store, fleet.here), (other, fleet.there))
                ]
                results = [future.result() for future in racing]
            winners = [device for device in results if device is not None]
            assert len(winners) == 1
            assert {uid for _, uid in fleet.holders(who).values()} == {winners[0].uid}
            assert len(fleet.holders(who)) == 2
        assert len(fleet.types(fleet.here)) + len(fleet.types(fleet.there)) == 20
    finally:
        other.close()


def test_device_that_was_remembered_becomes_the_enrolled_one(fleet: Fleet) -> None:
    who = identity()
    waiting = fleet.write(actions.remember, fleet.here, who, recipe_uid=RECIPE)
    assert (waiting.state, fleet.holders(who), fleet.types()) == ("waiting", {}, [])
    device = fleet.enrol(who, Settings(name="Lobby"), recipe_uid=RECIPE, known=waiting.uid)
    assert (device.uid, device.state, device.version) == (waiting.uid, "enrolled", 2)
    assert fleet.find(waiting) == device
    assert fleet.types() == ["Device.Added"]


def test_enrolling_by_hand_gives_a_token_of_the_device_alone(fleet: Fleet) -> None:
    device, token = fleet.write(actions.create, fleet.here, identity(), Settings())
    other, _ = fleet.write(actions.create, fleet.here, identity(), Settings())

    def owns(uid: bytes) -> Any:
        return fleet.read(device_tokens.is_token_of, fleet.here, uid, token.reveal())

    assert (owns(device.uid), owns(other.uid)) == (True, False)


def test_who_has_a_device_is_told_within_the_organization_only(fleet: Fleet) -> None:
    who = identity()
    device = fleet.enrol(who)
    with pytest.raises(Conflict) as own:
        fleet.write(actions.create, fleet.here, who, Settings())
    with pytest.raises(Conflict) as foreign:
        fleet.write(actions.create, fleet.there, who, Settings())
    assert device.uid.hex() in own.value.detail
    assert foreign.value.detail == "A device with these identifiers is enrolled already."


# -- changing -------------------------------------------------------------------------------------------------------


def test_every_changed_setting_is_recorded_with_its_values_before_and_after(fleet: Fleet) -> None:
    tag, policy, location = (fleet.reference(kind) for kind in ("tag", "policy", "location"))
    device = fleet.enrol(identity(), Settings(name="Lobby", policy_uid=policy, custom_metadata={"floor": "1"}))
    patch = actions.SettingsPatch(
        name="Bar", tag_uids=(tag,), policy_uid=None, location_uid=location, custom_metadata={"floor": True}
    )
    after = fleet.write(actions.update, fleet.here, device.uid, 1, patch)
    assert (fleet.find(device), after.version) == (after, 2)
    assert fleet.events()[-1] == (
        "Device.Updated",
        {
            "uid": device.uid.hex(),
            "changes": {
                "name": {"from": "Lobby", "to": "Bar"},
                "tagUids": {"from": [], "to": [tag.hex()]},
                "policyUid": {"from": policy.hex()},
                "locationUid": {"to": location.hex()},
                "customMetadata": {"from": {"floor": "1"}, "to": {"floor": True}},
            },
        },
    )


def test_nothing_is_recorded_when_nothing_changes(fleet: Fleet) -> None:
    device = fleet.enrol(identity(), Settings(name="Lobby", custom_metadata={"a": "1", "b": True}))
    patch = actions.SettingsPatch(name="Lobby", custom_metadata={"b": True, "a": "1"})
    assert fleet.write(actions.update, fleet.here, device.uid, None, patch) == device
    assert fleet.write(actions.reset, fleet.here, device, device.settings) == device
    assert fleet.types() == ["Device.Added"]


@pytest.mark.parametrize("change", ["update", "deprovision", "delete", "move"])
def test_change_of_another_version_is_refused(fleet: Fleet, change: str) -> None:
    device = fleet.enrol(identity())
    acts: dict[str, tuple[Callable[..., Any], list[Any]]] = {
        "update": (actions.update, [actions.SettingsPatch(name="x")]),
        "deprovision": (actions.deprovision, []),
        "delete": (actions.delete, []),
        "move": (actions.move, []),
    }
    act, given = acts[change]
    scopes = [fleet.here, fleet.there] if change == "move" else [fleet.here]
    with pytest.raises(PreconditionFailed):
        fleet.write(act, *scopes, device.uid, 7, *given)
    assert fleet.find(device) == device
    assert fleet.types() == ["Device.Added"]


def test_another_organization_cannot_find_or_change_a_device(fleet: Fleet) -> None:
    device = fleet.enrol(identity())
    assert fleet.find(device, fleet.there) is None
    patch = actions.SettingsPatch(name="x")
    for act, scopes, more in (
        (actions.update, [fleet.there], [patch]),
        (actions.deprovision, [fleet.there], []),
        (actions.delete, [fleet.there], []),
        (actions.move, [fleet.there, fleet.here], []),
    ):
        with pytest.raises(NotFound):
            fleet.write(act, *scopes, device.uid, None, *more)
    assert fleet.find(device) == device


@pytest.mark.parametrize("kind", ["tag", "policy", "location"])
def test_deleted_reference_is_taken_from_devices_in_chunks(fleet: Fleet, kind: Any) -> None:
    gone, kept = fleet.reference(kind), fleet.reference(kind)

    def having(*uids: bytes) -> Settings:
        return msgspec.structs.replace(
            Settings(), **({"tag_uids": uids} if kind == "tag" else {f"{kind}_uid": uids[0]})
        )

    devices = [fleet.enrol(identity(), having(*((gone, kept) if kind == "tag" else (gone,)))) for _ in range(5)]
    untouched = fleet.enrol(identity(), having(kept))
    more = [fleet.write(actions.detach, fleet.here, kind, gone, 2) for _ in range(4)]
    assert more == [True, True, False, False]
    left = having(kept) if kind == "tag" else Settings()
    for device in devices:
        found = fleet.find(device)
        assert found is not None
        assert (found.settings, found.version) == (left, 2)
    assert fleet.find(untouched) == untouched
    changed = [payload for type, payload in fleet.events() if type == "Device.Updated"]
    field, change = (
        ("tagUids", {"from": sorted((gone.hex(), kept.hex())), "to": [kept.hex()]})
        if kind == "tag"
        else (f"{kind}Uid", {"from": gone.hex()})
    )
    assert changed == [{"uid": device.uid.hex(), "changes": {field: change}} for device in devices]


# -- removing -------------------------------------------------------------------------------------------------------


def _connect(fleet: Fleet, device: Device) -> None:
    report = Report(session=SessionReport("online", "boot-1"))
    options = Options(new_uid().hex(), 20)
    fleet.write(presence.apply, fleet.here, device, report, options)


def test_deprovisioning_ends_everything_and_frees_the_identifiers(fleet: Fleet) -> None:
    who, tag = identity(), fleet.reference("tag")
    given = Settings(name="Lobby", tag_uids=(tag,), custom_metadata={"floor": "1"})
    device = fleet.enrol(who, given, verification_hash=HASH)
    token = fleet.write(device_tokens.issue, fleet.here, device.uid)
    _connect(fleet, device)
    after = fleet.write(actions.deprovision, fleet.here, device.uid, None)
    assert (after.state, after.settings, after.verification_hash) == (
        "deprovisioned", Settings(custom_metadata={"floor": "1"}), None,
    )  # fmt: skip
    assert after.presence is not None
    assert after.presence.connection_uid is None
    assert fleet.holders(who) == {}
    assert not fleet.read(device_tokens.is_token_of, fleet.here, device.uid, token.reveal())
    assert fleet.types() == [
        "Device.Verification.DevicePaired",
        "Device.Added",
        "Device.DeviceConnectionAdded",
        "Device.DeviceConnectionDeleted",
        "Device.Verification.DeviceUnpaired",
        "Device.Removed",
    ]
    assert fleet.events()[-1][1] == {
        "uid": device.uid.hex(),
        "reason": "deprovisioned",
        "brand": "Samsung",
        "serialNumber": who.serial_number,
        "macAddress": who.mac_address,
        "name": "Lobby",
    }
    assert fleet.enrol(who, scope=fleet.there) is not None


def test_unpairing_names_the_account_that_deprovisions_the_device(fleet: Fleet) -> None:
    device = fleet.enrol(identity(), verification_hash=HASH)
    somebody = msgspec.structs.replace(fleet.here, actor=Actor(account_id=1042, uid=new_uid().hex()))
    fleet.write(actions.deprovision, somebody, device.uid, None)
    assert fleet.events()[-2] == (
        "Device.Verification.DeviceUnpaired",
        {
            "owner": {
                "ownershipType": "organization",
                "organizationUid": fleet.here.tenant_uid,
                "parentCompanyUid": fleet.here.parent_uid,
            },
            "type": "Device.Verification.DeviceUnpaired",
            "originator": {"accountId": 1042, "organizationUid": fleet.here.tenant_uid},
            "deviceIdentityHash": device.uid.hex(),
            "verificationHash": HASH,
        },
    )


def test_deprovisioning_again_changes_nothing(fleet: Fleet) -> None:
    device = fleet.enrol(identity())
    first = fleet.write(actions.deprovision, fleet.here, device.uid, None)
    assert fleet.write(actions.deprovision, fleet.here, device.uid, None) == first
    assert fleet.types() == ["Device.Added", "Device.Removed"]


def test_only_an_enrolled_device_can_be_changed_deprovisioned_or_moved(fleet: Fleet) -> None:
    waiting = fleet.write(actions.remember, fleet.here, identity(), recipe_uid=RECIPE)
    left = fleet.enrol(identity())
    fleet.write(actions.deprovision, fleet.here, left.uid, None)
    both = [fleet.here, fleet.there]
    for act, scopes, uid, more in (
        (actions.deprovision, both[:1], waiting.uid, []),
        (actions.move, both, waiting.uid, []),
        (actions.move, both, left.uid, []),
        (actions.update, both[:1], left.uid, [actions.SettingsPatch(name="x")]),
    ):
        with pytest.raises(Conflict):
            fleet.write(act, *scopes, uid, None, *more)
    assert fleet.types() == ["Device.Added", "Device.Removed"]


@pytest.mark.parametrize("state", ["enrolled", "waiting", "deprovisioned"])
def test_deleting_records_the_removal_of_what_was_once_added(fleet: Fleet, state: str) -> None:
    who = identity()
    if state == "waiting":
        device = fleet.write(actions.remember, fleet.here, who, recipe_uid=RECIPE)
    else:
        device = fleet.enrol(who)
    if state == "deprovisioned":
        fleet.write(actions.deprovision, fleet.here, device.uid, None)
    before = fleet.types()
    fleet.write(actions.delete, fleet.here, device.uid, None)
    assert fleet.find(device) is None
    assert fleet.holders(who) == {}
    if state == "waiting":
        # Nothing ever told of it as added.
        assert fleet.types() == before
    else:
        assert fleet.types() == [*before, "Device.Removed"]
        assert fleet.events()[-1][1]["reason"] == "deleted"
    assert fleet.enrol(who) is not None


def test_move_is_an_event_in_each_log_and_keeps_the_uid(fleet: Fleet) -> None:
    who, tag = identity(), fleet.reference("tag")
    given = Settings(name="Lobby", tag_uids=(tag,), custom_metadata={"floor": "1"})
    device = fleet.enrol(who, given, recipe_uid=RECIPE, verification_hash=HASH)
    moved, token = fleet.write(actions.move, fleet.here, fleet.there, device.uid, 1)
    assert (moved.uid, moved.state, moved.recipe_uid, moved.verification_hash) == (device.uid, "enrolled", None, None)
    assert moved.settings == Settings(name="Lobby", custom_metadata={"floor": "1"})
    left = fleet.find(device)
    assert left is not None
    assert left.state == "deprovisioned"
    assert fleet.find(device, fleet.there) == moved
    assert fleet.holders(who) == dict.fromkeys(who.identifiers, (fleet.there.tenant_id, device.uid))
    assert fleet.read(device_tokens.is_token_of, fleet.there, device.uid, token.reveal())
    assert fleet.types()[2:] == ["Device.Verification.DeviceUnpaired", "Device.Removed"]
    assert fleet.events()[-1][1]["reason"] == "moved"
    assert fleet.types(fleet.there) == ["Device.Added"]


def test_device_that_moves_back_is_the_same_device_again(fleet: Fleet) -> None:
    device = fleet.enrol(identity())
    fleet.write(actions.move, fleet.here, fleet.there, device.uid, None)
    fleet.write(actions.move, fleet.there, fleet.here, device.uid, None)
    found = fleet.find(device)
    assert found is not None
    assert (found.state, found.created_at) == ("enrolled", device.created_at)
    assert fleet.types() == ["Device.Added", "Device.Removed", "Device.Added"]
    assert fleet.types(fleet.there) == ["Device.Added", "Device.Removed"]


def test_move_stays_within_the_company(fleet: Fleet) -> None:
    (stranger,) = fleet.store.execute(lambda tx: _organizations(tx, 1))
    device = fleet.enrol(identity())
    for to in (stranger, fleet.here):
        with pytest.raises(Conflict):
            fleet.write(actions.move, fleet.here, to, device.uid, None)
    assert fleet.find(device) == device


# -- lists ----------------------------------------------------------------------------------------------------------


class Stock(NamedTuple):
    """An organization with devices of every sort, and what its filters can name."""

    fleet: Fleet
    devices: list[Device]
    tags: list[bytes]
    below: dict[bytes, set[bytes]]
    policies: list[bytes]
    locations: list[bytes]


BRANDS = ["Samsung", "LG", "sAMSUNG", "Straße"]
NAMES = [None, "Lobby", "lobby 2", "LOBBYIST", "Bar", "ÄGYPTEN", "日本", "z\U0001f600", "Lobby,"]


@pytest.fixture(scope="module")
def stock(shared_engine: Engine) -> Iterator[Stock]:
    store = store_on(shared_engine)
    fleet = Fleet(store)
    top = fleet.reference("tag")
    middle = fleet.reference("tag", parent_uid=top)
    bottom, other = fleet.reference("tag", parent_uid=middle), fleet.reference("tag")
    tags = [top, middle, bottom, other]
    below = {top: {top, middle, bottom}, middle: {middle, bottom}, bottom: {bottom}, other: {other}}
    policies = [fleet.reference("policy") for _ in range(2)]
    locations = [fleet.reference("location") for _ in range(2)]
    chosen = random.Random(4)
    for n in range(60):
        who = identity(brand=chosen.choice(BRANDS), **chosen.choice([{}, {"mac_address": None}]))
        if n % 10 == 0:
            fleet.write(actions.remember, fleet.here, who, recipe_uid=RECIPE)
            continue
        given = Settings(
            name=chosen.choice(NAMES),
            tag_uids=tuple(chosen.sample(tags, chosen.randrange(3))),
            policy_uid=chosen.choice([None, *policies]),
            location_uid=chosen.choice([None, *locations]),
        )
        device = fleet.enrol(who, given)
        if n % 3 == 0:
            _connect(fleet, device)
        if n % 7 == 0:
            fleet.write(actions.deprovision, fleet.here, device.uid, None)
    devices = fleet.read(actions.list_devices, fleet.here, DeviceFilter(), b"", 1000)[0]
    # Somebody else's devices must never show.
    fleet.enrol(identity(), Settings(name="Lobby"), scope=fleet.there)
    yield Stock(fleet, devices, tags, below, policies, locations)
    store.close()


def _passes(stock: Stock, wanted: DeviceFilter, device: Device) -> bool:
    given, who = device.settings, device.identity
    tags = set(wanted.tag_uids)
    if wanted.nested_tags:
        tags |= set().union(*(stock.below.get(tag, set()) for tag in wanted.tag_uids))
    connected = device.presence is not None and device.presence.connection_uid is not None
    return all(
        (
            not wanted.tag_uids or bool(tags & set(given.tag_uids)),
            not wanted.policy_uids or given.policy_uid in wanted.policy_uids,
            not wanted.location_uids or given.location_uid in wanted.location_uids,
            not wanted.states or device.state in wanted.states,
            wanted.connected is None or connected == wanted.connected,
            not wanted.brands or fold(who.brand) in {fold(brand) for brand in wanted.brands},
            not wanted.name_prefix or (given.name is not None and fold(given.name).startswith(wanted.name_prefix)),
            not wanted.serial_prefix
            or (who.serial_key is not None and who.serial_key.startswith(wanted.serial_prefix)),
            not wanted.mac_prefix or (who.mac_address is not None and who.mac_address.startswith(wanted.mac_prefix)),
        )
    )


def test_stock_is_of_every_sort(stock: Stock) -> None:
    assert len(stock.devices) == 60
    assert {device.state for device in stock.devices} == {"enrolled", "waiting", "deprovisioned"}
    connected = [device for device in stock.devices if device.presence and device.presence.connection_uid]
    assert 0 < len(connected) < 60


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_filters_give_what_a_plain_scan_gives(stock: Stock, data: st.DataObject) -> None:
    def some(values: list[Any]) -> Any:
        return st.one_of(st.just(()), st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple))

    wanted = data.draw(
        st.builds(
            DeviceFilter,
            tag_uids=some([*stock.tags, new_uid()]),
            nested_tags=st.booleans(),
            policy_uids=some(stock.policies),
            location_uids=some(stock.locations),
            states=some(["enrolled", "waiting", "deprovisioned"]),
            connected=st.sampled_from([None, None, True, False]),
            brands=some(["samsung ", "STRASSE", "nobody"]),
            name_prefix=st.sampled_from([None, None, "lob", "lobby", "lobby ", "b", "ägyp", "日", "z", "x"]).map(
                lambda text: text and fold_prefix(text)
            ),
            serial_prefix=st.sampled_from([None, None, "sn-", "sn-1", "sn"]),
            mac_prefix=st.sampled_from([None, None, "0", "00:00", "FF"]),
        )
    )
    limit = data.draw(st.integers(1, 61))
    found: list[Device] = []
    after: bytes | None = b""
    while after is not None:
        page, after = stock.fleet.read(actions.list_devices, stock.fleet.here, wanted, after, limit)
        assert len(page) <= limit
        found += page
    assert found == [device for device in stock.devices if _passes(stock, wanted, device)]


def test_page_that_ends_with_the_list_has_no_next(stock: Stock) -> None:
    def page(limit: int) -> Any:
        return stock.fleet.read(actions.list_devices, stock.fleet.here, DeviceFilter(), b"", limit)

    assert page(60) == (stock.devices, None)
    assert page(59) == (stock.devices[:59], stock.devices[58].uid)


def test_filter_by_too_many_tags_is_refused(fleet: Fleet) -> None:
    wanted = DeviceFilter(tag_uids=tuple(new_uid() for _ in range(actions.MOST_TAGS_ASKED + 1)))
    with pytest.raises(Invalid) as refused:
        fleet.read(actions.list_devices, fleet.here, wanted, b"", 10)
    assert refused.value.faults[0].pointer == "query/tagUid"


def test_tags_below_are_looked_for_once_and_for_few_tags_only(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    nested = references.nested

    def counted(tx: Transaction, scope: Scope, tag_uids: Collection[bytes], limit: int) -> list[bytes]:
        calls.append(limit)
        return nested(tx, scope, tag_uids, limit)

    monkeypatch.setattr(references, "nested", counted)
    named = tuple(new_uid() for _ in range(actions.MOST_TREES_ASKED + 1))
    with pytest.raises(Invalid) as refused:
        fleet.read(actions.list_devices, fleet.here, DeviceFilter(tag_uids=named, nested_tags=True), b"", 10)
    assert refused.value.faults[0].pointer == "query/tagUid"
    assert calls == []
    few = DeviceFilter(tag_uids=named[1:], nested_tags=True)
    assert fleet.read(actions.list_devices, fleet.here, few, b"", 10) == ([], None)
    assert calls == [actions.MOST_TAGS_ASKED + 1]


def test_tags_below_one_may_be_too_many(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_TAGS_ASKED", 2)
    top = fleet.reference("tag")
    for _ in range(2):
        fleet.reference("tag", parent_uid=top)
    with pytest.raises(Invalid):
        fleet.read(actions.list_devices, fleet.here, DeviceFilter(tag_uids=(top,), nested_tags=True), b"", 10)
