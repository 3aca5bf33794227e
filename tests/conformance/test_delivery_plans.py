"""What is done to deliveries touches those alone that it is about, on both databases, however many a tenant has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from heliograph.delivery import actions, store
from heliograph.delivery.due import store as due
from heliograph.delivery.model import DeliveryFilter, Settlement
from heliograph.ids import new_uid
from heliograph.storage.postgres import PostgresTransaction
from heliograph.storage.sqlite import SqliteTransaction
from tests.conformance.stores import START_OF_TIME, open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heliograph.storage.engine import Connection, Engine, Transaction
    from heliograph.tenancy.model import Scope

EVENTS, ENDPOINTS = 600, 5
UIDS = [bytes(15) + bytes([n]) for n in range(ENDPOINTS)]
NOW = START_OF_TIME
FAILED = 300
CLAIM = bytes(16)


class Large(NamedTuple):
    """A tenant with many deliveries, and the connection to it."""

    connection: Connection
    scope: Scope


@pytest.fixture(scope="module", params=[False, True], ids=["without statistics", "with statistics"])
def large(shared_engine: Engine, request: pytest.FixtureRequest) -> Iterator[Large]:
    connection = shared_engine.connect(write=True)
    with connection.transaction(NOW, write=True) as tx:
        scope = open_log(tx)
        for seq in range(EVENTS):
            entity = seq % 7
            rows = [(scope.tenant_id, uid, seq, new_uid(), 0, NOW, entity, 0, NOW) for uid in UIDS]
            store.insert_deliveries(tx, scope, rows)
        tx.run("update delivery set state = 1, settled_at = :now, claim = :claim where seq < 500", now=NOW, claim=CLAIM)
        tx.run("update delivery set state = 2 where seq = :seq", seq=FAILED)
        if request.param or tx.dialect == "postgres":
            for table in ("delivery", "delivery_attempt", "delivery_count"):
                tx.run(f"analyze {table}")
    yield Large(connection, scope)
    connection.close()


def _listing(**wanted: Any) -> Callable[[Transaction, Scope], Any]:
    def run(tx: Transaction, scope: Scope) -> Any:
        return actions.list_deliveries(tx, scope, DeliveryFilter(**wanted), None, 50)[0]

    return run


def _settle(tx: Transaction, scope: Scope) -> Any:
    one = Settlement(
        endpoint_uid=UIDS[0], seq=599, attempt=1, claim=CLAIM, state="delivered", due_at=NOW, error_class=None
    )  # fmt: skip
    return store.settle(tx, scope, [one])


WORK: dict[str, tuple[Callable[[Transaction, Scope], Any], set[str]]] = {
    "list all": (_listing(), {"primary"}),
    "list of an endpoint": (_listing(endpoint_uid=UIDS[1]), {"delivery_of_endpoint"}),
    "list what failed": (_listing(states=("exhausted",)), {"delivery_failed"}),
    "list what failed of an endpoint": (
        _listing(states=("exhausted",), endpoint_uid=UIDS[1]),
        {"delivery_failed_of_endpoint"},
    ),
    "claim": (partial(store.claim, wanted=[(UIDS[0], 5, NOW)], token=CLAIM), {"delivery_due", "by its key"}),
    "claim in order": (
        partial(store.claim_in_order, endpoint_uid=UIDS[0], limit=5, until=NOW, token=CLAIM),
        {"delivery_due", "delivery_by_entity"},
    ),
    "settle": (_settle, {"by its key"}),
    "release": (partial(store.release, held=[(UIDS[0], 599, CLAIM)]), {"by its key"}),
    "forget": (partial(store.forget, before=0, after=(0, b""), limit=10), {"primary"}),
    "look around": (due.prospects, {"delivery_due"}),
    "send again": (partial(store.renew, endpoint_uid=UIDS[0], seq=599), {"by its key", "delivery_due"}),
}


def _noted(statements: list[tuple[str, dict[str, Any]]], do: Any) -> Any:
    def run(self: Any, sql: str, *rows: Any, **values: Any) -> Any:
        statements.extend((sql, row) for row in (rows[0][:1] if rows else [values]))
        return do(self, sql, *rows, **values)

    return run


def _plans(large: Large, work: Callable[[Transaction, Scope], Any], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return how the database does a piece of work, statement by statement."""
    statements: list[tuple[str, dict[str, Any]]] = []
    with large.connection.transaction(NOW, write=True) as tx, tx.savepoint(), monkeypatch.context() as patch:
        for transaction in (SqliteTransaction, PostgresTransaction):
            for name in ("all", "run", "run_many"):
                patch.setattr(transaction, name, _noted(statements, getattr(transaction, name)))
        work(tx, large.scope)
    with large.connection.transaction(NOW, write=True) as tx:
        if tx.dialect == "postgres":
            tx.run("set local enable_seqscan = off")
        explain = "explain query plan" if tx.dialect == "sqlite" else "explain"
        lines = [str(row[-1]) for sql, values in statements for row in tx.all(f"{explain} {sql}", **values)]
    return (
        "\n".join(_by_its_key(line) for line in lines)
        .replace("delivery_pkey", "primary")
        .replace("PRIMARY KEY", "primary")
    )


def _by_its_key(line: str) -> str:
    """Mark the look-up of one delivery by its whole key, in whichever order an index has it."""
    parts = ("tenant_id", "seq", "endpoint_uid")
    whole = all(f"{part}=?" in line or f"({part} = " in line for part in parts)
    return f"{line} by its key" if whole else line


@pytest.mark.parametrize("name", WORK)
def test_work_on_deliveries_goes_by_an_index(large: Large, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work, indexes = WORK[name]
    plan = _plans(large, work, monkeypatch)
    assert all(index in plan for index in indexes), plan
    assert "Seq Scan on delivery" not in plan
    assert not any(line.startswith(("SCAN delivery", "SCAN d ")) for line in plan.splitlines()), plan
