"""A filter that little passes finds that little by an index of its own, on both databases, however large the tenant."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from heliograph.access_codes import actions as access_codes
from heliograph.access_codes import store as access_codes_store
from heliograph.access_codes.model import AccessCode, CodeFilter
from heliograph.connected_accounts import actions as accounts
from heliograph.connected_accounts import store as accounts_store
from heliograph.connected_accounts.model import AccountFilter, ConnectedAccount, State
from heliograph.devices import actions as devices
from heliograph.devices import store as devices_store
from heliograph.devices.model import Device, DeviceFilter, Identity, Settings
from heliograph.ids import new_uid
from heliograph.operations import store as operations_store
from heliograph.operations.model import Operation, Wanted
from heliograph.presence import store as presence_store
from heliograph.presence.model import Standing
from heliograph.provisioning import actions as provisioning
from heliograph.provisioning import store as provisioning_store
from heliograph.provisioning.model import RecipeFilter
from heliograph.provisioning.recipes import Recipe
from heliograph.references import actions as references
from heliograph.references import store as references_store
from heliograph.references.model import STRUCTS
from heliograph.storage.postgres import PostgresTransaction
from heliograph.storage.sqlite import SqliteTransaction
from tests.conformance.stores import START_OF_TIME, open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heliograph.storage.engine import Connection, Engine, Row, Transaction
    from heliograph.tenancy.model import Scope

    Listing = Callable[[Transaction, Scope], Any]

ROWS = 2_000
TABLES = (
    "recipe", "recipe_tag", "device", "device_tag", "device_presence", "tag", "location", "policy", "access_code",
    "connected_account", "device_operation",
)  # fmt: skip
TAG = bytes(15) + b"\x07"
LOCK = bytes(15) + b"\x08"
KNOWN = bytes(15) + b"\x09"
SUBJECT = bytes(15) + b"\x0b"
PIN = bytes(15) + b"\x0a"
DIGEST = bytes(31) + b"\x07"


class Large(NamedTuple):
    """A large tenant, and the connection to it."""

    connection: Connection
    scope: Scope


@pytest.fixture(scope="module", params=[False, True], ids=["without statistics", "with statistics"])
def large(shared_engine: Engine, request: pytest.FixtureRequest) -> Iterator[Large]:
    connection = shared_engine.connect(write=True)
    with connection.transaction(START_OF_TIME, write=True) as tx:
        scope = open_log(tx)
        for number in range(ROWS):
            _fill(tx, scope, number)
        # PostgreSQL gathers statistics by itself, and plans by them alone.
        if request.param or tx.dialect == "postgres":
            for table in TABLES:
                tx.run(f"analyze {table}")
    yield Large(connection, scope)
    connection.close()


def _fill(tx: Transaction, scope: Scope, number: int) -> None:
    mac = ":".join(f"{number * 7919 % 2**24:06X}000000"[n : n + 2] for n in range(0, 12, 2))
    identity = Identity(brand="Acme", serial_number=f"SN-{number:06}", mac_address=mac)
    tag = TAG if number % 1000 == 0 else bytes(15) + bytes([100 + number % 50])
    settings = Settings(name=f"Lobby {number:06}", tag_uids=(tag,))
    times: dict[str, Any] = {"created_at": number, "updated_at": number}
    device = Device(uid=_uid(number), state="enrolled", identity=identity, settings=settings, **times)
    devices_store.insert_device(tx, scope, device)
    presence_store.put_standing(tx, scope, device.uid, Standing(last_seen_at=number, reported_at=number))
    digest = DIGEST if number == 1234 else None
    recipe = Recipe(
        uid=new_uid(), status="Pending", identity=identity, settings=settings, row_digest=digest, **times
    )  # fmt: skip
    provisioning_store.insert_recipes(tx, scope, [recipe])
    _fill_codes(tx, scope, number)
    for struct in STRUCTS.values():
        references_store.insert(tx, scope, struct(uid=new_uid(), name=f"Lobby {number:06}", created_at=number))


def _fill_codes(tx: Transaction, scope: Scope, number: int) -> None:
    times: dict[str, Any] = {"created_at": number, "updated_at": number}
    state: State = "disconnected" if number % 1000 == 0 else "connected"
    account = ConnectedAccount(uid=_uid(number), name=f"Lobby {number:06}", provider="acme", state=state, **times)
    accounts_store.insert(tx, scope, account)
    lock = LOCK if number % 1000 == 0 else bytes(15) + bytes([100 + number % 50])
    code = AccessCode(
        uid=_uid(number), device_uid=lock, managed=False, status="set", type="ongoing", name=account.name,
        pin_index=PIN if number % 1000 == 0 else number.to_bytes(16, "big"), external_id=f"id-{number}", **times,
    )  # fmt: skip
    access_codes_store.insert_codes(tx, scope, [code])
    rare = number % 1000 == 0
    operation = Operation(
        uid=new_uid(), kind="convert_access_code", state="pending" if rare else "succeeded", device_uid=lock,
        account_uid=account.uid, subject_uid=SUBJECT if rare else code.uid, request={}, created_at=number,
        deadline=number + 1,
    )  # fmt: skip
    operations_store.insert(tx, scope, operation)


def _uid(number: int) -> bytes:
    return KNOWN if number == 1234 else new_uid()


def _codes_with_pin(tx: Transaction, scope: Scope) -> tuple[list[AccessCode], None]:
    return [access_codes.find_by_pin(tx, scope, LOCK, PIN, managed=False)], None


def _codes_to_remove(tx: Transaction, scope: Scope) -> tuple[list[AccessCode], None]:
    return access_codes_store.some_codes_on(tx, scope, LOCK, 50), None


def _offered(tx: Transaction, scope: Scope, wanted: Wanted) -> tuple[list[Operation], None]:
    return operations_store.offered(tx, scope, wanted, 0, 50), None


def _overdue(tx: Transaction, scope: Scope) -> tuple[list[Operation], None]:
    return operations_store.overdue(tx, scope, START_OF_TIME, 50), None


def _pending_about(tx: Transaction, scope: Scope) -> tuple[list[Operation], None]:
    return operations_store.pending_about(tx, scope, [SUBJECT, new_uid()]), None


def _operations_about(tx: Transaction, scope: Scope, before: bytes | None) -> tuple[list[Operation], None]:
    return operations_store.list_about(tx, scope, SUBJECT, before, 50), None


def _codes_of_digits(tx: Transaction, scope: Scope) -> tuple[list[AccessCode], None]:
    pin = (1234).to_bytes(16, "big")
    return access_codes_store.codes_with_pin(tx, scope, bytes(15) + bytes([100 + 1234 % 50]), pin), None


def _codes_with_id(tx: Transaction, scope: Scope) -> tuple[list[AccessCode], None]:
    return access_codes_store.codes_with_id(tx, scope, bytes(15) + bytes([100 + 1234 % 50]), "id-1234"), None


CODE_FILTERS: list[tuple[str, dict[str, Any]]] = [
    ("access_code_by_device", {"device_uids": (LOCK,)}),
    # Several indexes begin with the device; any of them will do where the codes of several are gathered.
    ("access_code_by", {"device_uids": (LOCK, new_uid())}),
    ("access_code_by", {"device_uids": (LOCK, new_uid()), "managed": False, "statuses": ("set", "unset")}),
    ("access_code_by_name", {"name_prefix": "lobby 001234"}),
    # All codes of a lock are read page after page, each by the index that has them in their order.
    ("access_code_by_device", {"device_uids": (LOCK,), "managed": False, "search": "lobby"}),
]
ACCOUNT_FILTERS: list[tuple[str, dict[str, Any]]] = [
    ("connected_account_by_state", {"states": ("disconnected",)}),
    ("connected_account_by_name", {"name_prefix": "lobby 001234"}),
]
RECIPE_FILTERS: dict[str, dict[str, Any]] = {
    "recipe_by_serial": {"serial_prefix": "sn-001234"},
    "recipe_by_mac": {"mac_prefix": "0F:77"},
    "recipe_by_name": {"name_prefix": "lobby 001234"},
    "recipe_tag_by_tag": {"tag_uids": (TAG, new_uid())},
}
DEVICE_FILTERS: dict[str, dict[str, Any]] = {
    "device_by_serial": {"serial_prefix": "sn-001234"},
    "device_by_mac": {"mac_prefix": "0F:77"},
    "device_by_name": {"name_prefix": "lobby 001234"},
    "device_tag_by_tag": {"tag_uids": (TAG, new_uid())},
}
BY_UIDS = (KNOWN, new_uid(), new_uid())


def _made_of_rows(tx: Transaction, scope: Scope) -> tuple[list[Recipe], None]:
    return provisioning_store.recipes_of_rows(tx, scope, [DIGEST, *(new_uid() for _ in range(20))]), None


LISTINGS: dict[str, Listing] = {
    "recipe_by_row": _made_of_rows,
    **{
        index: partial(provisioning.list_recipes, wanted=RecipeFilter(**wanted), after=bytes(16), limit=50)
        for index, wanted in RECIPE_FILTERS.items()
    },
    **{
        index: partial(devices.list_devices, wanted=DeviceFilter(**wanted), after=bytes(16), limit=50)
        for index, wanted in DEVICE_FILTERS.items()
    },
    **{
        f"{kind}_by_name": partial(
            references.list_references, kind=kind, after=bytes(16), limit=50, name_prefix="lobby 001234"
        )
        for kind in STRUCTS
    },
}


def _plan(large: Large, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return how the database answers the first statement of a listing, which found something."""
    statements: list[tuple[str, dict[str, Any]]] = []
    with large.connection.transaction(START_OF_TIME, write=False) as tx, monkeypatch.context() as patch:
        for transaction in (SqliteTransaction, PostgresTransaction):
            execute = transaction.all

            def noted(self: Any, sql: str, *, execute: Any = execute, **values: Any) -> list[Row]:
                statements.append((sql, values))
                rows: list[Row] = execute(self, sql, **values)
                return rows

            patch.setattr(transaction, "all", noted)
        found, _ = listing(tx, large.scope)
        assert found
        sql, values = statements[0]
        explain = "explain query plan" if tx.dialect == "sqlite" else "explain"
        return [str(row[-1]) for row in tx.all(f"{explain} {sql}", **values)]


def _goes_through_the_tenant(plan: list[str]) -> bool:
    """Tell whether rows are read that are found by their tenant and their place in the list alone."""
    everything = ("(tenant_id=?)", "(tenant_id=? AND uid>?)")
    return any(line.startswith("SCAN ") or "Seq Scan" in line or line.endswith(everything) for line in plan)


CASES: list[tuple[str, Listing]] = [
    *LISTINGS.items(),
    *(
        (index, partial(access_codes.list_codes, wanted=CodeFilter(**wanted), after=bytes(16), limit=50))
        for index, wanted in CODE_FILTERS
    ),
    *(
        (index, partial(accounts.list_accounts, wanted=AccountFilter(**wanted), after=bytes(16), limit=50))
        for index, wanted in ACCOUNT_FILTERS
    ),
    ("access_code_by_device", _codes_to_remove),
    ("device_by_name", partial(devices.list_devices, wanted=DeviceFilter(names=("Lobby 001234",)), after=b"", limit=9)),
    ("access_code_by", _codes_with_pin),
    ("access_code_by_pin", _codes_of_digits),
    ("access_code_by_external_id", _codes_with_id),
    ("device_operation_by_state", partial(_offered, wanted=Wanted())),
    ("device_operation_by_state", partial(_offered, wanted=Wanted(device_uids=(LOCK, new_uid())))),
    ("device_operation_by_deadline", _overdue),
    ("device_operation_by_subject", partial(_operations_about, before=None)),
    ("device_operation_by_subject", partial(_operations_about, before=b"\xff" * 16)),
    ("device_operation_by_subject", _pending_about),
]


@pytest.mark.parametrize(("index", "listing"), CASES)
def test_selective_filter_uses_its_index(
    large: Large, index: str, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(large, listing, monkeypatch)
    assert any(f" {index}" in line for line in plan), plan
    assert not _goes_through_the_tenant(plan), plan


UID_LISTINGS: dict[str, Listing] = {
    "codes": partial(access_codes.list_codes, wanted=CodeFilter(uids=BY_UIDS), after=bytes(15), limit=50),
    "accounts": partial(accounts.list_accounts, wanted=AccountFilter(uids=BY_UIDS), after=bytes(15), limit=50),
    "devices": partial(devices.list_devices, wanted=DeviceFilter(uids=BY_UIDS), after=bytes(15), limit=50),
}


@pytest.mark.parametrize("listed", UID_LISTINGS)
def test_a_few_are_found_by_their_uids(large: Large, listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(large, UID_LISTINGS[listed], monkeypatch)
    assert not _goes_through_the_tenant(plan), plan
