"""PINs stay secret: what is given in every place that takes one is in nothing that the program writes or says."""

from __future__ import annotations

import base64
import hashlib
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from heliograph.operations.model import Completion, Said
from tests.access_codes.talkative import STUMBLE
from tests.server import SAFETY_SECONDS, Server
from tests.whole_log import BEGINNING, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StoreUrl
    from tests.server import Response

FOUND, MANAGED, CHANGED = "83610472951", "19407385260", "56028391747"
"""Digits that nothing else contains: of a code that a lock shows, of one made here, and of that one when changed."""

CANARIES = (FOUND, MANAGED, CHANGED)
TALKATIVE = (sys.executable, "-m", "tests.access_codes.talkative")
CODES, OPERATIONS = "/v1/access-codes", "/v1/device-operations"
REPORT = {"complete": False, "codes": [{"externalId": "1", "code": FOUND}]}


class House:
    """A lock, its owner and its connector; all that they were answered is kept."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.said: list[tuple[str, bytes]] = []
        """What was answered, but for the answers that are there to show a PIN."""
        (self.tenant,) = [
            one["uid"] for one in self.ask("GET", "/v1/tenants").json["data"] if one["kind"] == "organization"
        ]
        grants = [{"grant": "connector", "tenantUid": self.tenant}]
        self.connector = self.ask("POST", "/v1/keys", {"name": "connector", "grants": grants}).json["token"]
        account = {"name": "House", "provider": "august"}
        self.account = self.ask("POST", "/v1/connected-accounts", account).json["uid"]
        self.lock = self.new_lock("1")

    def new_lock(self, serial: str) -> str:
        body = {"brand": "Yale", "serialNumber": serial, "connectedAccountUid": self.account}
        return str(self.ask("POST", "/v1/devices", body).json["uid"])

    def ask(self, method: str, path: str, body: Any = None, *, shows: str = "", **more: Any) -> Response:
        """Ask and keep the answer; one that `shows` a PIN must, and is not kept."""
        answer = self.server.request(method, path, body=body, **more)
        if shows:
            assert shows.encode() in answer.body, answer
        else:
            self.said.append((f"{method} {path} {body}", str(answer.headers).encode() + answer.body))
        return answer

    def report(self, *codes: Any, lock: str = "", **more: Any) -> Response:
        body = {"complete": False, "codes": list(codes), **more}
        return self.ask("PUT", f"/v1/devices/{lock or self.lock}/access-code-report", body, key=self.connector)

    def code(self, external_id: str | None) -> str:
        found = self.ask("GET", CODES, query={"limit": 1000}).json["data"]
        return str(next(one["uid"] for one in found if one["externalId"] == external_id))

    def job(self, uid: str) -> Any:
        """Wait for the end of a job, and read what became of its rows."""
        deadline = time.monotonic() + SAFETY_SECONDS
        while True:
            found = self.ask("GET", f"/v1/jobs/{uid}").json
            if found["state"] not in ("queued", "running"):
                self.ask("GET", f"/v1/jobs/{uid}/rows")
                return found
            assert time.monotonic() < deadline, found

    def take(self, shows: str = "") -> Any:
        self.ask("HEAD", OPERATIONS, key=self.connector)
        (found,) = self.ask("GET", OPERATIONS, key=self.connector, shows=shows).json["data"]
        return found

    def complete(self, operation: Any, body: Any) -> Response:
        self.ask("GET", f"{OPERATIONS}/{operation['uid']}", key=self.connector)
        path = f"{OPERATIONS}/{operation['uid']}/complete"
        answer = self.ask("POST", path, body, key=self.connector)
        again = self.ask("POST", path, body, key=self.connector)
        assert (again.status, again.body) == (answer.status, answer.body) or answer.status == 500
        self.ask("GET", f"{OPERATIONS}/{operation['uid']}", key=self.connector)
        self.ask("GET", f"{CODES}/{operation['accessCodeUid']}/operations")
        return answer


@pytest.fixture
def house(store_url: StoreUrl, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    server = Server(store_url, {"log_format": "json"})
    server.command = TALKATIVE
    try:
        server.restart()
        yield House(server)
    finally:
        server.stop()


# -- every place that takes a PIN -----------------------------------------------------------------------------------


def reports(house: House) -> None:
    assert house.report({"externalId": "1", "code": CHANGED}).json["discovered"] == 1
    assert house.report(*REPORT["codes"]).json["changed"] == 1  # type: ignore[misc]
    assert house.report({"code": f"1{FOUND}"}, {"name": "neither"}).status == 200
    many = [{"externalId": f"m{n}", "code": f"{FOUND}{n}"} for n in range(150)]
    job = house.job(house.report(*many, {"name": "neither"}).json["uid"])
    assert (job["state"], job["result"]["refused"]) == ("succeeded", 1)


def failing_reports(house: House) -> None:
    assert house.report({"externalId": STUMBLE, "code": FOUND}).status == 500
    many = [{"externalId": f"{STUMBLE}{n}", "code": f"{FOUND}{n}"} for n in range(150)]
    assert house.report(*many).status == 500


def bad_input(house: House) -> None:
    bad: list[dict[str, Any]] = [
        {"code": FOUND, "nonsense": 1}, {"code": int(FOUND)}, {"code": f"{FOUND}x"}, {"code": [FOUND]},
        {"code": FOUND, "startsAt": "soon"}, {"code": FOUND, "endsAt": 1}, {"code": FOUND, "type": FOUND},
        {"code": FOUND, "startsAt": "2026-03-02T09:00:00Z", "endsAt": "2026-03-02T08:00:00Z"},
    ]  # fmt: skip
    unmanaged = f"{CODES}/{house.code('1')}"
    for one in bad:
        assert house.report(one).status == 400
        assert house.ask("POST", CODES, {"deviceUid": house.lock} | one).status == 400
        assert house.ask("PATCH", unmanaged, one).status == 400
    assert house.report({"code": FOUND}, {"code": FOUND}).status == 400
    assert house.report(*REPORT["codes"], lock="0" * 32).status == 404  # type: ignore[misc]
    text = f'{{"deviceUid": "{house.lock}", "code": "{FOUND}"'.encode()
    json_type = {"content-type": "application/json"}
    for body in (text, text + b"}}", text + b', "code": "1"}', text + b', "name": "\xff"}', b'"' + FOUND.encode()):
        assert house.ask("POST", CODES, body, headers=json_type).status == 400
    assert house.ask("POST", CODES, text, headers={"content-type": "text/csv"}).status == 415
    assert house.ask("POST", CODES, {"deviceUid": house.lock, "code": FOUND}, key="hg_wrong").status == 401
    assert house.ask("POST", CODES, {"deviceUid": house.lock, "code": FOUND}, key=house.connector).status == 403
    assert house.ask("PATCH", unmanaged, {"code": FOUND}).status == 409
    assert house.ask("GET", CODES, query={"code": FOUND}).status == 400
    assert house.ask("GET", unmanaged, query={"pin": FOUND}).status == 400
    assert house.ask("GET", f"{CODES}/{FOUND}").status in (400, 404)


def managed_codes(house: House) -> str:
    """Have a code made, changed and changed again; return its uid."""
    new, named = {"deviceUid": house.lock, "code": MANAGED, "name": "Guest"}, {"idempotency-key": "first"}
    made = house.ask("POST", CODES, new, headers=named)
    assert made.status == 202
    assert house.ask("POST", CODES, new, headers=named).body == made.body
    assert house.ask("POST", CODES, new | {"code": CHANGED}, headers=named).status == 409
    assert house.ask("POST", CODES, new).status == 409
    assert house.ask("POST", CODES, new | {"code": CHANGED, "name": STUMBLE}).status == 500
    uid = str(made.json["accessCode"]["uid"])
    told = [{"warningCode": "slow", "message": f"Setting {MANAGED} took long."}]
    operation = house.take(shows=MANAGED)
    assert house.complete(operation, {"outcome": "succeeded", "externalId": STUMBLE}).status == 500
    assert house.complete(operation, {"outcome": "succeeded", "externalId": "2", "warnings": told}).status == 200
    assert house.ask("PATCH", f"{CODES}/{uid}", {"name": STUMBLE, "code": CHANGED}).status == 500
    for outcome in ("failed", "succeeded"):
        assert house.ask("PATCH", f"{CODES}/{uid}", {"code": CHANGED}).status == 202
        assert house.ask("PATCH", f"{CODES}/{uid}", {"code": CHANGED}).status == 202
        assert house.ask("PATCH", f"{CODES}/{uid}", {"code": f"1{CHANGED}"}).status == 409
        operation = house.take(shows=CHANGED)
        assert house.complete(operation, careless(outcome, MANAGED, CHANGED)).status == 200
    assert house.report({"externalId": "2", "code": MANAGED}).json["changed"] == 1
    return uid


def careless(outcome: str, *pins: str) -> dict[str, Any]:
    """Return the words of a connector that puts PINs into them."""
    words = f"The lock refused {' instead of '.join(pins)}."
    body: dict[str, Any] = {"outcome": outcome, "warnings": [{"warningCode": "slow", "message": words}]}
    if outcome == "failed":
        body["errors"] = [{"errorCode": code, "message": words} for code in ("device_rejected", "vendor_code")]
    return body


def conversions(house: House) -> None:
    """Have codes taken over: one in vain, and one whose only name is its PIN."""
    by_id, by_pin = house.code("1"), house.code(None)
    for uid, pin, outcome, shown in (
        (by_id, FOUND, "failed", ""), (by_id, FOUND, "succeeded", ""), (by_pin, f"1{FOUND}", "succeeded", FOUND),
    ):  # fmt: skip
        assert house.ask("POST", f"{CODES}/{uid}/convert", {}).status == 202
        assert house.complete(house.take(shows=shown), careless(outcome, pin)).status == 200


def shown_pins(house: House, managed: str) -> None:
    assert house.ask("GET", f"{CODES}/{managed}", query={"pin": "true"}, shows=MANAGED).status == 200
    assert house.ask("GET", f"{CODES}/{house.code('1')}", query={"pin": "true"}, shows=FOUND).status == 200
    assert house.ask("GET", f"{CODES}/{managed}", query={"pin": "true"}, key=house.connector).status == 403
    assert house.ask("GET", f"{CODES}/{managed}").json["hasPin"]


def seam_dialect(house: House, managed: str) -> None:
    """Ask as Seam's clients do: with the right to read PINs, then without, then wrongly."""
    grants = [{"grant": "integrator", "tenantUid": house.tenant}]
    blind = house.ask("POST", "/v1/keys", {"name": "blind", "grants": grants}).json["token"]
    here, seam = {"device_id": house.lock}, "/seam/access_codes"
    assert house.ask("POST", f"{seam}/get", {"access_code_id": managed}, shows=MANAGED).status == 200
    assert house.ask("GET", f"{seam}/get", query=here | {"code": MANAGED}, shows=MANAGED).status == 200
    assert house.ask("GET", f"{seam}/get", query=here | {"code": MANAGED}, key=blind).status == 403
    made = house.ask("POST", f"{seam}/create", here | {"code": f"2{MANAGED}"}, shows=MANAGED)
    assert made.status == 200, made
    assert house.ask("POST", f"{seam}/get", {"access_code_id": managed}, key=blind).status == 200
    for path in ("access_codes/list", "access_codes/unmanaged/list", "devices/list", "connected_accounts/list"):
        given = here if "codes" in path else {}
        assert house.ask("POST", f"/seam/{path}", given, key=blind).status == 200, path
    assert house.ask("POST", "/seam/events/list", {"since": BEGINNING, "limit": 500}).status == 200
    for path in ("create", "update", "get"):
        for bad in (here | {"code": f"{FOUND}x"}, here | {"code": [FOUND]}, {"code": FOUND, "nonsense": FOUND}):
            assert 400 <= house.ask("POST", f"{seam}/{path}", bad, key=blind).status < 500
            assert 400 <= house.ask("POST", f"{seam}/{path}", bad).status < 500


def readings(house: House) -> None:
    """Read all that the platform tells about itself."""
    tenants = [one["uid"] for one in house.ask("GET", "/v1/tenants").json["data"]]
    for tenant in tenants:
        for format_ in ("record", "wire", "cloudevents"):
            query: dict[str, Any] = {"tenantUid": tenant, "from": BEGINNING, "limit": 1000, "format": format_}
            answer = house.ask("GET", "/v1/events", query=query)
            assert answer.status == 200, answer.body
    for path in ("/v1/jobs", "/v1/devices", "/v1/connected-accounts", "/metrics", "/readyz", "/openapi.json", CODES):
        assert house.ask("GET", path).status in (200, 403), path


# -- looking for it -------------------------------------------------------------------------------------------------


def forms(pin: str) -> Iterator[bytes]:
    """Yield a PIN as it could be found in bytes: written in several ways, and as plain hashes."""
    text = pin.encode()
    yield from (text, text.hex().encode(), text.hex().upper().encode(), pin.encode("utf-16-le"))
    # A number's place in the text decides which base64 it has; the ends depend on its neighbours.
    yield from (base64.b64encode(b"\0" * shift + text)[4 if shift else 0 : -4] for shift in range(3))
    for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"):
        plain = hashlib.new(name, text).digest()
        yield from (plain, plain[:16], plain.hex().encode(), base64.b64encode(plain)[:20])


def assert_silent(places: dict[str, bytes]) -> None:
    found = {
        (place, pin, form[:16]) for pin in CANARIES for form in forms(pin)
        for place, content in places.items() if form in content
    }  # fmt: skip
    assert found == set()


def stored_files(house: House) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in house.server.store.data.rglob("*") if path.is_file()}


def stored_rows(house: House) -> dict[str, bytes]:
    """Return all that is in the tables of a PostgreSQL, each value as its own bytes."""
    url = house.server.store.database_url
    if url is None:
        return {}
    places = {}
    with psycopg.connect(url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = current_schema()").fetchall()
        assert ("access_code",) in tables
        for (table,) in tables:
            rows = connection.execute(sql.SQL("select * from {}").format(sql.Identifier(table))).fetchall()
            places[table] = b"\n".join(
                value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
            )
    assert places["access_code"]
    return places


def assert_nothing_is_stored(house: House) -> None:
    assert_silent(stored_files(house))
    assert_silent(stored_rows(house))


def assert_index_is_blind(house: House) -> None:
    other = house.new_lock("2")
    house.report({"externalId": "other", "code": MANAGED}, lock=other)
    codes, done = rows_of(
        house.server.store,
        "select external_id, pin_index, pin from access_code where external_id in ('2', 'other')",
        "select completion from device_operation where completion is not null",
    )
    (here, index, sealed), (_, index_elsewhere, sealed_elsewhere) = sorted(codes, key=lambda row: str(row[0]))
    assert here == "2"
    assert len({index, index_elsewhere, sealed, sealed_elsewhere}) == 4
    guesses = (MANAGED, house.lock + MANAGED, house.tenant + house.lock + MANAGED)
    for guess in guesses:
        for content in (guess.encode(), b"access code pin" + guess.encode()):
            assert not hashlib.sha256(content).digest().startswith(index)
    # What a connector said may hold a PIN, and whoever reads the database could guess it from a plain hash.
    for outcome in ("failed", "succeeded"):
        said = careless(outcome, MANAGED, CHANGED)
        errors = tuple(Said(one["errorCode"], one["message"]) for one in said.get("errors", ()))
        warnings = tuple(Said(one["warningCode"], one["message"]) for one in said["warnings"])
        completion = Completion(outcome=outcome, errors=errors, warnings=warnings)
        assert (completion.digest(),) not in done


def test_pins_are_in_nothing_that_was_written_or_said(house: House) -> None:
    reports(house)
    failing_reports(house)
    bad_input(house)
    assert_nothing_is_stored(house)
    managed = managed_codes(house)
    conversions(house)
    shown_pins(house, managed)
    seam_dialect(house, managed)
    readings(house)
    assert_index_is_blind(house)
    assert_nothing_is_stored(house)
    house.server.stop()
    assert_nothing_is_stored(house)
    assert_silent({question: answer for question, answer in house.said})
    log = house.server.log
    assert log.count("RuntimeError") >= 5, "nothing failed, so nothing could be given away"
    assert '"level": "debug"' in log
    assert_silent({"log": log.encode(), "output": "\n".join(house.server.output).encode()})
