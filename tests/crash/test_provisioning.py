"""`kill -9` in the middle of imports and registrations: what is told is what there is, and nothing is there twice."""

from __future__ import annotations

import http.client
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.conftest import StoreUrl
from tests.server import SAFETY_SECONDS, Response, Server
from tests.whole_log import Follower, assert_sound, assert_stored_whole, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.server import Client
    from tests.whole_log import Record

ROUNDS = 8
ROWS = 800
CONNECTIONS = 3
MOST_ANSWERS = 150
"""Answers after which a round that counts them is over at the latest."""

DEVICES = 100
"""Devices of each file that register; so few that several connections meet over the same one."""

RECIPES = "/v1/provisioning-recipes"
IMPATIENT = (sys.executable, "-m", "tests.crash.impatient")


def identity(file: int, row: int) -> dict[str, str]:
    """Return what tells one device apart."""
    return {
        "brand": "Samsung",
        "serialNumber": f"FILE{file}-ROW{row}",
        "macAddress": f"02:00:00:{file:02X}:{row >> 8:02X}:{row & 255:02X}",
    }


def spreadsheet(file: int) -> bytes:
    rows = [";".join(identity(file, row).values()) for row in range(1, ROWS + 1)]
    return "\r\n".join(["Brand;Serial number;MAC", *rows]).encode()


@dataclass
class Sent:
    """One request and the answer, if one came: a device that registers, or a recipe that is made."""

    path: str
    body: dict[str, str]
    answer: Response | None = None


@dataclass
class Told:
    """All that was sent and answered over all rounds; the tests hold the platform to it."""

    sent: list[Sent] = field(default_factory=list)
    jobs: dict[int, str] = field(default_factory=dict)
    """The job of each file."""
    left: list[tuple[str, int, int]] = field(default_factory=list)
    """State, done and total of the job at hand when a kill had hit."""


# -- the load -------------------------------------------------------------------------------------------------------


def send_file(client: Client | Server, file: int) -> Response | None:
    """Send a file; sent again it is recognised."""
    headers = {"content-type": "text/csv", "idempotency-key": f"file {file}"}
    try:
        return client.request("POST", f"{RECIPES}/import", body=spreadsheet(file), headers=headers)
    except (OSError, http.client.HTTPException):
        return None


def import_on_its_own(server: Server, file: int) -> Response | None:
    with server.client() as client:
        return send_file(client, file)


def live(server: Server, file: int, name: int, answered: threading.Semaphore) -> list[Sent]:
    """Let devices of this file and the one before register, and make recipes, until the server is gone."""
    chance = random.Random(f"{file} {name}")
    devices = [identity(number, row) for number in (file - 1, file) for row in range(1, DEVICES + 1)]
    sent = []
    with server.client() as client:
        for number, device in enumerate(chance.sample(devices, len(devices))):
            made = {"brand": "LG", "serialNumber": f"MADE-{file}-{name}-{number}"}
            sent.append(Sent(RECIPES, made) if number % 4 == 0 else Sent("/v1/devices/register", device))
            try:
                sent[-1].answer = client.request("POST", sent[-1].path, body=sent[-1].body)
            except (OSError, http.client.HTTPException):
                break
            answered.release()
    return sent


def progress(client: Client | Server, job: str) -> tuple[str, int, int]:
    found = client.request("GET", f"/v1/jobs/{job}").json
    assert found["state"] in ("queued", "running", "succeeded"), found["error"]
    return found["state"], found["done"], found["total"]


def is_as_far(client: Client | Server, job: str, share: float) -> bool:
    _, done, total = progress(client, job)
    return done >= share * total


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SAFETY_SECONDS
    while not condition():
        assert time.monotonic() < deadline


def load_until_killed(server: Server, threads: ThreadPoolExecutor, file: int, told: Told) -> None:
    """Import a file while devices register, and kill the server somewhere in it."""
    chance = random.Random(file)
    answered = threading.Semaphore(0)
    importing = threads.submit(import_on_its_own, server, file)
    lives = [threads.submit(live, server, file, name, answered) for name in range(CONNECTIONS)]
    if file % 2:
        for _ in range(chance.randint(1, MOST_ANSWERS)):
            assert answered.acquire(timeout=SAFETY_SECONDS)
    else:
        begun = importing.result()
        assert begun is not None
        wait_until(partial(is_as_far, server, begun.json["uid"], chance.random()))
    # Anywhere in the next commits: between two answers a server is always at the same point of its work.
    threading.Event().wait(chance.uniform(0, 0.01))
    server.kill()
    begun = importing.result()
    if begun is not None:
        assert begun.status == 202, begun.body
        told.jobs[file] = begun.json["uid"]
    told.sent += [sent for one in lives for sent in one.result()]
    (jobs,) = rows_of(server.store, "select state, done, total from job order by uid desc limit 1")
    told.left += jobs


def finish(server: Server, file: int, told: Told) -> None:
    """Let the import come to its end, which it does by itself when the server has taken the file."""
    if file in told.jobs:
        wait_until(lambda: progress(server, told.jobs[file])[0] == "succeeded")
    again = send_file(server, file)
    assert again is not None
    assert again.status == 202, again.body
    assert again.json["uid"] == told.jobs.setdefault(file, again.json["uid"])
    wait_until(lambda: progress(server, told.jobs[file])[0] == "succeeded")


# -- what must be true ----------------------------------------------------------------------------------------------


def everything(server: Server, path: str) -> list[Any]:
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = server.request("GET", path, query={"limit": 1000, **cursor})
        assert answer.status == 200, answer.body
        found += answer.json["data"]
        if answer.json["nextCursor"] is None:
            return found
        cursor = {"cursor": answer.json["nextCursor"]}


def payloads(log: list[Record], type_: str) -> list[dict[str, Any]]:
    return [event["payload"] for event in log if event["type"] == type_]


def assert_recipes_are_what_was_told(log: list[Record], recipes: dict[str, Any]) -> None:
    told: dict[str, str] = {}
    for event in log:
        if event["targetEntityType"] == "ProvisioningRecipe" and "status" in event["payload"]:
            told[event["targetEntityId"]] = event["payload"]["status"]
    assert {uid: recipe["status"] for uid, recipe in recipes.items()} == told
    created = Counter(payload["uid"] for payload in payloads(log, "Device.ProvisioningRecipeCreated"))
    assert created == dict.fromkeys(recipes, 1)


def assert_no_device_twice(server: Server, log: list[Record], recipes: dict[str, Any], devices: dict[str, Any]) -> None:
    assert {device["state"] for device in devices.values()} == {"enrolled"}
    for name in ("serialNumber", "macAddress", "recipeUid"):
        assert max(Counter(device[name] for device in devices.values()).values()) == 1, name
    (claims,) = rows_of(server.store, "select device_uid, count(*) from device_identifier group by device_uid")
    assert {uid.hex(): count for uid, count in claims} == dict.fromkeys(devices, 2)
    (tokens,) = rows_of(server.store, "select device_uid, count(*) from device_token group by device_uid")
    assert {uid.hex(): count for uid, count in tokens} == dict.fromkeys(devices, 1)

    applied = {uid: recipe["deviceIdentityHash"] for uid, recipe in recipes.items() if recipe["status"] == "Applied"}
    assert applied == {device["recipeUid"]: uid for uid, device in devices.items()}
    added = [(payload["recipeUid"], payload["uid"]) for payload in payloads(log, "Device.Added")]
    assert sorted(added) == sorted(applied.items())
    changed = payloads(log, "Device.ProvisioningRecipeStatusUpdated")
    assert {payload["status"] for payload in changed} == {"Applied"}
    assert sorted((payload["uid"], payload["deviceIdentityHash"]) for payload in changed) == sorted(applied.items())


def assert_reported_once(server: Server, log: list[Record], recipes: dict[str, Any], told: Told) -> None:
    for file, job in told.jobs.items():
        rows = everything(server, f"/v1/jobs/{job}/rows")
        assert [row["number"] for row in rows] == list(range(1, ROWS + 1))
        assert {row["outcome"] for row in rows} == {"created"}
        for row in rows:
            recipe = recipes[row["detail"]["recipeUid"]]
            assert identity(file, row["number"]).items() <= recipe.items()
        found = server.request("GET", f"/v1/jobs/{job}").json
        assert (found["done"], found["result"]["outcomes"]) == (found["total"], {"created": ROWS})
    for type_ in ("Job.Started", "Job.Finished"):
        assert sorted(payload["uid"] for payload in payloads(log, type_)) == sorted(told.jobs.values())


def assert_kept(sent: list[Sent], recipes: dict[str, Any], devices: dict[str, Any]) -> None:
    """Check that all that was answered is there as it was answered."""
    fresh: Counter[str] = Counter()
    for one in sent:
        if one.answer is None:
            continue
        body = one.answer.json
        if one.path == RECIPES:
            assert one.answer.status == 201, body
            assert one.body.items() <= recipes[body["uid"]].items()
        elif body["result"] == "applied":
            assert one.body.items() <= devices[body["deviceIdentityHash"]].items()
            fresh[one.body["serialNumber"]] += one.answer.status == 201
        else:
            assert (one.answer.status, body["reason"]) == (200, "no_recipe")
    assert max(fresh.values()) == 1


def assert_tokens_work(server: Server, sent: list[Sent]) -> None:
    """Check that the device that was enrolled last before a kill can report with the token that it got."""
    answers = [one.answer.json for one in sent if one.answer is not None and one.answer.json.get("token")]
    if answers:
        path = f"/v1/devices/{answers[-1]['deviceIdentityHash']}/reports"
        assert server.request("POST", path, key=answers[-1]["token"], body={}).status in (200, 204)


def test_log_and_tables_agree_and_jobs_go_on_when_the_server_is_killed(store_url: StoreUrl) -> None:
    server = Server(store_url, {})
    server.command = IMPATIENT
    follower, told = Follower(), Told()
    try:
        server.restart()
        finish(server, 0, told)
        with ThreadPoolExecutor(CONNECTIONS + 1) as threads:
            for file in range(1, ROUNDS + 1):
                before = len(told.sent)
                load_until_killed(server, threads, file, told)
                server.restart()
                finish(server, file, told)
                assert_tokens_work(server, told.sent[before:])
        follower.drain(server)
        assert_sound(follower.events)
        assert_stored_whole(store_url)
        recipes = {recipe["uid"]: recipe for recipe in everything(server, RECIPES)}
        devices = {device["uid"]: device for device in everything(server, "/v1/devices")}
        assert_recipes_are_what_was_told(follower.events, recipes)
        assert_no_device_twice(server, follower.events, recipes, devices)
        assert_reported_once(server, follower.events, recipes, told)
        assert_kept(told.sent, recipes, devices)
    finally:
        server.stop()
    # Some kills fell into a job that had begun and was not over, or this would show nothing.
    assert [left for left in told.left if left[0] == "running" and 0 < left[1] < left[2]], told.left
    assert [sent for sent in told.sent if sent.answer is None]


def test_other_process_goes_on_with_the_import_when_its_owner_is_killed(postgres_dsn: str, tmp_path: Path) -> None:
    pair = [Server(StoreUrl(postgres_dsn, tmp_path / name), {}) for name in ("owner", "heir")]
    follower, told = Follower(), Told()
    owner, heir = pair
    try:
        for server in pair:
            server.command = IMPATIENT
            server.restart()
        heir.output += [f"key: {owner.key}"]
        begun = send_file(owner, 0)
        assert begun is not None
        told.jobs[0] = begun.json["uid"]
        wait_until(partial(is_as_far, owner, begun.json["uid"], 0.01))
        owner.kill()
        assert progress(heir, begun.json["uid"])[0] == "running"
        finish(heir, 0, told)
        follower.drain(heir)
        recipes = {recipe["uid"]: recipe for recipe in everything(heir, RECIPES)}
        assert_recipes_are_what_was_told(follower.events, recipes)
        assert_reported_once(heir, follower.events, recipes, told)
    finally:
        for server in pair:
            server.stop()
