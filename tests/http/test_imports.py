"""`/v1/provisioning-recipes/import`: a file becomes a job and its report, and what is no such file leaves nothing."""

from __future__ import annotations

import csv
import gzip
import io
from typing import TYPE_CHECKING, Any

import pytest

from heliograph.provisioning.importing import PART_BYTES
from tests.conftest import StoreUrl
from tests.http.inprocess import Api, settings_for
from tests.http.test_devices import Shop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heliograph.storage.engine import Transaction
    from tests.http.inprocess import Answer

IMPORT = "/v1/provisioning-recipes/import"
CSV, JSONL = ("content-type", "text/csv; charset=utf-8"), ("content-type", "application/x-ndjson")
FILE = b"brand,serial number\r\nSamsung,SN-1\r\n"


class Desk(Shop):
    """An organization with an owner's key, its recipes and its imports."""

    def send(
        self, body: bytes | Sequence[bytes], query: str = "", key: str | None = None, headers: Any = (CSV,)
    ) -> Answer:
        return self.api.request("POST", f"{IMPORT}?{query}", key or self.key, body, headers)

    def refused(self, body: bytes | Sequence[bytes], status: int, query: str = "", **more: Any) -> Answer:
        """Send what must be refused, and check that neither file nor event is left."""
        before = self.api.head(self.uid)
        answer = self.send(body, query, **more)
        assert answer.status == status, answer
        assert (self.parts_kept(), self.api.head(self.uid)) == (0, before)
        return answer

    def parts_kept(self) -> int:
        """Return how many parts of files the platform has."""

        def count(tx: Transaction) -> int:
            row = tx.one("select count(*) from job_input")
            assert row is not None
            return int(row[0])

        return self.api.platform.store.read(count)

    def finished(self, answer: Answer) -> Any:
        """Do the work that waits, and return the job that was begun."""
        assert answer.status == 202, answer
        uid = answer.json()["uid"]
        self.api.platform.runner.run_pending()
        job = self.api.get(f"/v1/jobs/{uid}", self.key).json()
        assert job["state"] == "succeeded", job
        return job

    def serials(self) -> list[str]:
        answer = self.api.get("/v1/provisioning-recipes", self.key).json()
        return [recipe["serialNumber"] for recipe in answer["data"]]


def _idle(api: Api) -> None:
    """Leave the jobs to the test: otherwise they would be done at any moment."""
    api.platform.runner.stop()
    api.platform.runner._stop.clear()


@pytest.fixture(scope="module")
def api(api: Api) -> Api:
    _idle(api)
    return api


@pytest.fixture
def desk(api: Api) -> Desk:
    return Desk(api)


# -- what works -----------------------------------------------------------------------------------------------------


def test_file_becomes_recipes_by_a_job_that_tells_of_each_row(desk: Desk) -> None:
    answer = desk.send(b"\xef\xbb\xbfSerial No;Make;Note\nSN-1;Samsung;x\nSN-2;;y\n")
    assert answer.json()["state"] == "queued"
    assert answer.json()["parameters"]["layout"]["mapping"] == {"Serial No": "serialNumber", "Make": "brand"}
    job = desk.finished(answer)
    assert job["result"] == {
        "dryRun": False, "rows": 2, "outcomes": {"created": 1, "rejected": 1},
        "columns": ["Serial No", "Make", "Note"], "ignoredColumns": ["Note"],
    }  # fmt: skip
    assert desk.serials() == ["SN-1"]
    rows = desk.api.get(f"/v1/jobs/{job['uid']}/rows", desk.key).json()["data"]
    assert [(row["number"], row["outcome"], row["detail"]["line"]) for row in rows] == [
        (1, "created", 2), (2, "rejected", 3),
    ]  # fmt: skip
    page = desk.api.get(f"/v1/jobs/{job['uid']}/rows?outcome=rejected&format=csv", desk.key)
    assert page.headers["content-type"].startswith("text/csv")
    [line] = csv.DictReader(io.StringIO(page.body.decode()))
    assert (line["Serial No"], line["Note"], line["heliograph_reason"]) == ("SN-2", "y", "required")
    corrected = page.body.replace(b'"SN-2","",', b'"SN-2","LG",')
    assert desk.finished(desk.send(corrected))["result"]["outcomes"] == {"created": 1}


def test_dry_run_makes_no_recipe(desk: Desk) -> None:
    job = desk.finished(desk.send(FILE, "dryRun=true"))
    assert (job["result"]["outcomes"], desk.serials()) == ({"created": 1}, [])


def test_file_comes_in_parts_of_any_size(desk: Desk) -> None:
    lines = [b'{"brand":"LG","serialNumber":"SN-%d","deviceName":"%s"}\n' % (n, b"x" * 200) for n in range(4000)]
    content = b"".join(lines)
    assert len(content) > 3 * PART_BYTES
    parts = [content[n : n + 70_001] for n in range(0, len(content), 70_001)]
    answer = desk.send(parts, "dryRun=true", headers=(JSONL,))
    assert desk.parts_kept() == -(-len(content) // PART_BYTES)
    assert desk.finished(answer)["result"]["outcomes"] == {"created": 4000}
    assert desk.parts_kept() == 0


def test_columns_are_mapped_as_the_query_says(desk: Desk) -> None:
    content = b"Typ,Nummer,Serial\nLG,SN-1,other\n"
    job = desk.finished(desk.send(content, "map=Typ:brand&map=Nummer:serialNumber&map=Serial:-"))
    assert (job["result"]["ignoredColumns"], desk.serials()) == (["Serial"], ["SN-1"])


def test_cancelling_a_job_that_waits_removes_its_file(desk: Desk) -> None:
    uid = desk.send(FILE).json()["uid"]
    assert desk.parts_kept() == 1
    answer = desk.api.post(f"/v1/jobs/{uid}/cancel", desk.key, None)
    assert (answer.status, answer.json()["state"], desk.parts_kept()) == (200, "cancelled", 0)


# -- again ----------------------------------------------------------------------------------------------------------


def test_repeat_with_the_same_key_is_answered_with_the_same_job(desk: Desk) -> None:
    headers = (CSV, ("idempotency-key", "once"))
    first = desk.send(FILE, headers=headers)
    second = desk.send([FILE[:7], FILE[7:]], headers=headers)
    assert (first.status, second.status, second.body) == (202, 202, first.body)
    assert desk.parts_kept() == 1
    assert desk.finished(first)["result"]["rows"] == 1
    for body, query in ((FILE + b"LG,SN-2\r\n", ""), (FILE, "dryRun=true")):
        assert desk.refused(body, 409, query, headers=headers).json()["status"] == 409
    assert len(desk.api.get("/v1/jobs", desk.key).json()["data"]) == 1


# -- what is no such file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "empty"),
        (b"\r\n \r\n", "empty"),
        (b"Samsung,SN-1\r\nLG,SN-2\r\n", "brand-column"),
        (b"brand,name\nLG,x\n", "identifier-column"),
        (b",,\nLG,SN-1,\n", "header"),
        (b"brand,serial,serial\n", "duplicate-column"),
        (b"brand,serial,serial number\n", "duplicate-field"),
        (FILE.decode().encode("utf-16"), "encoding"),
        (FILE.decode().encode("utf-32"), "encoding"),
        ("brand,serial,Gerät\n".encode("latin-1"), "encoding"),
        (b"brand,serial\0\n", "encoding"),
        (b",".join(b"column %d" % n for n in range(100_000)), "too-many-columns"),
        (b'"brand,serial\n' + b"x" * 70_000, "quote"),
    ],
)
def test_file_without_a_usable_header_is_refused(desk: Desk, body: bytes, rule: str) -> None:
    assert desk.refused(body, 400).faults() == [("", rule)]
    assert desk.refused([body[:9], body[9:]], 400).faults() == [("", rule)]


def test_json_array_is_no_json_lines(desk: Desk) -> None:
    assert desk.refused(b'[{"brand":"LG"}]', 400, headers=(JSONL,)).faults() == [("", "jsonl")]


@pytest.mark.parametrize(
    ("query", "place", "rule"),
    [
        ("map=brand", "query/map", "mapping"),
        ("map=:brand", "query/map", "mapping"),
        ("map=Typ:brand", "query/map", "unknown-column"),
        ("map=brand:colour", "query/map", "unknown-field"),
        ("map=brand:model&map=brand:brand", "query/map", "duplicate-column"),
        ("delimiter=ab", "query/delimiter", "delimiter"),
        ("delimiter=x", "query/delimiter", "delimiter"),
        ("delimiter=%22", "query/delimiter", "delimiter"),
        ("delimiter=", "query/delimiter", "value"),
        ("existing=replace", "query/existing", "value"),
        ("dryRun=perhaps", "query/dryRun", "value"),
        ("format=xlsx", "query/format", "value"),
        ("format=jsonl", "query/format", "contradiction"),
        ("sheet=1", "query/sheet", "unknown-parameter"),
    ],
)
def test_query_that_makes_no_sense_is_refused(desk: Desk, query: str, place: str, rule: str) -> None:
    assert desk.refused(FILE, 400, query).faults() == [(place, rule)]


def test_other_content_type_is_refused(desk: Desk) -> None:
    excel = ("content-type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    for headers in ((excel,), (("content-type", "application/json"),), ()):
        assert desk.refused(FILE, 415, headers=headers).faults() == [("header/content-type", "media-type")]


def test_compressed_file_is_refused_before_it_is_read(desk: Desk) -> None:
    headers = (CSV, ("content-encoding", "gzip"))
    answer = desk.refused(gzip.compress(FILE), 415, headers=headers)
    assert answer.faults() == [("header/content-encoding", "content-encoding")]
    assert desk.refused(gzip.compress(FILE), 400).faults() == [("", "file-format")]


def test_file_over_the_limit_is_refused_however_it_is_sent(tmp_path: Path) -> None:
    limit = 3 * PART_BYTES
    api = Api(settings_for(StoreUrl(None, tmp_path), import_bytes=limit))
    api.start()
    try:
        desk = Desk(api)
        content = FILE + b"x" * (limit - len(FILE) + 1)
        sent = [content[n : n + 50_000] for n in range(0, len(content), 50_000)]
        assert desk.refused(sent, 413).json()["type"] == "/problems/too-large"
        assert desk.refused(content, 413).json()["status"] == 413
        assert desk.send(content[:-1]).status == 202
    finally:
        api.stop()


def test_client_that_leaves_in_the_middle_leaves_nothing(desk: Desk) -> None:
    headers = [(b"authorization", f"Bearer {desk.key}".encode()), (b"content-type", b"text/csv")]
    scope = {
        "type": "http", "method": "POST", "path": IMPORT, "raw_path": IMPORT.encode(), "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 1), "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 80), "root_path": "",
    }  # fmt: skip
    coming = iter([FILE, b"x" * PART_BYTES, b"x" * PART_BYTES])
    kept_before_the_end: list[int] = []
    said: list[Any] = []

    async def receive() -> Any:
        part = next(coming, None)
        if part is None:
            kept_before_the_end.append(desk.parts_kept())
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(message: Any) -> None:
        said.append(message)

    before = desk.api.head(desk.uid)
    desk.api._on_loop(desk.api.edge(scope, receive, send))
    assert (said[0]["status"], kept_before_the_end) == (503, [2])
    assert (desk.parts_kept(), desk.api.head(desk.uid)) == (0, before)


# -- who may --------------------------------------------------------------------------------------------------------


def test_company_has_no_recipes_to_import(api: Api) -> None:
    key = api.key(api.company, "owner")
    answer = api.request("POST", IMPORT, key, FILE, [CSV])
    assert (answer.status, answer.json()["type"]) == (409, "/problems/conflict")


def test_import_needs_the_permission_to_create_and_to_update_the_one_to_update(desk: Desk) -> None:
    reader = desk.api.key(desk.uid, "read recipe.tenant")
    maker = desk.api.key(desk.uid, "create recipe.tenant", "read recipe.tenant")
    assert "create recipe.tenant" in desk.refused(FILE, 403, key=reader).json()["detail"]
    assert "update recipe.tenant" in desk.refused(FILE, 403, "existing=update", key=maker).json()["detail"]
    content = b"brand,serial,confirmed\nLG,SN-1,yes\nLG,SN-2,no\n"
    assert desk.finished(desk.send(content, key=maker))["result"]["outcomes"] == {"created": 1, "rejected": 1}
    confirmer = desk.api.key(desk.uid, "create recipe.tenant", "confirm recipe.tenant")
    assert desk.finished(desk.send(content, key=confirmer))["result"]["outcomes"] == {"created": 1, "unchanged": 1}


def test_stranger_cannot_import(desk: Desk) -> None:
    stranger = Desk(desk.api)
    assert desk.refused(FILE, 404, f"tenantUid={desk.uid}", key=stranger.key).json()["status"] == 404
    assert desk.refused(FILE, 401, key="hg_nobody").json()["status"] == 401
