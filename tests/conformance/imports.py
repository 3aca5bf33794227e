"""Files that a test imports into an organization, and all that can be seen of it afterwards."""

from __future__ import annotations

import csv
import io
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from heliograph.devices.model import Identity
from heliograph.ids import new_uid
from heliograph.jobs import actions as jobs
from heliograph.jobs.events import EVENTS as JOB_EVENTS
from heliograph.jobs.runner import Runner
from heliograph.provisioning import actions
from heliograph.provisioning.columns import Options
from heliograph.provisioning.importing import IMPORT, PART_BYTES, import_kind, seal_part
from heliograph.provisioning.importrows import Order
from heliograph.provisioning.model import RecipeFilter
from heliograph.provisioning.spreadsheet import HEAD_BYTES, sniff
from heliograph.references import actions as references
from heliograph.tenancy.actions import add_account
from tests.conformance.provisioned import SEALER, Fleet, Told
from tests.conformance.stores import whole_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliograph.jobs.model import Job
    from heliograph.jobs.runner import TellOfError
    from heliograph.provisioning.recipes import Demands, Recipe
    from heliograph.storage.engine import Transaction
    from heliograph.storage.store import Store

JOB_TYPES = {definition.type for definition in JOB_EVENTS}

COLUMNS = ("brand", "serial number", "mac address", "device name", "model", "tags", "policy", "location")
UNTOUCHED = (
    "recipe", "recipe_tag", "recipe_identifier", "device", "device_tag", "device_identifier", "device_token",
    "registration_attempt", "claim_try", "tag", "policy", "location", "dedup",
)  # fmt: skip
"""The tables in which a dry run leaves no trace."""


def nobody_told(kind: str, detail: str) -> None:
    raise AssertionError(f"{kind}: {detail}")


class Line(NamedTuple):
    """What became of one row."""

    number: int
    outcome: str
    detail: dict[str, Any]


def table(rows: Iterable[dict[str, str]], *columns: str) -> bytes:
    """Write rows as CSV, with the usual columns and those beside them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, (*COLUMNS, *columns), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


class ImportDesk(Fleet):
    """Two organizations; files are imported into `here`."""

    def __init__(self, store: Store, demands: Demands | None = None) -> None:
        super().__init__(store)
        grants = [(self.here, f"{verb} recipe.tenant") for verb in ("create", "update", "confirm")]
        importer = self.write(add_account, self.here, "importer", grants)
        actor = msgspec.structs.replace(self.here.actor, account_id=importer.id, uid=importer.uid.hex())
        self.here = msgspec.structs.replace(self.here, actor=actor)
        self.forget()
        self.kind = import_kind(demands or {}, SEALER)

    def runner(self, tell: TellOfError = nobody_told) -> Runner:
        return Runner(self.store, {IMPORT: self.kind}, tell, pause_seconds=0.0)

    def begin(self, content: bytes, mapping: dict[str, str] | None = None, **order: Any) -> bytes:
        """Keep a file and begin its job, as over HTTP."""
        layout, uid = sniff(content[:HEAD_BYTES], Options(mapping=mapping or {})), new_uid()
        for part, start in enumerate(range(0, len(content), PART_BYTES)):
            sealed = seal_part(SEALER, uid, part, content[start : start + PART_BYTES])
            self.write(jobs.put_input, self.here, uid, part, sealed)
        parameters = Order(layout=layout, size=len(content), **{"may_confirm": True, **order})
        self.write(jobs.start, self.here, IMPORT, msgspec.to_builtins(parameters), total=len(content), uid=uid)
        return uid

    def job(self, uid: bytes) -> Job:
        found: Job = self.read(jobs.get, self.here, uid)
        return found

    def report(self, uid: bytes) -> list[Line]:
        rows, more = self.read(jobs.rows, self.here, uid, None, 0, 10_000)
        assert more is None
        return [Line(row.number, row.outcome, row.detail) for row in rows]

    def take(self, content: bytes, mapping: dict[str, str] | None = None, **order: Any) -> list[Line]:
        """Import a file and return what became of its rows; each is told of once, and the job's sums agree."""
        uid = self.begin(content, mapping, **order)
        self.runner().run_pending()
        job, report = self.job(uid), self.report(uid)
        assert (job.state, job.error) == ("succeeded", None)
        assert job.done == job.total == len(content)
        assert [line.number for line in report] == list(range(1, len(report) + 1))
        outcomes = [line.outcome for line in report]
        assert job.result["outcomes"] == {name: outcomes.count(name) for name in set(outcomes)}
        assert job.result["rows"] == len(report)
        return report

    def outcomes(self, content: bytes, **order: Any) -> list[str]:
        return [line.outcome for line in self.take(content, **order)]

    def recipes(self) -> list[Recipe]:
        found, more = self.read(actions.list_recipes, self.here, RecipeFilter(), b"", 10_000)
        assert more is None
        return list(found)

    def failed(self, who: Identity, expected: Identity | None = None) -> Recipe:
        """Make a recipe, for what was expected of its device, that met it while its policy was gone."""
        policy = self.reference("policy")
        recipe = self.recipe(expected or who, policy_uid=policy)
        self.write(references.delete, self.here, "policy", policy, None)
        self.register(who)
        return self.present(recipe)

    def news(self) -> list[Told]:
        """Return what the log was told since the last time, but for the jobs themselves."""
        return [told for told in self.told() if told.type not in JOB_TYPES]

    def dump(self) -> dict[str, list[Any]]:
        """Return all that the organization has, but for jobs, and what its log says, but for them."""

        def read(tx: Transaction, table: str) -> list[Any]:
            return sorted(tx.all(f"select * from {table} where tenant_id = :t", t=self.here.tenant_id), key=repr)  # noqa: S608 - names of our own

        tables = {table: self.store.read(partial(read, table=table)) for table in UNTOUCHED}
        events = [event for event in whole_log(self.store, self.here) if event.envelope.type not in JOB_TYPES]
        return tables | {"events": events}


def corrected(rows: Sequence[dict[str, str]], **changes: str) -> list[dict[str, str]]:
    """Return rows of a report with cells replaced."""
    return [row | {name: text for name, text in changes.items() if name in row} for row in rows]
