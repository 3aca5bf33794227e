"""Endpoints keep their promises on both databases: where they begin, whom they reach, what they skip and hide."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from heliograph import publish
from heliograph.delivery.backlog import AT_ONCE, CANCELLING
from heliograph.delivery.fanout import WAKE
from heliograph.endpoints import actions, switching
from heliograph.endpoints import store as endpoints
from heliograph.endpoints.actions import TenantsAdded
from heliograph.endpoints.model import Endpoint, EndpointSettings, Gap
from heliograph.endpoints.sealed import unseal
from heliograph.endpoints.tls import Tls
from heliograph.endpoints.wishes import EndpointPatch, EndpointWish, SettingsPatch
from heliograph.errors import Conflict, NotFound
from heliograph.eventlog.model import EventDraft, Receipt
from heliograph.ids import new_uid
from heliograph.jobs.runner import Runner
from heliograph.storage.sealing import Sealer, WrongMasterKey
from heliograph.tenancy import store as tenancy
from heliograph.tenancy.access import SYSTEM, tenants_below
from heliograph.tenancy.actions import plant_tenant
from heliograph.tenancy.model import Kind, Scope
from tests.conformance.stores import whole_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliograph.storage.engine import Engine, Transaction
    from heliograph.storage.store import Store

SEALER = Sealer(bytes(32))
EVERYTHING = EndpointSettings(event_types=("door.*",))
SECRET = b"never to be seen at rest".ljust(32, b"!")


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


class Tree:
    """A company `above` a company `middle` above two organizations, and a stranger's organization beside them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.above = self.plant(None, Kind.COMPANY)
        self.middle = self.plant(self.above, Kind.COMPANY)
        self.here, self.there = self.plant(self.middle), self.plant(self.middle)
        self.stranger = self.plant(self.plant(None, Kind.COMPANY))

    def plant(self, parent: Scope | None, kind: Kind = Kind.ORGANIZATION) -> Scope:
        def step(tx: Transaction) -> Scope:
            above = None if parent is None else tenancy.tenant_of(tx, parent)
            return plant_tenant(tx, SYSTEM, above, kind, "somebody", new_uid().hex())[1]

        return self.store.execute(step, [] if parent is None else [parent.tenant_id])

    def below(self, scope: Scope) -> list[int]:
        return self.store.read(partial(tenants_below, scope=scope))

    def create(self, scope: Scope, settings: EndpointSettings = EVERYTHING, **more: Any) -> Endpoint:
        wish = EndpointWish(url="https://hooks.example.com/", settings=settings, **more)
        tenants = self.below(scope)
        return self.store.execute(lambda tx: actions.create(tx, scope, SEALER, wish, tenants)[0], tenants)

    def change(self, action: Callable[..., Any], scope: Scope, uid: bytes, *given: Any, **more: Any) -> Any:
        """Carry out a change of an endpoint that locks all logs that it reaches."""
        tenants = self.below(scope)
        step = partial(action, scope=scope, uid=uid, version=None, tenants=tenants, *given, **more)  # noqa: B026
        return self.store.execute(step, tenants)

    def switch(self, action: Callable[..., Any], scope: Scope, uid: bytes) -> Any:
        return self.store.execute(partial(action, scope=scope, uid=uid, version=None), [scope.tenant_id])

    def publish(self, scope: Scope, type: str = "door.opened", times: int = 1) -> list[int]:
        """Record events, one request each, and return their seqs."""
        return [self.store.execute(partial(_publish, scope=scope, type=type), [scope.tenant_id]) for _ in range(times)]

    def delivered(self, scope: Scope, endpoint: Endpoint, state: int = 0) -> list[int]:
        """Return the seqs of a log for which there is a delivery to an endpoint."""

        def read(tx: Transaction) -> list[int]:
            rows = tx.all(
                "select seq from delivery where tenant_id = :tenant_id and endpoint_uid = :uid and state = :state"
                " order by seq",
                tenant_id=scope.tenant_id, uid=endpoint.uid, state=state,
            )  # fmt: skip
            return [row[0] for row in rows]

        return self.store.read(read)

    def gaps(self, scope: Scope, endpoint: Endpoint) -> list[Gap]:
        return self.store.read(lambda tx: endpoints.gaps_of(tx, scope, endpoint.uid))

    def head(self, scope: Scope) -> int:
        return len(whole_log(self.store, scope))

    def told(self, scope: Scope) -> list[tuple[str, Any]]:
        """Return type and payload of what the log says of endpoints."""
        return [
            (event.envelope.type or "", msgspec.json.decode(event.payload or b"null"))
            for event in whole_log(self.store, scope)
            if event.envelope.target_entity_type == "Endpoint"
        ]


def _draft(type: str) -> EventDraft:
    return EventDraft(
        type=type, code=None, criticality=0, target_type=None, target_id=None, occurred_at=None, content_type=None,
        payload=b"",
    )  # fmt: skip


def _publish(tx: Transaction, scope: Scope, type: str) -> int:
    prepared = publish.Preparer().prepare(_draft(type), SYSTEM)
    submission = publish.Submission(scope, [prepared], lambda _: b"")
    (answer,) = publish.ingest(tx, scope.tenant_id, [submission])
    (receipt,) = answer.outcomes
    assert isinstance(receipt, Receipt)
    return receipt.seq


@pytest.fixture
def tree(store: Store) -> Tree:
    return Tree(store)


# -- where it begins ------------------------------------------------------------------------------------------------


def test_endpoint_gets_exactly_what_comes_after_it_while_others_publish(tree: Tree) -> None:
    stop = threading.Event()

    def keep_publishing() -> None:
        while not stop.is_set():
            tree.publish(tree.here, times=1)

    publishers = [threading.Thread(target=keep_publishing) for _ in range(3)]
    for publisher in publishers:
        publisher.start()
    try:
        made = [tree.create(tree.here) for _ in range(5)]
        for one in made[:2]:
            tree.change(switching.disable, tree.here, one.uid)
            tree.change(switching.enable, tree.here, one.uid)
    finally:
        tree.publish(tree.here)
        stop.set()
        for publisher in publishers:
            publisher.join()
    log = whole_log(tree.store, tree.here)
    created = {
        msgspec.json.decode(event.payload or b"")["uid"]: seq
        for seq, event in enumerate(log)
        if event.envelope.type == "Endpoint.Created"
    }
    doors = [seq for seq, event in enumerate(log) if event.envelope.type == "door.opened"]
    for one in made:
        skipped = [gap for gap in tree.gaps(tree.here, one) if gap.to_seq is not None]
        wanted = [
            seq
            for seq in doors
            if seq > created[one.uid.hex()] and not any(gap.from_seq <= seq < (gap.to_seq or 0) for gap in skipped)
        ]
        assert tree.delivered(tree.here, one) == wanted
        assert wanted


def test_change_that_is_undone_changes_nothing_for_what_comes_after(tree: Tree) -> None:
    one = tree.create(tree.here)

    def fail(tx: Transaction) -> None:
        patch = EndpointPatch(settings=SettingsPatch(event_types=("window.*",)))
        actions.update(tx, tree.here, SEALER, one.uid, None, patch, [tree.here.tenant_id])
        _publish(tx, tree.here, "door.opened")
        raise Conflict("undone")

    with pytest.raises(Conflict):
        tree.store.execute(fail, [tree.here.tenant_id])
    seqs = tree.publish(tree.here, times=2)
    tree.publish(tree.here, "window.opened")
    assert tree.delivered(tree.here, one) == seqs


def test_new_filter_holds_from_the_next_event_on(tree: Tree) -> None:
    one = tree.create(tree.here)
    first = tree.publish(tree.here)
    patch = EndpointPatch(settings=SettingsPatch(event_types=("window.*",)))
    tree.change(actions.update, tree.here, one.uid, sealer=SEALER, patch=patch)
    tree.publish(tree.here)
    second = tree.publish(tree.here, "window.opened")
    assert tree.delivered(tree.here, one) == first + second


# -- whom it reaches ------------------------------------------------------------------------------------------------


def test_endpoint_of_a_company_gets_the_events_of_all_below_it_and_of_no_others(tree: Tree) -> None:
    one = tree.create(tree.above)
    own = tree.create(tree.here)
    places = (tree.above, tree.middle, tree.here, tree.there)
    seqs = {scope.tenant_id: tree.publish(scope, times=2) for scope in places}
    tree.publish(tree.stranger)
    for scope in places:
        assert tree.delivered(scope, one) == seqs[scope.tenant_id]
    assert tree.delivered(tree.stranger, one) == []
    assert tree.delivered(tree.here, own) == seqs[tree.here.tenant_id]
    assert tree.delivered(tree.there, own) == []


def test_new_tenant_inherits_the_endpoints_of_all_above_it_from_its_first_event_on(tree: Tree) -> None:
    settings = EndpointSettings(event_types=("*",))
    over_all, over_middle = tree.create(tree.above, settings), tree.create(tree.middle, settings)
    beside = tree.create(tree.here, settings)
    late = tree.plant(tree.middle)
    tree.publish(late)
    assert [event.envelope.type for event in whole_log(tree.store, late)] == ["Tenant.Created", "door.opened"]
    assert tree.delivered(late, over_all) == tree.delivered(late, over_middle) == [0, 1]
    assert tree.delivered(late, beside) == []


def test_tenant_that_is_added_meanwhile_makes_the_change_begin_again(tree: Tree) -> None:
    before = tree.below(tree.above)
    tree.plant(tree.middle)
    wish = EndpointWish(url="https://hooks.example.com/", settings=EVERYTHING)
    with pytest.raises(TenantsAdded):
        tree.store.execute(lambda tx: actions.create(tx, tree.above, SEALER, wish, before), before)
    assert tree.told(tree.above) == []


def test_company_with_too_many_tenants_gets_no_endpoint(tree: Tree) -> None:
    wish = EndpointWish(url="https://hooks.example.com/", settings=EVERYTHING)
    with pytest.raises(Conflict, match="500"):
        tree.store.execute(lambda tx: actions.create(tx, tree.above, SEALER, wish, range(502)), [tree.above.tenant_id])


def test_endpoint_of_another_tenant_is_not_there(tree: Tree) -> None:
    one = tree.create(tree.here)
    for other in (tree.there, tree.middle, tree.stranger):
        with pytest.raises(NotFound):
            tree.change(switching.disable, other, one.uid)
        with pytest.raises(NotFound):
            tree.switch(switching.pause, other, one.uid)
        with pytest.raises(NotFound):
            tree.store.execute(partial(actions.send_test, scope=other, uid=one.uid), [other.tenant_id])
        listed = tree.store.read(partial(actions.list_endpoints, scope=other, states=(), after=b"", limit=10))
        assert listed == ([], None)
    assert tree.store.read(lambda tx: actions.get(tx, tree.here, one.uid)) == one


# -- what it skips --------------------------------------------------------------------------------------------------


def test_paused_endpoint_skips_nothing(tree: Tree) -> None:
    one = tree.create(tree.here)
    tree.switch(switching.pause, tree.here, one.uid)
    seqs = tree.publish(tree.here, times=2)
    tree.switch(switching.resume, tree.here, one.uid)
    assert tree.delivered(tree.here, one) == seqs
    assert tree.gaps(tree.here, one) == []


def test_what_a_disabled_endpoint_skips_is_kept_as_intervals_of_every_log(tree: Tree) -> None:
    one = tree.create(tree.above)
    kept = tree.publish(tree.here)
    start, start_there = tree.head(tree.here), tree.head(tree.there)
    tree.change(switching.disable, tree.above, one.uid)
    skipped = tree.publish(tree.here, times=3)
    late = tree.plant(tree.middle)
    assert tree.gaps(tree.here, one) == [Gap(start, None)]
    tree.change(switching.enable, tree.above, one.uid)
    kept += tree.publish(tree.here)
    assert tree.delivered(tree.here, one) == kept
    assert tree.gaps(tree.here, one) == [Gap(start, start + 3)]
    assert set(skipped) == set(range(start, start + 3))
    # Where nothing happened there is nothing to recover, and what was planted meanwhile was skipped as well.
    assert tree.gaps(tree.there, one) == []
    assert start_there == tree.head(tree.there)
    assert tree.gaps(late, one) == [Gap(0, 1)]
    tree.change(switching.disable, tree.above, one.uid)
    assert tree.gaps(tree.here, one) == [Gap(start, start + 3), Gap(tree.head(tree.here), None)]


def test_disabled_endpoint_hears_nothing_of_that(tree: Tree) -> None:
    one = tree.create(tree.here, EndpointSettings(event_types=("*",)))
    tree.change(switching.disable, tree.here, one.uid, reason="failing")
    assert tree.delivered(tree.here, one) == []
    tree.change(switching.enable, tree.here, one.uid)
    types = [event.envelope.type for event in whole_log(tree.store, tree.here)]
    assert [types[seq] for seq in tree.delivered(tree.here, one)] == ["Endpoint.Enabled"]
    assert tree.told(tree.here)[1] == (
        "Endpoint.Disabled", {"uid": one.uid.hex(), "host": "hooks.example.com", "reason": "failing"},
    )  # fmt: skip


@pytest.mark.parametrize("action", ["resume", "enable"])
def test_worker_is_woken_when_what_was_held_back_may_go(tree: Tree, action: str) -> None:
    one = tree.create(tree.above)
    tree.publish(tree.here)
    if action == "resume":
        tree.switch(switching.pause, tree.above, one.uid)
    else:
        tree.change(switching.disable, tree.above, one.uid)
    woken: list[int] = []

    def forget(tx: Transaction) -> None:
        tx.run("update due_tenant set next_due = :never", never=2**62)
        tx.memory[WAKE] = woken.append

    tree.store.execute(forget)
    if action == "resume":
        tree.switch(switching.resume, tree.above, one.uid)
    else:
        tree.change(switching.enable, tree.above, one.uid)
    tree.store.execute(lambda tx: tx.memory.pop(WAKE))

    def due(tx: Transaction) -> set[int]:
        return {row[0] for row in tx.all("select tenant_id from due_tenant where next_due <= :now", now=tx.now)}

    assert tree.here.tenant_id in tree.store.read(due)
    assert set(woken) >= {tree.above.tenant_id, tree.here.tenant_id, tree.there.tenant_id}


# -- how it ends ----------------------------------------------------------------------------------------------------


def test_deleting_cancels_what_is_pending_in_every_log(tree: Tree) -> None:
    one = tree.create(tree.above)
    seqs = {scope.tenant_id: tree.publish(scope, times=2) for scope in (tree.here, tree.there)}
    tree.change(actions.delete, tree.above, one.uid)
    for scope in (tree.here, tree.there):
        assert tree.delivered(scope, one, state=3) == seqs[scope.tenant_id]
        assert tree.delivered(scope, one) == []
        tree.publish(scope)
        assert tree.delivered(scope, one) == []


def test_much_that_is_pending_is_cancelled_in_parts_by_a_job(tree: Tree) -> None:
    one = tree.create(tree.above)

    def publish_many(tx: Transaction, scope: Scope) -> None:
        preparer = publish.Preparer()
        events = [preparer.prepare(_draft("door.opened"), SYSTEM) for _ in range(AT_ONCE + 1)]
        publish.ingest(tx, scope.tenant_id, [publish.Submission(scope, events, lambda _: b"")])

    for scope in (tree.here, tree.there):
        tree.store.execute(partial(publish_many, scope=scope), [scope.tenant_id])
    tree.change(actions.delete, tree.above, one.uid)
    assert len(tree.delivered(tree.here, one)) == AT_ONCE + 1
    Runner(tree.store, {CANCELLING.name: CANCELLING}, lambda *_: None).run_pending()
    for scope in (tree.here, tree.there):
        assert tree.delivered(scope, one) == []
        assert len(tree.delivered(scope, one, state=3)) == AT_ONCE + 1


# -- what it hides --------------------------------------------------------------------------------------------------


def test_secrets_are_sealed_at_rest_for_their_own_endpoint_alone(tree: Tree) -> None:
    tls = Tls(ca="ca", client_certificate="certificate", client_key="the private key")
    one = tree.create(tree.here, secret=SECRET, headers=(("X-Key", "the value"),), tls=tls)

    def stored(tx: Transaction) -> bytes:
        rows = tx.all("select url, settings, secrets, health from endpoint")
        rows += tx.all("select envelope, envelope, envelope, envelope from event")
        rows += tx.all("select content, content, content, content from payload")
        return b" ".join(part.encode() if isinstance(part, str) else bytes(part) for row in rows for part in row)

    at_rest = tree.store.read(stored)
    for hidden in (SECRET, b"the private key", b"the value", b"X-Key", msgspec.json.encode(SECRET).strip(b'"')):
        assert hidden not in at_rest
    opened = unseal(SEALER, tree.here.tenant_id, one)
    assert (opened.keys[0].secret, opened.headers, opened.client_key) == (
        SECRET, (("X-Key", "the value"),), "the private key",
    )  # fmt: skip
    other = msgspec.structs.replace(one, uid=new_uid())
    for owner, endpoint in ((tree.there.tenant_id, one), (tree.here.tenant_id, other)):
        with pytest.raises(WrongMasterKey):
            unseal(SEALER, owner, endpoint)
    assert "the" not in repr(opened)
