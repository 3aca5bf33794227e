"""Tags, locations and policies keep their rules on both databases, and tell of every change."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph.catalog.definition import Catalog
from heliograph.devices.model import Settings
from heliograph.errors import Conflict, Invalid, NotFound, PreconditionFailed, Refusal
from heliograph.ids import new_uid
from heliograph.references import actions
from heliograph.references.events import EVENTS
from heliograph.references.model import MOST_LEVELS, AnyReference, Kind, Location, Missing, Policy, Tag
from tests.conformance.stores import START_OF_TIME, open_logs, whole_log

if TYPE_CHECKING:
    from heliograph.storage.engine import Engine
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope

CATALOG = Catalog(EVENTS)
KINDS: tuple[Kind, ...] = ("tag", "policy", "location")


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@dataclass(frozen=True)
class Place:
    """An organization and what is done there."""

    store: Store
    scope: Scope

    def create(self, kind: Kind, **fields: Any) -> AnyReference:
        return self.store.execute(
            lambda tx: actions.create(tx, self.scope, kind, **{"name": "one", **fields}), [self.scope.tenant_id]
        )

    def tag(self, name: str, parent: bytes | None = None) -> bytes:
        return self.create("tag", name=name, parent_uid=parent).uid

    def chain(self, levels: int) -> list[bytes]:
        """Nest tags in one another; return their uids, the topmost first."""
        uids: list[bytes] = []
        for level in range(levels):
            uids.append(self.tag(f"level {level}", uids[-1] if uids else None))
        return uids

    def get(self, kind: Kind, uid: bytes) -> AnyReference:
        return self.store.read(lambda tx: actions.get(tx, self.scope, kind, uid))

    def update(self, kind: Kind, uid: bytes, version: int | None = None, **fields: Any) -> AnyReference:
        return self.store.execute(
            lambda tx: actions.update(tx, self.scope, kind, uid, version, **fields), [self.scope.tenant_id]
        )

    def delete(self, kind: Kind, uid: bytes, version: int | None = None) -> None:
        self.store.execute(lambda tx: actions.delete(tx, self.scope, kind, uid, version), [self.scope.tenant_id])

    def names(self, kind: Kind, **filters: Any) -> list[str]:
        page, last = self.page(kind, b"", 100, **filters)
        assert last is None
        return [one.name for one in page]

    def page(self, kind: Kind, after: bytes, limit: int, **filters: Any) -> tuple[list[AnyReference], bytes | None]:
        return self.store.read(lambda tx: actions.list_references(tx, self.scope, kind, after, limit, **filters))

    def nested(self, *uids: bytes, limit: int = 100) -> list[bytes]:
        return self.store.read(lambda tx: actions.nested(tx, self.scope, uids, limit))

    def missing(self, settings: Settings) -> tuple[Missing, ...]:
        return self.store.read(lambda tx: actions.missing(tx, self.scope, settings))

    def told(self) -> list[tuple[str | None, str | None, Any]]:
        """Return type, target and payload of each event in the log, after checking it against the catalogue."""
        found: list[tuple[str | None, str | None, Any]] = []
        for event in whole_log(self.store, self.scope):
            envelope, payload = event.envelope, event.payload
            assert envelope.type is not None
            assert payload is not None
            CATALOG.check(envelope.type, payload)
            found.append((envelope.type, envelope.target_entity_id, msgspec.json.decode(payload)))
        return found


@pytest.fixture
def place(store: Store) -> Place:
    return Place(store, open_logs(store)[0])


@pytest.fixture
def elsewhere(store: Store) -> Place:
    return Place(store, open_logs(store)[0])


def faults_of(refusal: Refusal) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.rule) for fault in refusal.faults]


# -- keeping and telling --------------------------------------------------------------------------------------------


def test_each_kind_is_kept_as_it_was_made(place: Place) -> None:
    parent = place.tag("above")
    made = [
        place.create("tag", name="Löbby ", parent_uid=parent),
        place.create("location", name="Quay", address="Quay 4\nHamburg", metadata={"floors": 6, "deep": {"a": [None]}}),
        place.create("policy", name="Screens", items=[{"type": "brightness", "value": 0.7}, "a\0b", None]),
        place.create("location"),
        place.create("policy"),
    ]
    assert [type(one) for one in made] == [Tag, Location, Policy, Location, Policy]
    assert {(one.created_at, one.version) for one in made} == {(START_OF_TIME, 1)}
    assert [place.get(one.kind, one.uid) for one in made] == made


def test_life_of_a_tag_is_told(place: Place) -> None:
    above = place.tag("above")
    uid = place.tag("Lobby")
    place.update("tag", uid, name="Foyer", parent_uid=above)
    place.update("tag", uid, parent_uid=None)
    place.delete("tag", uid)
    target = uid.hex()
    assert place.told()[1:] == [
        ("Tag.Created", target, {"uid": target, "name": "Lobby"}),
        (
            "Tag.Updated",
            target,
            {"uid": target, "changes": {"name": {"from": "Lobby", "to": "Foyer"}, "parentUid": {"to": above.hex()}}},
        ),
        ("Tag.Updated", target, {"uid": target, "changes": {"parentUid": {"from": above.hex()}}}),
        ("Tag.Deleted", target, {"uid": target, "name": "Foyer"}),
    ]


def test_life_of_a_location_is_told(place: Place) -> None:
    uid = place.create("location", name="Quay", metadata={"floors": 6}).uid
    place.update("location", uid, address="Quay 4", metadata={"floors": 7})
    place.update("location", uid, address=None)
    place.delete("location", uid)
    target = uid.hex()
    changes = {"address": {"to": "Quay 4"}, "metadata": {"from": {"floors": 6}, "to": {"floors": 7}}}
    assert place.told() == [
        ("Location.Created", target, {"uid": target, "name": "Quay", "metadata": {"floors": 6}}),
        ("Location.Updated", target, {"uid": target, "changes": changes}),
        ("Location.Updated", target, {"uid": target, "changes": {"address": {"from": "Quay 4"}}}),
        ("Location.Deleted", target, {"uid": target, "name": "Quay"}),
    ]


def test_life_of_a_policy_is_told(place: Place) -> None:
    uid = place.create("policy", name="Screens").uid
    place.update("policy", uid, items=[{"volume": 3}])
    place.delete("policy", uid)
    target = uid.hex()
    assert place.told() == [
        ("Policy.Created", target, {"uid": target, "name": "Screens", "items": []}),
        ("Policy.Updated", target, {"uid": target, "changes": {"items": {"from": [], "to": [{"volume": 3}]}}}),
        ("Policy.Deleted", target, {"uid": target, "name": "Screens"}),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_version_rises_with_every_change_and_with_nothing_else(place: Place, kind: Kind) -> None:
    made = place.create(kind)
    assert place.update(kind, made.uid, 1, name="two").version == 2
    assert place.update(kind, made.uid, 2, name="two").version == 2
    assert place.get(kind, made.uid).version == 2
    assert len(place.told()) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_changes_when_another_version_was_expected(place: Place, kind: Kind) -> None:
    made = place.create(kind)
    with pytest.raises(PreconditionFailed):
        place.update(kind, made.uid, 2, name="two")
    with pytest.raises(PreconditionFailed):
        place.delete(kind, made.uid, 2)
    assert place.get(kind, made.uid) == made
    assert len(place.told()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_another_organization_s_is_as_unknown_as_any(place: Place, elsewhere: Place, kind: Kind) -> None:
    theirs = elsewhere.create(kind)
    for uid in (theirs.uid, new_uid()):
        with pytest.raises(NotFound, match=f"There is no such {kind}."):
            place.get(kind, uid)
        with pytest.raises(NotFound):
            place.update(kind, uid, name="mine")
        with pytest.raises(NotFound):
            place.delete(kind, uid)
    assert place.names(kind) == []
    assert elsewhere.get(kind, theirs.uid) == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_company_owns_none(place: Place, kind: Kind) -> None:
    company = Place(place.store, msgspec.structs.replace(place.scope, kind="company"))
    with pytest.raises(Conflict, match="Only organizations"):
        company.create(kind)
    assert company.told() == []


# -- the tree of tags -----------------------------------------------------------------------------------------------


def test_tag_below_an_unknown_one_is_refused(place: Place, elsewhere: Place) -> None:
    uid, theirs = place.tag("mine"), elsewhere.tag("theirs")
    for parent in (theirs, new_uid()):
        for attempt in (lambda p=parent: place.tag("new", p), lambda p=parent: place.update("tag", uid, parent_uid=p)):
            with pytest.raises(Invalid) as refusal:
                attempt()
            assert faults_of(refusal.value) == [("/parentUid", "unknown-tag")]
    assert place.names("tag") == ["mine"]


@pytest.mark.parametrize("below", [0, 1, 2])
def test_tag_is_never_moved_below_itself(place: Place, below: int) -> None:
    chain = place.chain(3)
    with pytest.raises(Invalid) as refusal:
        place.update("tag", chain[0], parent_uid=chain[below])
    assert faults_of(refusal.value) == [("/parentUid", "cycle")]


def test_eleventh_level_is_refused(place: Place) -> None:
    chain = place.chain(MOST_LEVELS)
    with pytest.raises(Invalid) as refusal:
        place.tag("too deep", chain[-1])
    assert faults_of(refusal.value) == [("/parentUid", "levels")]
    assert len(place.names("tag")) == 10


def test_levels_below_a_moved_tag_count(place: Place) -> None:
    long, short = place.chain(8), [place.tag("a")]
    short.append(place.tag("b", short[0]))
    leaf = place.tag("c", short[1])
    with pytest.raises(Invalid) as refusal:
        place.update("tag", short[0], parent_uid=long[7])
    assert faults_of(refusal.value) == [("/parentUid", "levels")]
    assert place.update("tag", short[0], parent_uid=long[6])
    assert leaf in place.nested(long[0])


def test_nested_is_a_tag_and_all_below_it(place: Place) -> None:
    root = place.tag("root")
    left, right = place.tag("left", root), place.tag("right", root)
    leaf = place.tag("leaf", left)
    place.tag("apart")
    assert sorted(place.nested(root)) == sorted([root, left, right, leaf])
    assert sorted(place.nested(left)) == sorted([left, leaf])
    assert (place.nested(leaf), place.nested(new_uid())) == ([leaf], [])


def test_nested_tags_of_several_are_found_at_once_each_once_and_no_more_than_wanted(place: Place) -> None:
    root = place.tag("root")
    left, apart = place.tag("left", root), place.tag("apart")
    leaf = place.tag("leaf", left)
    assert sorted(place.nested(left, apart, root)) == sorted([root, left, leaf, apart])
    assert len(place.nested(left, apart, root, limit=3)) == 3


@pytest.mark.parametrize("name", ["Lobby", "  lobby", "LOBBY "])
def test_sibling_of_the_same_name_is_refused(place: Place, name: str) -> None:
    top = place.tag("Lobby")
    inner, other = place.tag("Lobby", top), place.tag("other", top)
    for attempt in (
        lambda: place.tag(name),
        lambda: place.tag(name, top),
        lambda: place.update("tag", other, name=name),
        lambda: place.update("tag", inner, name=name, parent_uid=None),
    ):
        with pytest.raises(Conflict, match="this name at the same place"):
            attempt()
    assert place.update("tag", inner, name=name).name == name, "its own name is no obstacle"


def test_tag_with_tags_below_it_cannot_be_deleted(place: Place) -> None:
    chain = place.chain(2)
    with pytest.raises(Conflict, match="stand below"):
        place.delete("tag", chain[0])
    place.delete("tag", chain[1])
    place.delete("tag", chain[0])
    assert place.names("tag") == []


def test_whether_tags_stand_below_one_is_asked_without_reading_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = place.tag("root")
    place.tag("below", root)
    monkeypatch.setattr("heliograph.references.store.below", lambda *_: pytest.fail("the whole subtree is read"))
    with pytest.raises(Conflict, match="stand below"):
        place.delete("tag", root)


@pytest.mark.parametrize("seed", range(3))
def test_tree_stays_a_tree_whatever_is_moved(place: Place, seed: int) -> None:
    random = Random(seed)
    parents: dict[bytes, bytes | None] = {}
    seen: set[str | None] = set()

    def path(uid: bytes | None) -> list[bytes]:
        return [] if uid is None else [uid, *path(parents[uid])]

    def below(uid: bytes) -> set[bytes]:
        return {other for other in parents if uid in path(other)}

    def refusal_of(parent: bytes | None, moved: set[bytes], uid: bytes | None) -> str | None:
        above = path(parent)
        if uid in above:
            return "cycle"
        height = max((len(path(other)) for other in moved), default=1) - (len(path(uid)) - 1 if uid else 0)
        return "levels" if len(above) + height > MOST_LEVELS else None

    def put(uid: bytes | None, parent: bytes | None, name: str) -> bytes:
        if uid is None:
            return place.tag(name, parent)
        return place.update("tag", uid, parent_uid=parent).uid

    for number in range(120):
        deepest = sorted(parents, key=lambda uid: len(path(uid)))[-3:]
        parent = random.choice([None, *parents, *deepest * 5])
        uid = random.choice([*[None] * 20, *parents])
        expected = refusal_of(parent, below(uid) if uid else set(), uid)
        seen.add(expected)
        if expected is not None:
            with pytest.raises(Invalid) as refusal:
                put(uid, parent, f"tag {number}")
            assert faults_of(refusal.value) == [("/parentUid", expected)]
        else:
            parents[put(uid, parent, f"tag {number}")] = parent
    assert seen == {None, "cycle", "levels"}
    for uid in parents:
        assert set(place.nested(uid)) == below(uid)


# -- finding --------------------------------------------------------------------------------------------------------


def test_pages_go_on_where_the_last_one_ended(place: Place) -> None:
    made = [place.create("location", name=f"{n}").uid for n in range(5)]
    seen: list[bytes] = []
    after: bytes | None = b""
    while after is not None:
        page, after = place.page("location", after, 2)
        assert len(page) == 2 or after is None
        seen += [one.uid for one in page]
    assert seen == made


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["Straße 1", "STRASSE 2", "Stra%e", "stra_e", "\U0010fffd"]),
        ("  sTra", ["Straße 1", "STRASSE 2", "Stra%e", "stra_e"]),
        ("strass", ["Straße 1", "STRASSE 2"]),
        ("straße ", ["Straße 1", "STRASSE 2"]),
        ("stra%", ["Stra%e"]),
        ("stra_", ["stra_e"]),
        ("\U0010fffd", ["\U0010fffd"]),
        ("traße", []),
    ],
)
def test_prefix_is_compared_literally_but_for_case(place: Place, prefix: str, expected: list[str]) -> None:
    for name in ("Straße 1", "STRASSE 2", "Stra%e", "stra_e", "\U0010fffd"):
        place.create("policy", name=name)
    assert place.names("policy", name_prefix=prefix) == expected


def test_tags_are_listed_by_the_one_above(place: Place) -> None:
    top = place.tag("top")
    left, _ = place.tag("left", top), place.tag("right", top)
    place.tag("leaf", left)
    assert place.names("tag", parent_uid=top) == ["left", "right"]
    assert place.names("tag", parent_uid=top, name_prefix="R") == ["right"]
    assert place.names("tag", parent_uid=new_uid()) == []


def test_names_are_found_whatever_their_case_and_number(place: Place, elsewhere: Place) -> None:
    first, second = (place.create("location", name=name).uid for name in ("Quay", " qUAY"))
    elsewhere.create("location", name="Harbour")
    wanted = ["QUAY", "quay ", "harbour", *(f"unknown {n}" for n in range(450))]
    found = place.store.read(lambda tx: actions.by_name(tx, place.scope, "location", wanted))
    assert found.pop("quay") == [first, second]
    assert len(found) == 451
    assert set(map(tuple, found.values())) == {()}


def test_existing_finds_many_at_once(place: Place, elsewhere: Place) -> None:
    kept = {place.create("policy").uid for _ in range(3)}
    asked = [*kept, elsewhere.create("policy").uid, *(new_uid() for _ in range(450)), *kept]
    assert place.store.read(lambda tx: actions.existing(tx, place.scope, "policy", asked)) == kept
    assert place.store.read(lambda tx: actions.existing(tx, place.scope, "tag", asked)) == set()
    assert place.store.read(lambda tx: actions.existing(tx, place.scope, "policy", [])) == set()


def test_missing_references_are_named_in_order_with_their_place(place: Place, elsewhere: Place) -> None:
    tag, policy, location = place.tag("t"), place.create("policy").uid, place.create("location").uid
    assert place.missing(Settings()) == ()
    assert place.missing(Settings(tag_uids=(tag,), policy_uid=policy, location_uid=location)) == ()
    gone, theirs = new_uid(), elsewhere.tag("t")
    lost = Settings(tag_uids=(gone, tag, theirs), policy_uid=location, location_uid=policy)
    assert place.missing(lost) == (
        Missing("tag", gone, 0), Missing("tag", theirs, 2), Missing("policy", location), Missing("location", policy),
    )  # fmt: skip
    with pytest.raises(Invalid) as refusal:
        place.store.read(lambda tx: actions.require(tx, place.scope, lost, "/settings"))
    assert faults_of(refusal.value) == [
        ("/settings/tagUids/0", "unknown-tag"),
        ("/settings/tagUids/2", "unknown-tag"),
        ("/settings/policyUid", "unknown-policy"),
        ("/settings/locationUid", "unknown-location"),
    ]
