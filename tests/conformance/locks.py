"""Locks of an organization, what they report of their access codes, and all that can be seen of it afterwards."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from heliograph.access_codes import actions, completing, requests, store
from heliograph.access_codes.actions import Plan, Postponed
from heliograph.access_codes.applying import Counts
from heliograph.access_codes.changes import CodePatch, CodeWish
from heliograph.access_codes.forgetting import FORGETTING
from heliograph.access_codes.model import AccessCode, CodeFilter, CodeReport, GivenCode, read_report
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.reporting import report_kind, sealed_parts
from heliograph.catalog.system import SYSTEM as CATALOG
from heliograph.connected_accounts import actions as accounts
from heliograph.devices import actions as devices
from heliograph.devices.model import Device, Settings
from heliograph.ids import Secret, as_uuid, new_uid
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Job
from heliograph.jobs.runner import Runner
from heliograph.operations import actions as operations
from heliograph.operations.model import Completion, Operation, Said, Wanted
from heliograph.provisioning.releasing import DETACHING
from heliograph.tenancy.actions import add_account
from heliograph.times import print_milliseconds
from tests.conformance.provisioned import SEALER, Fleet, of_system, somebody
from tests.conformance.stores import whole_log

if TYPE_CHECKING:
    from heliograph.access_codes.actions import Late
    from heliograph.connected_accounts.model import ConnectedAccount
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope
    from tests.conformance.stores import HandClock

SECOND = 1_000_000
LEASE = 60 * SECOND
PATIENCE = 600 * SECOND
CONNECTOR = b"a connector's key".ljust(32, b"\0")
PREFIX = "access_code."


def nobody_told(kind: str, detail: str) -> None:
    raise AssertionError(f"{kind}: {detail}")


class Locksmith:
    """An account with locks in `here`; each report comes a second after what was done before."""

    def __init__(self, database: Store, time: HandClock) -> None:
        self.fleet = Fleet(database)
        here = self.fleet.here
        # Jobs go on with what the account holds that began them.
        reporter = self.fleet.write(add_account, here, "reporter", [(here, "report access_code.tenant")])
        actor = msgspec.structs.replace(here.actor, account_id=reporter.id, uid=reporter.uid.hex())
        self.here = self.fleet.here = msgspec.structs.replace(here, actor=actor)
        self.time = time
        self.pins = Pins(SEALER, self.here)
        self.account = self.an_account()

    def an_account(self, **metadata: str | bool) -> ConnectedAccount:
        made: ConnectedAccount = self.fleet.write(
            accounts.create, self.here, name="Harbour Hotel", provider="august", custom_metadata=metadata
        )
        return made

    def lock(self, account: ConnectedAccount | None = None, **metadata: str | bool) -> Device:
        given = Settings(connected_account_uid=(account or self.account).uid, custom_metadata=metadata)
        made: Device = self.fleet.write(devices.create, self.here, somebody(), given)[0]
        return made

    # -- reporting --------------------------------------------------------------------------------------------------

    def read(self, lock: Device, *codes: dict[str, Any], complete: bool = True, at: int | None = None) -> CodeReport:
        """Read a report as it is sent; `at` is the lock's time."""
        given = [msgspec.convert(code, GivenCode) for code in codes]
        index = partial(self.pins.index, lock.uid)
        return read_report(complete, self.time.wall if at is None else at, given, index)

    def plan(self, lock: Device, report: CodeReport) -> Plan:
        return actions.plan(self.fleet.read(actions.survey, self.here, lock.uid), report)

    def apply(self, lock: Device, plan: Plan) -> Counts | Late | Postponed:
        outcome: Counts | Late | Postponed = self.fleet.write(actions.apply, self.here, lock.uid, plan, self.pins)
        return outcome

    def begin(self, lock: Device, plan: Plan, uid: bytes | None = None) -> Job | Late | Postponed:
        """Keep a report and begin its job, as over HTTP."""
        uid = uid or new_uid()
        for number, part in enumerate(sealed_parts(SEALER, uid, plan.report)):
            self.fleet.write(jobs.put_input, self.here, uid, number, part)
        outcome: Job | Late | Postponed = self.fleet.write(actions.begin, self.here, lock.uid, plan, uid)
        return outcome

    def report(self, lock: Device, *codes: dict[str, Any], complete: bool = True, at: int | None = None) -> Any:
        """Report as over HTTP: compared anew as often as needed, and left to a job when it is long."""
        self.time.wall += SECOND
        report = self.read(lock, *codes, complete=complete, at=at)
        while True:
            plan = self.plan(lock, report)
            if plan.is_long:
                return self.begin(lock, plan)
            outcome = self.apply(lock, plan)
            if not isinstance(outcome, Postponed):
                return outcome
            if not outcome.comparison_is_stale:
                return self.begin(lock, plan)

    def runner(self) -> Runner:
        kinds = {kind.name: kind for kind in (report_kind(SEALER), FORGETTING, DETACHING)}
        return Runner(self.fleet.store, kinds, nobody_told, pause_seconds=0.0)

    def job(self, job: Job) -> Job:
        found: Job = self.fleet.read(jobs.get, self.here, job.uid)
        return found

    # -- operations -------------------------------------------------------------------------------------------------

    def a_code(self, lock: Device, **fields: Any) -> AccessCode:
        """Let a lock show one code more, in a partial report."""
        before = {code.uid for code in self.codes(lock)}
        self.report(lock, {"externalId": "17", "code": "4711", "name": "Cleaning"} | fields, complete=False)
        (found,) = [code for code in self.codes(lock) if code.uid not in before]
        return found

    def code(self, uid: bytes) -> AccessCode:
        """Return a code as it is now."""
        found: AccessCode = self.fleet.read(actions.get, self.here, uid)
        return found

    def convert(self, code: AccessCode, *, force: bool = False, allowed: bool = False) -> Operation:
        self.time.wall += SECOND
        asked: Operation = self.fleet.write(
            requests.convert, self.here, code.uid, force=force, external_modification_allowed=allowed,
            patience=PATIENCE,
        )  # fmt: skip
        return asked

    def create(self, lock: Device, pin: str | None = "4711", **wish: Any) -> tuple[AccessCode, Operation]:
        self.time.wall += SECOND
        wished = CodeWish(pin=None if pin is None else Secret(pin), **wish)
        made: tuple[AccessCode, Operation] = self.fleet.write(
            requests.create, self.here, lock.uid, wished, self.pins, PATIENCE
        )
        return made

    def update(
        self, code: AccessCode, version: int | None = None, pin: str | None = None, **patch: Any
    ) -> tuple[AccessCode, Operation | None]:
        self.time.wall += SECOND
        wanted = CodePatch(**patch) if pin is None else CodePatch(pin=Secret(pin), **patch)
        changed: tuple[AccessCode, Operation | None] = self.fleet.write(
            requests.update, self.here, code.uid, version, wanted, self.pins, PATIENCE
        )
        return changed

    def remove(self, code: AccessCode, version: int | None = None) -> Operation | None:
        self.time.wall += SECOND
        removed: Operation | None = self.fleet.write(requests.remove, self.here, code.uid, version, PATIENCE)
        return removed

    def take(self, holder: bytes = CONNECTOR, limit: int = 100, **wanted: Any) -> list[Operation]:
        taken: list[Operation] = self.fleet.write(
            operations.take, self.here, Wanted(**wanted), holder=holder, lease=LEASE, limit=limit
        )
        return taken

    def complete(self, operation: Operation | None, holder: bytes = CONNECTOR, **said: Any) -> Operation:
        """Complete an operation, by default with success; `errors` and `warnings` are pairs, or codes alone."""
        assert operation is not None
        self.time.wall += SECOND
        for name in ("errors", "warnings"):
            given = [(one,) if isinstance(one, str) else one for one in said.get(name, ())]
            said[name] = tuple(Said(*one) for one in given)
        completion = Completion(outcome=said.pop("outcome", "failed" if said["errors"] else "succeeded"), **said)
        ended: Operation = self.fleet.write(
            completing.complete, self.here, operation.uid, holder, completion, self.pins
        )
        return ended

    def done(self, operation: Operation | None, **said: Any) -> Operation:
        """Take everything there is to do, and complete this."""
        self.take()
        return self.complete(operation, **said)

    def expire(self) -> int:
        """Let operations run out of time, as the platform's chore does; return in how many turns."""
        turns = 0
        while self.here.tenant_id in self.fleet.read(operations.overdue_tenants):
            self.fleet.write(completing.expire, of_system(self.here))
            turns += 1
        return turns

    def silent(self, operation: Operation) -> Operation:
        """Let an operation run out of its time."""
        self.time.wall = operation.deadline
        self.expire()
        return self.operation(operation.uid)

    def operation(self, uid: bytes) -> Operation:
        found: Operation = self.fleet.read(operations.get, self.here, uid)
        return found

    def managed_code(self, lock: Device, **wish: Any) -> AccessCode:
        """Create a code that the lock then holds."""
        code, operation = self.create(lock, **wish)
        self.done(operation)
        return self.code(code.uid)

    # -- what is known ----------------------------------------------------------------------------------------------

    def codes(self, lock: Device) -> list[AccessCode]:
        page, last = self.fleet.read(actions.list_codes, self.here, CodeFilter(device_uids=(lock.uid,)), b"", 10_000)
        assert last is None
        return list(page)

    def names(self, lock: Device) -> list[str | None]:
        return [code.external_id for code in self.codes(lock)]

    def manage(self, code: AccessCode, **fields: Any) -> AccessCode:
        """Make a code a managed one, as a conversion would."""
        managed = msgspec.structs.replace(code, managed=True, **fields)
        self.fleet.write(store.update_code, self.here, managed)
        return managed

    def pin_of(self, code: AccessCode) -> str | None:
        opened = self.pins.open(code.uid, code.sealed_pin)
        return None if opened is None else opened.reveal()

    # -- the log ----------------------------------------------------------------------------------------------------

    def told(self, scope: Scope | None = None) -> list[dict[str, Any]]:
        """Return the bodies of all events about access codes, after holding each against catalogue and envelope.

        What is different in each, its own id and time of record, is checked here and left out.
        """
        scope = scope or self.here
        found = []
        for event in whole_log(self.fleet.store, scope):
            envelope = event.envelope
            if envelope.type is None or not envelope.type.startswith(PREFIX):
                continue
            assert event.payload is not None
            CATALOG.check(envelope.type, event.payload)
            body = msgspec.json.decode(event.payload)
            assert body["event_type"] == envelope.type
            assert body.pop("created_at") == print_milliseconds(event.recorded_at)
            assert body.pop("event_id") == str(envelope.id)
            assert body.pop("workspace_id") == as_uuid(bytes.fromhex(scope.tenant_uid))
            assert (envelope.target_entity_type, envelope.target_entity_id) == (
                "AccessCode",
                plain(body["access_code_id"]),
            )
            assert {(one.type, one.id) for one in envelope.related_entities} == {
                ("Device", plain(body["device_id"])), ("ConnectedAccount", plain(body["connected_account_id"])),
            }  # fmt: skip
            at = event.recorded_at if envelope.occurred_at is None else envelope.occurred_at
            assert body["occurred_at"] == print_milliseconds(at)
            found.append(body)
        return found

    def history(self) -> list[tuple[str, str]]:
        """Return (type without its common beginning, code) of all events about access codes."""
        return [(body["event_type"].removeprefix(PREFIX), plain(body["access_code_id"])) for body in self.told()]

    def types(self) -> list[str]:
        return [type for type, _ in self.history()]

    def balance(self) -> set[str]:
        """Return the unmanaged codes that were created and not removed, after checking that each was so in turn."""
        present: set[str] = set()
        for type, uid in self.history():
            if type == "unmanaged.created":
                assert uid not in present
                present.add(uid)
            elif type == "unmanaged.removed":
                present.remove(uid)
        return present


def plain(uuid: str) -> str:
    """Return a uid as targets have it."""
    return uuid.replace("-", "")
