"""From a spreadsheet to a running fleet: import, registration, mishaps and repair, and that all numbers agree."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from heliograph.catalog.system import SYSTEM
from heliograph.provisioning.releasing import AT_ONCE
from tests.contract.documents import DOCUMENTS
from tests.server import SAFETY_SECONDS, Client, Response, Server
from tests.stories import fleet
from tests.stories.fleet import CONTESTED, LISTED, UNITS, Step, Unit
from tests.whole_log import Follower, assert_sound, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.whole_log import Record

THREADS = 4
RECIPES = "/v1/provisioning-recipes"


class Story:
    """One organization through the whole story; what it noted on the way is what the tests look at."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.company = next(
            tenant["uid"]
            for tenant in server.request("GET", "/v1/tenants").json["data"]
            if tenant["kind"] == "company" and tenant["parentUid"] is None
        )
        self.ours, self.theirs = self._organization("fleet"), self._organization("rival")
        wish = {"name": "installer", "grants": [{"grant": "register device.tenant", "tenantUid": self.company}]}
        self.installer = self.made("/v1/keys", wish, self.company)["token"]
        self.uids: dict[str, dict[str, str]] = {}
        self.recipes: dict[int, str] = {}
        """The uid of each device's recipe, by the device's number."""
        self.answers: dict[int, list[Step]] = {unit.number: [] for unit in UNITS}
        self.tokens = dict.fromkeys(self.answers, 0)
        self.while_held: dict[str, int] = {}
        """The recipes by status when some had failed."""

    def _organization(self, name: str) -> str:
        new = {"kind": "organization", "name": name, "shortName": name}
        return str(self.made("/v1/tenants", new, self.company)["uid"])

    def made(self, path: str, body: Any, tenant: str | None = None) -> Any:
        """Make something, by default in our organization."""
        answer = self.server.request("POST", path, query={"tenantUid": tenant or self.ours}, body=body)
        assert answer.status == 201, answer.body
        return answer.json

    def all(self, path: str, tenant: str | None = None, **query: Any) -> list[Any]:
        """Read all pages of a list."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            asked = {"tenantUid": tenant or self.ours, "limit": 1000, **query, **cursor}
            answer = self.server.request("GET", path, query=asked)
            assert answer.status == 200, answer.body
            found += answer.json["data"]
            if answer.json["nextCursor"] is None:
                return found
            cursor = {"cursor": answer.json["nextCursor"]}

    # -- the chapters -----------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Do everything, from the empty organization to the repaired fleet."""
        self._prepare()
        self.job = self._imported(fleet.spreadsheet(), keepInvalid="true", map=fleet.MAPPING)
        self._wait(self.job["uid"], "succeeded")
        by_serial = {recipe["serialNumber"]: recipe["uid"] for recipe in self.all(RECIPES)}
        self.recipes = {unit.number: by_serial[unit.serial] for unit in LISTED}
        self._delete_policy(fleet.NARROW)
        self._delete_policy_while_the_runner_is_busy()
        self._each(self._live)

    def _prepare(self) -> None:
        names = {"tags": fleet.TAGS, "locations": fleet.SITES, "policies": (fleet.KEPT, fleet.NARROW, fleet.WIDE)}
        for path, wanted in names.items():
            self.uids[path] = {name: self.made(f"/v1/{path}", {"name": name})["uid"] for name in wanted}
        for unit in CONTESTED:
            recipe = {"brand": "Samsung", "serialNumber": unit.serial}
            self.made(RECIPES, recipe | {"confirmedOwnership": unit.fate.confirmed == "both"}, self.theirs)

    def _imported(self, file: bytes, **query: Any) -> Any:
        asked = {"tenantUid": self.ours, **query}
        headers = {"content-type": "text/csv"}
        answer = self.server.request("POST", f"{RECIPES}/import", query=asked, body=file, headers=headers)
        assert answer.status == 202, answer.body
        return answer.json

    def _wait(self, job: str, *states: str) -> Any:
        """Wait until the job is in one of the states."""
        deadline = time.monotonic() + SAFETY_SECONDS
        while True:
            found = self.server.request("GET", f"/v1/jobs/{job}", query={"tenantUid": self.ours}).json
            if found["state"] in states:
                return found
            assert found["state"] in ("queued", "running"), found["error"]
            assert time.monotonic() < deadline, found

    def _delete_policy(self, name: str) -> None:
        path = f"/v1/policies/{self.uids['policies'][name]}"
        assert self.server.request("DELETE", path, query={"tenantUid": self.ours}).status == 204

    def _delete_policy_while_the_runner_is_busy(self) -> None:
        """Let devices register between the deletion and the job that detaches the recipes left over by it."""
        # Claim codes take long on purpose, and jobs are done one at a time.
        lines = "".join(f"Samsung,BUSY-{n},BUSY-CODE-{n}\n" for n in range(2000))
        busy = self._imported(f"brand,serial,claim code\n{lines}".encode(), dryRun="true")["uid"]
        self._wait(busy, "running")
        self._delete_policy(fleet.WIDE)
        self._each(self._live_early)
        self.while_held = dict(Counter(recipe["status"] for recipe in self.all(RECIPES)))
        (detaching,) = self.all("/v1/jobs", kind="detach")
        assert detaching["state"] == "queued"
        cancelled = self.server.request("POST", f"/v1/jobs/{busy}/cancel", query={"tenantUid": self.ours})
        assert cancelled.status == 200, cancelled.body
        self._wait(busy, "cancelled")
        self._wait(detaching["uid"], "succeeded")

    # -- what one device goes through -------------------------------------------------------------------------------

    def _each(self, live: Any) -> None:
        """Let all devices live, several at once; what happens to one is independent of the others."""
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(partial(self._several, live), (UNITS[n::THREADS] for n in range(THREADS))))

    def _several(self, live: Any, units: Sequence[Unit]) -> None:
        with self.server.client() as client:
            for unit in units:
                live(client, unit)

    def _live_early(self, client: Client, unit: Unit) -> None:
        self._walk(client, unit, unit.fate.early)

    def _live(self, client: Client, unit: Unit) -> None:
        self._walk(client, unit, unit.fate.steps)

    def _walk(self, client: Client, unit: Unit, steps: Sequence[Step]) -> None:
        for action, _ in steps:
            if action.startswith("register"):
                answer = self._register(client, unit.presented(action))
                told = _told(answer)
                self.tokens[unit.number] += answer.json.get("token") is not None
            else:
                told = str(self._operate(client, unit, action).status)
            self.answers[unit.number].append((action, told))

    def _register(self, client: Client, presented: dict[str, Any]) -> Response:
        """Let a device register with the installer's key, which reaches both organizations."""
        return client.request("POST", "/v1/devices/register", key=self.installer, body=presented)

    def _operate(self, client: Client, unit: Unit, action: str) -> Response:
        path, query = f"{RECIPES}/{self.recipes[unit.number]}", {"tenantUid": self.ours}
        if action == "retry":
            return client.request("POST", f"{path}/retry", query=query)
        if action == "correct MAC":
            patch = {"macAddress": unit.mac(wrong=True)}
        elif action == "choose site":
            patch = {"locationUid": self.uids["locations"][unit.site]}
        else:
            patch = {"policyUid": self.uids["policies"][fleet.KEPT]}
        etag = client.request("GET", path, query=query).headers["etag"]
        return client.request("PATCH", path, query=query, body=patch, headers={"if-match": etag})


def _told(answer: Response) -> str:
    """Put the answer to a registration into the words of the steps."""
    body = answer.json
    if body.get("result") == "applied":
        # A device that a repair enrolled behind its back gets its token when it comes again.
        assert answer.status == 200 or body["token"] is not None
        return fleet.NEW if answer.status == 201 else fleet.KNOWN
    assert answer.status == 200, answer.body
    assert (body["deviceIdentityHash"], body["organizationUid"], body["token"]) == (None, None, None)
    return f"{body['result']} {body['reason']}"


@pytest.fixture(scope="module")
def story(either_server: Server) -> Story:
    story = Story(either_server)
    story.tell()
    return story


@pytest.fixture(scope="module")
def log(story: Story) -> list[Record]:
    return whole_log(story, story.ours)


def whole_log(story: Story, tenant: str) -> list[Record]:
    follower = Follower({"tenantUid": tenant})
    follower.drain(story.server)
    return follower.events


def histories(log: Sequence[Record]) -> dict[str, list[Record]]:
    """Put the whole log in order: the events of each entity that they are about or name."""
    found: dict[str, list[Record]] = {}
    for event in log:
        named = {event["targetEntityId"], *(entity["id"] for entity in event.get("relatedEntities", ()))}
        for uid in named:
            found.setdefault(uid, []).append(event)
    return found


def words(events: Sequence[Record]) -> tuple[str, ...]:
    return tuple(fleet.word(event) for event in events)


def test_input_is_what_the_story_is_about() -> None:
    kinds = Counter(unit.kind for unit in UNITS)
    assert len(LISTED) == 1000
    assert sum(1 for unit in UNITS if unit.fate.steps) == 1000
    assert kinds["wrong MAC"] + kinds["wrong MAC, corrected"] == 100
    assert kinds["unknown"] == 50
    assert len(CONTESTED) == 20
    assert sum(unit.fate.code for unit in UNITS) == 30
    assert sum(unit.fate.policy == fleet.NARROW for unit in LISTED) == 10
    assert sum(unit.fate.policy == fleet.WIDE for unit in LISTED) == AT_ONCE + 10


def test_report_of_the_import_has_every_row_once_with_what_became_of_it(story: Story) -> None:
    rows = story.all(f"/v1/jobs/{story.job['uid']}/rows")
    assert [row["number"] for row in rows] == list(range(1, 1001))
    expected = ["created" if unit.fate.site_known else "invalid" for unit in LISTED]
    assert [row["outcome"] for row in rows] == expected
    assert [row["detail"]["recipeUid"] for row in rows] == [story.recipes[unit.number] for unit in LISTED]
    job = story.server.request("GET", f"/v1/jobs/{story.job['uid']}", query={"tenantUid": story.ours}).json
    assert (job["done"], job["result"]["rows"]) == (job["total"], 1000)
    assert job["result"]["outcomes"] == dict(Counter(expected))
    assert job["result"]["ignoredColumns"] == ["Remark"]


def test_every_device_was_answered_as_its_kind_is(story: Story) -> None:
    for unit in UNITS:
        assert tuple(story.answers[unit.number]) == unit.fate.early + unit.fate.steps, unit


def test_every_device_that_was_let_in_got_one_token(story: Story) -> None:
    let_in = {
        number for number, steps in story.answers.items() if {told for _, told in steps} & {fleet.NEW, fleet.KNOWN}
    }
    assert {number: count for number, count in story.tokens.items() if count} == dict.fromkeys(let_in, 1)


def test_numbers_of_each_status_agree_with_the_input(story: Story) -> None:
    for status in ("Pending", "Applied", "Failed", "Invalid"):
        found = story.all(RECIPES, status=status)
        assert len(found) == fleet.statuses().get(status, 0), status
        expected = {story.recipes[unit.number] for unit in LISTED if unit.fate.status == status}
        assert {recipe["uid"] for recipe in found} == expected
    applied = [unit for unit in UNITS if unit.fate.status == "Applied"]
    waiting = [unit for unit in UNITS if fleet.FAILED in unit.fate.history and unit not in applied]
    assert len(story.all("/v1/devices", state="enrolled")) == len(applied)
    assert len(story.all("/v1/devices", state="waiting")) == len(waiting) > 0


def test_numbers_of_each_status_agreed_while_the_job_had_not_come_yet(story: Story) -> None:
    early = Counter(
        "Failed" if unit.fate.early else "Pending" if unit.kind == "wide policy, by the job"
        else "Invalid" if unit.fate.policy != fleet.KEPT or not unit.fate.site_known else "Pending"
        for unit in LISTED
    )  # fmt: skip
    repaired = sum(unit.kind == "wide policy, failed and repaired early" for unit in UNITS)
    assert story.while_held == early + Counter(Applied=repaired) - Counter(Failed=repaired)


def test_numbers_of_each_event_agree_with_the_input(story: Story, log: list[Record]) -> None:
    ours = Counter(word for word, count in fleet.word_counts("ours").items() for _ in range(count))
    about = Counter(words([event for event in log if event["targetEntityType"] in ("Device", "ProvisioningRecipe")]))
    assert about == ours
    assert Counter(event["type"] for event in log) == _types(ours) + Counter({
        "Tag.Created": len(fleet.TAGS), "Location.Created": len(fleet.SITES), "Policy.Created": 3,
        "Policy.Deleted": 2, "Job.Started": 3, "Job.Finished": 3, "Tenant.Created": 1,
    })  # fmt: skip
    theirs = [event for event in whole_log(story, story.theirs) if event["type"] != "Tenant.Created"]
    assert Counter(words(theirs)) == fleet.word_counts("theirs")


def _types(told: Counter[str]) -> Counter[str]:
    """Count event types instead of the words of histories."""
    found: Counter[str] = Counter()
    for word, count in told.items():
        short = word.split(" ")[0]
        prefix = "" if "." in short else "Device.Verification." if "Paired" in short else "Device.ProvisioningRecipe"
        found[prefix + short] += count
    return found


def test_numbers_of_each_reason_agree_with_the_input(story: Story) -> None:
    places = {"ours": story.ours, "theirs": story.theirs, "nobody's": story.company}
    for place, tenant in places.items():
        tries: Counter[str] = Counter()
        for attempt in story.all("/v1/registration-attempts", tenant):
            tries[attempt["reason"]] += attempt["tries"]
            assert (attempt["recipeUid"] is None) == (attempt["reason"] == "no_recipe")
        assert tries == fleet.reasons()[place], place


def test_every_applied_device_has_what_its_row_says(story: Story) -> None:
    found = {device["serialNumber"].upper(): device for device in story.all("/v1/devices", state="enrolled")}
    tags, sites, policies = story.uids["tags"], story.uids["locations"], story.uids["policies"]
    for unit in (unit for unit in LISTED if unit.fate.status == "Applied"):
        device = found[unit.serial]
        corrected = unit.kind == "wrong MAC, corrected"
        assert device["brand"].casefold() == "samsung"
        assert device["model"].casefold() == "qm55c"
        assert device["macAddress"] == unit.mac(wrong=corrected)
        assert device["name"] == unit.name
        assert device["tagUids"] == sorted(tags[tag] for tag in unit.tags)
        assert device["locationUid"] == sites[unit.site]
        assert device["policyUid"] == policies[fleet.KEPT]
        assert device["customMetadata"] == {"inventory": f"INV {unit.number}"}
        assert device["recipeUid"] == story.recipes[unit.number]


def test_whole_log_has_the_history_of_every_recipe_and_device(story: Story, log: list[Record]) -> None:
    assert_sound(log)
    told = histories(log)
    met = {recipe["uid"]: recipe["deviceIdentityHash"] for recipe in story.all(RECIPES)}
    for unit in LISTED:
        recipe = story.recipes[unit.number]
        assert words(told[recipe]) == unit.fate.history, unit
        device = met[recipe]
        assert (device is None) == (not unit.device_history)
        if device is not None:
            assert words(told[device]) == unit.device_history, unit


def test_history_of_an_entity_is_listed_by_its_uid(story: Story, log: list[Record]) -> None:
    told = histories(log)
    first_of_each = {unit.kind: unit for unit in reversed(LISTED)}
    for unit in first_of_each.values():
        recipe = story.server.request(
            "GET", f"{RECIPES}/{story.recipes[unit.number]}", query={"tenantUid": story.ours}
        ).json
        for uid in filter(None, (recipe["uid"], recipe["deviceIdentityHash"])):
            query = {"tenantUid": story.ours, "relatedEntityId": uid, "to": "2100-01-01T00:00:00Z", "order": "asc"}
            assert listed(story.server, query) == told[uid], unit


def test_every_body_obeys_its_published_schema(log: list[Record]) -> None:
    for event in log:
        SYSTEM.check(event["type"], json.dumps(event["payload"]).encode())


def test_wire_form_of_each_type_is_the_documented_one(story: Story, log: list[Record]) -> None:
    owner = {"ownershipType": "organization", "organizationUid": story.ours, "parentCompanyUid": story.company}
    documented = {event["type"]: event for event in log if event["type"] in DOCUMENTS}
    assert {type_.rpartition(".")[2] for type_ in documented} == {
        "ProvisioningRecipeCreated", "ProvisioningRecipeUpdated", "ProvisioningRecipeStatusUpdated", "DevicePaired",
    }  # fmt: skip
    for type_, event in documented.items():
        query = {"tenantUid": story.ours, "format": "wire"}
        wire = story.server.request("GET", f"/v1/events/{event['id']}", query=query).json
        assert {name: wire[name] for name in wire if name != "payload"} == {
            "id": event["id"], "kind": "domain", "type": type_,
        }  # fmt: skip
        assert wire["payload"] == event["payload"]
        assert wire["payload"]["owner"] == owner
        assert wire["payload"]["type"] == type_
        # The installer is an account of the company, acting in the organization.
        assert wire["payload"]["originator"].keys() == {"accountId", "organizationUid"}
        assert wire["payload"]["originator"]["organizationUid"] == story.ours
        names = {field.name for field in DOCUMENTS[type_].fields}
        assert set(wire["payload"]) <= names
        definition = SYSTEM.get(type_)
        assert definition is not None
        Draft202012Validator(SYSTEM.wire_schema(definition)).validate(wire)
