"""`/v1/jobs`: watching and cancelling longer work, and the report of its rows as JSON and as a table."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.ids import new_uid
from heliograph.jobs import actions
from heliograph.jobs.model import JobRow, guarded, unguarded
from heliograph.tenancy.access import as_system

if TYPE_CHECKING:
    from heliograph.jobs.model import Job
    from heliograph.storage.engine import Transaction
    from tests.http.inprocess import Api

KIND = "recipe-import"
"""A kind that the platform has."""

HOUR = 3_600_000_000
READ, CHANGE = "read recipe.tenant", "create recipe.tenant"
CELLS = [
    {"brand": "Acme", "serial": "=1+1", "name": 'a "quoted", name'},
    {"brand": "@cme", "serial": "-5", "name": "two\nlines"},
    {"brand": "'=x", "serial": "", "name": "\tTab"},
    {"brand": "Größe", "serial": "+49", "name": "'plain"},
]


def in_tenant(api: Api, tenant: str, act: Any) -> Any:
    """Run an action in a tenant, as the platform itself."""

    def step(tx: Transaction) -> Any:
        row = tx.one("select id from tenant where uid = :uid", uid=bytes.fromhex(tenant))
        assert row is not None
        return act(tx, as_system(tx, row[0]))

    return api.run(step)


def test_work_that_must_be_finished_is_not_cancelled(api: Api, tenant: str) -> None:
    uid = in_tenant(api, tenant, lambda tx, scope: actions.start(tx, scope, "detach", {"kind": "tag", "uid": "00"})).uid
    answer = api.post(f"/v1/jobs/{uid.hex()}/cancel?tenantUid={tenant}", api.root, None)
    assert (answer.status, "cannot be cancelled" in answer.json()["detail"]) == (409, True)


def started(api: Api, tenant: str, state: str = "succeeded") -> str:
    """Make a job with its report, which nothing does: it is over, held elsewhere, or waits for one that is."""

    def act(tx: Transaction, scope: Any) -> Job:
        parameters = {"columns": ["name", "brand", "serial"]}
        job = actions.start(tx, scope, KIND, parameters, total=4, uid=new_uid())
        if state == "succeeded":
            actions.finish(tx, scope, job, "succeeded")
        elif state == "running":
            held = "update job set state = 'running', lease_until = :until where uid = :uid"
            tx.run(held, until=tx.now + HOUR, uid=job.uid)
        errors = [{"pointer": "/brand", "rule": "brand", "message": "No."}, {"rule": "mac", "message": "Wrong."}]
        rows = [
            JobRow(n, "rejected" if n % 2 else "created", {"cells": cells, "errors": errors if n % 2 else []})
            for n, cells in enumerate(CELLS, 1)
        ]
        actions.report(tx, scope, job.uid, rows)
        return job

    return str(in_tenant(api, tenant, act).uid.hex())


def test_jobs_are_listed_in_pages_by_state_and_kind(api: Api, tenant: str, owner: str) -> None:
    uids = [started(api, tenant) for _ in range(3)]
    found: list[str] = []
    cursor = ""
    for _ in uids:
        page = api.get(f"/v1/jobs?state=succeeded&state=failed&kind={KIND}&limit=1{cursor}", owner).json()
        found += [job["uid"] for job in page["data"]]
        cursor = f"&cursor={page['nextCursor']}"
    assert found == uids
    assert page["nextCursor"] is None
    assert api.get("/v1/jobs?state=running", owner).json() == {"data": [], "nextCursor": None}
    assert api.get("/v1/jobs?kind=nonsense", owner).faults() == [("query/kind", "unknown-kind")]
    assert api.get("/v1/jobs?state=odd", owner).faults() == [("query/state", "value")]


def test_job_is_shown_with_its_version(api: Api, tenant: str, owner: str) -> None:
    uid = started(api, tenant)
    answer = api.get(f"/v1/jobs/{uid}", owner)
    shown = answer.json()
    assert {name: shown[name] for name in ("uid", "kind", "state", "done", "total", "error", "cancelRequested")} == {
        "uid": uid, "kind": KIND, "state": "succeeded", "done": 0, "total": 4, "error": None, "cancelRequested": False,
    }  # fmt: skip
    assert answer.headers["etag"] == '"v2"'


def test_finished_job_cannot_be_cancelled(api: Api, tenant: str, owner: str) -> None:
    assert api.request("POST", f"/v1/jobs/{started(api, tenant)}/cancel", owner).status == 409


def test_waiting_job_is_cancelled_at_once_and_again_nothing_changes(api: Api, tenant: str, owner: str) -> None:
    started(api, tenant, state="running")
    uid = started(api, tenant, state="queued")
    answers = [api.request("POST", f"/v1/jobs/{uid}/cancel", owner) for _ in range(2)]
    assert [(answer.status, answer.json()["state"]) for answer in answers] == [(200, "cancelled")] * 2
    assert answers[0].headers["etag"] == answers[1].headers["etag"]


def test_running_job_is_asked_to_end(api: Api, tenant: str, owner: str) -> None:
    uid = started(api, tenant, state="running")
    assert api.get(f"/v1/jobs/{uid}", owner).json()["cancelRequested"] is False
    answer = api.request("POST", f"/v1/jobs/{uid}/cancel", owner)
    assert (answer.json()["state"], answer.json()["cancelRequested"]) == ("running", True)


@pytest.mark.parametrize(
    ("method", "place"), [("GET", ""), ("GET", "/{uid}"), ("GET", "/{uid}/rows"), ("POST", "/{uid}/cancel")]
)
def test_permission_is_that_of_the_kind(api: Api, tenant: str, method: str, place: str) -> None:
    path = "/v1/jobs" + place.format(uid=started(api, tenant))
    needed = READ if method == "GET" else CHANGE
    for permission in (READ, CHANGE):
        answer = api.request(method, path, api.key(tenant, permission))
        if permission == needed:
            assert answer.status in (200, 409)
        else:
            assert answer.status == 403
            assert re.search(r"'\w+ \w+\.tenant'", answer.json()["detail"])
    assert api.request(method, path, api.key(tenant, "create event.tenant")).status == 403


def test_job_of_another_tenant_does_not_exist(api: Api, tenant: str, owner: str) -> None:
    uid = started(api, api.tenant())
    for method, path in (("GET", ""), ("GET", "/rows"), ("POST", "/cancel")):
        assert api.request(method, f"/v1/jobs/{uid}{path}", owner).status == 404
    assert api.get("/v1/jobs/" + "0" * 32, owner).status == 404
    assert api.get("/v1/jobs/nonsense", owner).faults() == [("path/uid", "uid")]


def test_rows_are_paged_by_outcome_as_json(api: Api, tenant: str, owner: str) -> None:
    path = f"/v1/jobs/{started(api, tenant)}/rows"
    first = api.get(f"{path}?outcome=rejected&limit=1", owner).json()
    assert [row["number"] for row in first["data"]] == [1]
    assert first["data"][0]["detail"]["cells"] == CELLS[0]
    cursor = first["nextCursor"]
    second = api.get(f"{path}?outcome=rejected&limit=1&cursor={cursor}", owner).json()
    assert ([row["number"] for row in second["data"]], second["nextCursor"]) == ([3], None)
    assert api.get(f"{path}?limit=1&cursor={cursor}", owner).faults() == [("query/cursor", "cursor-mismatch")]
    both = api.get(f"{path}?outcome=rejected&outcome=created", owner).json()
    assert [row["number"] for row in both["data"]] == [1, 2, 3, 4]
    many = "&".join(f"outcome={n}" for n in range(21))
    assert api.get(f"{path}?{many}", owner).faults() == [("query/outcome", "max-items")]


def test_rows_as_a_table_can_be_corrected_and_sent_again(api: Api, tenant: str, owner: str) -> None:
    target: str | None = f"/v1/jobs/{started(api, tenant)}/rows?format=csv&limit=3"
    tables: list[list[list[str]]] = []
    while target is not None:
        answer = api.get(target, owner)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        tables.append(list(csv.reader(io.StringIO(answer.body.decode(), newline=""))))
        link = re.fullmatch('<(.+)>; rel="next"', answer.headers.get("link", ""))
        target = link[1] if link else None
    assert [len(table) for table in tables] == [4, 2]
    header = ["name", "brand", "serial", "heliograph_row", "heliograph_outcome", "heliograph_reason"]
    assert all(table[0] == [*header, "heliograph_message", "heliograph_text"] for table in tables)
    rows = [row for table in tables for row in table[1:]]
    assert not [cell for row in rows for cell in row if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]
    sent = [dict(zip(header[:3], map(unguarded, row[:3]), strict=True)) for row in rows]
    assert sent == CELLS
    assert [row[3:] for row in rows[:2]] == [
        ["1", "rejected", "brand; mac", "No. Wrong.", ""], ["2", "created", "", "", ""],
    ]  # fmt: skip


def test_table_has_each_cell_in_quotes(api: Api, tenant: str, owner: str) -> None:
    body = api.get(f"/v1/jobs/{started(api, tenant)}/rows?format=csv", owner).body.decode()
    # Whoever separates at semicolons must not find a cell that begins behind one.
    assert body.splitlines()[0].startswith('"name","brand","serial","heliograph_row",')
    assert all(line.startswith('"') and line.endswith('"') for line in body.split("\r\n")[:-1])


@given(st.text("'=+-@\t\r\n\uff1d\uff0b\uff0d\uff20a", max_size=5) | st.text(max_size=5))
def test_guarded_cell_is_no_formula_and_can_be_restored(cell: str) -> None:
    assert guarded(cell)[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"}
    assert unguarded(guarded(cell)) == cell
