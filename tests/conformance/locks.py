"""Locks of an organization, what they report of their access codes, and all that can be seen of it afterwards."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from heliograph.access_codes import actions, store
from heliograph.access_codes.actions import Plan, Postponed
from heliograph.access_codes.applying import Counts
from heliograph.access_codes.forgetting import FORGETTING
from heliograph.access_codes.model import AccessCode, CodeFilter, CodeReport, GivenCode, read_report
from heliograph.access_codes.pins import Pins
from heliograph.access_codes.reporting import report_kind, sealed_parts
from heliograph.catalog.system import SYSTEM as CATALOG
from heliograph.connected_accounts import actions as accounts
from heliograph.devices import actions as devices
from heliograph.devices.model import Device, Settings
from heliograph.ids import as_uuid, new_uid
from heliograph.jobs import actions as jobs
from heliograph.jobs.model import Job
from heliograph.jobs.runner import Runner
from heliograph.provisioning.releasing import DETACHING
from heliograph.tenancy.actions import add_account
from heliograph.times import print_milliseconds
from tests.conformance.provisioned import SEALER, Fleet, somebody
from tests.conformance.stores import whole_log

if TYPE_CHECKING:
    from heliograph.access_codes.actions import Late
    from heliograph.connected_accounts.model import ConnectedAccount
    from heliograph.storage.store import Store
    from heliograph.tenancy.model import Scope
    from tests.conformance.stores import HandClock

SECOND = 1_000_000
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
