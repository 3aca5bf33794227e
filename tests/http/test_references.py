"""Tags, locations and policies over HTTP: what goes in comes out, and what is wrong is refused by its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.http.inprocess import Answer, Api

NOBODY = "0" * 32
PATHS = ("/v1/tags", "/v1/locations", "/v1/policies")
LARGEST_ITEMS = 64 * 1024


@dataclass(frozen=True)
class Desk:
    """An organization and the key of its owner."""

    api: Api
    tenant: str
    key: str

    def made(self, path: str, body: Any) -> Any:
        return self.api.made(path, body, self.key)

    def tag(self, name: str, parent: str | None = None) -> str:
        return str(self.made("/v1/tags", {"name": name, "parentUid": parent})["uid"])

    def get(self, target: str) -> Answer:
        return self.api.get(target, self.key)

    def raw(self, method: str, target: str, body: bytes) -> Answer:
        return self.api.request(method, target, self.key, body, [("content-type", "application/json")])

    def refused(self, method: str, target: str, body: Any, status: int = 400, etag: str | None = None) -> Answer:
        """Send what must be refused, and check that it left nothing behind."""
        before = self.api.head(self.tenant)
        headers = [] if etag is None else [("if-match", etag)]
        answer = (
            self.api.request(method, target, self.key, headers=headers)
            if body is None
            else self.api.send(method, target, self.key, body, headers=headers)
        )
        assert answer.status == status, answer
        assert self.api.head(self.tenant) == before
        return answer


@pytest.fixture
def desk(api: Api, tenant: str, owner: str) -> Desk:
    return Desk(api, tenant, owner)


# -- what works -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "patch", "lacking"),
    [
        ("/v1/tags", {"name": "Lobby"}, {"name": "Foyer"}, {"parentUid": None}),
        (
            "/v1/locations",
            {"name": "Quay", "address": "Quay 4\nHamburg", "metadata": {"floors": 6, "open": [1.5, None]}},
            {"address": None, "metadata": {}},
            {},
        ),
        ("/v1/locations", {"name": "Quay"}, {"address": "Quay 5"}, {"address": None, "metadata": {}}),
        ("/v1/policies", {"name": "Screens", "items": [{"a": 1}, "b", None]}, {"items": []}, {}),
        ("/v1/policies", {"name": "Screens"}, {"name": "Other", "items": [1]}, {"items": []}),
    ],
)
def test_resource_is_made_shown_changed_and_deleted(
    desk: Desk, path: str, body: dict[str, Any], patch: dict[str, Any], lacking: dict[str, Any]
) -> None:
    made = desk.made(path, body)
    item = f"{path}/{made['uid']}"
    assert made == {"uid": made["uid"], "createdAt": made["createdAt"], **lacking, **body}
    shown = desk.get(item)
    assert (shown.json(), shown.headers["etag"]) == (made, '"v1"')
    assert desk.get(path).json() == {"data": [made], "nextCursor": None}
    changed = desk.api.patch(item, desk.key, patch, headers=[("if-match", '"v1"')])
    assert (changed.status, changed.json(), changed.headers["etag"]) == (200, {**made, **patch}, '"v2"')
    assert desk.get(item).json() == {**made, **patch}
    assert desk.api.delete(item, desk.key, headers=[("if-match", '"v2"')]).status == 204
    assert desk.get(item).status == 404
    assert desk.get(path).json()["data"] == []
    events = desk.api.log(desk.tenant)
    kind = events[-1]["targetEntityType"]
    assert [(event["type"], event["criticality"]) for event in events[-3:]] == [
        (f"{kind}.Created", 4), (f"{kind}.Updated", 4), (f"{kind}.Deleted", 3),
    ]  # fmt: skip
    assert {(e["targetEntityId"], e["internal"], e["actor"]["kind"]) for e in events[-3:]} == {
        (made["uid"], True, "account")
    }


def test_tag_is_moved_below_another_and_to_the_top_again(desk: Desk) -> None:
    above, uid = desk.tag("above"), desk.tag("tag")
    hyphenated = "-".join((above[:8], above[8:12], above[12:16], above[16:20], above[20:]))
    assert desk.api.patch(f"/v1/tags/{uid}", desk.key, {"parentUid": hyphenated}).json()["parentUid"] == above
    assert [tag["uid"] for tag in desk.get(f"/v1/tags?parentUid={above}").json()["data"]] == [uid]
    assert desk.api.patch(f"/v1/tags/{uid}", desk.key, {"name": "same place"}).json()["parentUid"] == above
    assert desk.api.patch(f"/v1/tags/{uid}", desk.key, {"parentUid": None}).json()["parentUid"] is None


@pytest.mark.parametrize("path", PATHS)
def test_list_goes_on_from_page_to_page_under_its_filter(desk: Desk, path: str) -> None:
    made = [desk.made(path, {"name": f"{word} {n}"})["uid"] for n in range(3) for word in ("Lobby", "Other")]
    seen: list[str] = []
    target = f"{path}?namePrefix=LOBBY%20&limit=2"
    first = answer = desk.get(target).json()
    seen += [item["uid"] for item in answer["data"]]
    while answer["nextCursor"]:
        answer = desk.get(f"{target}&cursor={answer['nextCursor']}").json()
        seen += [item["uid"] for item in answer["data"]]
    assert seen == made[::2]
    foreign = desk.refused("GET", f"{path}?namePrefix=other&limit=2&cursor={first['nextCursor']}", None)
    assert [pointer for pointer, _ in foreign.faults()] == ["query/cursor"]


@pytest.mark.parametrize("path", PATHS)
def test_creation_that_is_repeated_under_its_key_happens_once(desk: Desk, path: str) -> None:
    header = [("idempotency-key", "once")]
    first = desk.api.post(path, desk.key, {"name": "n"}, headers=header)
    again = desk.api.post(path, desk.key, {"name": "n"}, headers=header)
    assert (first.status, again.status, first.body) == (201, 200, again.body)
    assert len(desk.get(path).json()["data"]) == 1


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("name", "rule"),
    [("", "minLength"), ("n" * 256, "maxLength"), ("a\nb", "pattern"), ("a\0", "pattern"), ("a\x9f", "pattern"),
     ("a\n", "pattern"), (None, "type"), (7, "type")],
)  # fmt: skip
def test_name_that_breaks_a_rule_is_refused(desk: Desk, path: str, name: Any, rule: str) -> None:
    assert ("/name", rule) in desk.refused("POST", path, {"name": name}).faults()
    item = f"{path}/{desk.made(path, {'name': 'n' * 255})['uid']}"
    assert ("/name", rule) in desk.refused("PATCH", item, {"name": name}).faults()


@pytest.mark.parametrize(
    ("path", "field", "value", "rule"),
    [
        ("/v1/tags", "parentUid", "lobby", "uid"),
        ("/v1/tags", "metadata", {}, "unknown-field"),
        ("/v1/locations", "address", "", "minLength"),
        ("/v1/locations", "address", "a" * 501, "maxLength"),
        ("/v1/locations", "address", "a\tb", "pattern"),
        ("/v1/locations", "address", "a\0", "pattern"),
        ("/v1/locations", "metadata", [], "type"),
        ("/v1/locations", "metadata", None, "type"),
        ("/v1/locations", "metadata", {"long": "x" * 16 * 1024}, "max-length"),
        ("/v1/locations", "metadata", {str(n): n for n in range(51)}, "max-properties"),
        ("/v1/locations", "parentUid", NOBODY, "unknown-field"),
        ("/v1/policies", "items", {}, "type"),
        ("/v1/policies", "items", ["x" * (LARGEST_ITEMS - 3)], "max-length"),
        ("/v1/policies", "items", ["x" * 65 * 1024], "max-length"),
    ],
)
def test_field_that_breaks_a_rule_is_refused(desk: Desk, path: str, field: str, value: Any, rule: str) -> None:
    assert (f"/{field}", rule) in desk.refused("POST", path, {"name": "n", field: value}).faults()
    item = f"{path}/{desk.made(path, {'name': 'n'})['uid']}"
    assert (f"/{field}", rule) in desk.refused("PATCH", item, {field: value}).faults()


def test_largest_items_are_kept(desk: Desk) -> None:
    items = ["x" * (LARGEST_ITEMS - 4)]
    made = desk.made("/v1/policies", {"name": "n", "items": items})
    assert desk.get(f"/v1/policies/{made['uid']}").json()["items"] == items


@pytest.mark.parametrize(("path", "field"), [("/v1/policies", "items"), ("/v1/locations", "metadata")])
@pytest.mark.parametrize("depth", [100, 900, 1100, 20_000])
def test_deep_document_is_kept_whole_or_refused(desk: Desk, path: str, field: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    document, empty = (deep, b"[]") if field == "items" else (b'{"deep":%b}' % deep, b"{}")
    answer = desk.raw("POST", path, b'{"name":"n","%b":%b}' % (field.encode(), document))
    if answer.status == 201:
        item = f"{path}/{answer.json()['uid']}"
        assert b'"%b":%b' % (field.encode(), document) in desk.get(item).body
        assert desk.api.patch(item, desk.key, {"name": "m"}).status == 200
        assert desk.raw("PATCH", item, b'{"%b":%b}' % (field.encode(), empty)).status == 200
        assert len(desk.api.log(desk.tenant, "&eventCode=2310&eventCode=2320")) == 1
    else:
        # What the JSON reader itself cannot follow is refused before anybody knows which field it is in.
        assert answer.faults() in ([("", "nesting")], [(f"/{field}", "nesting")])


def test_parent_that_is_unknown_here_is_refused_whoever_has_it(desk: Desk) -> None:
    uid = desk.tag("mine")
    theirs = desk.api.made(f"/v1/tags?tenantUid={desk.api.tenant()}", {"name": "theirs"})["uid"]
    details = set()
    for parent in (theirs, NOBODY):
        for method, target in (("POST", "/v1/tags"), ("PATCH", f"/v1/tags/{uid}")):
            answer = desk.refused(method, target, {"name": "n", "parentUid": parent})
            assert answer.faults() == [("/parentUid", "unknown-tag")]
            details.add(answer.json()["detail"])
    assert len(details) == 1
    assert desk.get(f"/v1/tags?parentUid={theirs}").json()["data"] == []


def test_tag_cannot_stand_below_itself(desk: Desk) -> None:
    top = desk.tag("top")
    leaf = desk.tag("leaf", desk.tag("middle", top))
    for parent in (top, leaf):
        answer = desk.refused("PATCH", f"/v1/tags/{top}", {"parentUid": parent})
        assert answer.faults() == [("/parentUid", "cycle")]


def test_eleventh_level_of_tags_is_refused(desk: Desk) -> None:
    parent: str | None = None
    for level in range(10):
        parent = desk.tag(f"level {level}", parent)
    answer = desk.refused("POST", "/v1/tags", {"name": "too deep", "parentUid": parent})
    assert answer.faults() == [("/parentUid", "levels")]


def test_second_tag_of_a_name_at_one_place_is_refused_naming_the_first(desk: Desk) -> None:
    uid = desk.tag("Lobby")
    answer = desk.refused("POST", "/v1/tags", {"name": " LOBBY"}, 409)
    assert uid in answer.json()["detail"]


def test_tag_with_tags_below_it_is_not_deleted(desk: Desk) -> None:
    top = desk.tag("top")
    leaf = desk.tag("leaf", top)
    desk.refused("DELETE", f"/v1/tags/{top}", None, 409)
    assert desk.api.delete(f"/v1/tags/{leaf}", desk.key).status == 204
    assert desk.api.delete(f"/v1/tags/{top}", desk.key).status == 204


@pytest.mark.parametrize("path", PATHS)
def test_change_of_another_version_is_refused(desk: Desk, path: str) -> None:
    item = f"{path}/{desk.made(path, {'name': 'n'})['uid']}"
    desk.refused("PATCH", item, {"name": "m"}, 412, etag='"v2"')
    desk.refused("DELETE", item, None, 412, etag='"v2"')
    for method, body in (("PATCH", {"name": "m"}), ("DELETE", None)):
        answer = desk.refused(method, item, body, etag="v1")
        assert answer.faults() == [("header/if-match", "etag")]
    assert desk.get(item).headers["etag"] == '"v1"'


@pytest.mark.parametrize("path", PATHS)
def test_another_organization_s_is_as_unknown_as_any(desk: Desk, path: str) -> None:
    theirs = desk.api.made(f"{path}?tenantUid={desk.api.tenant()}", {"name": "theirs"})["uid"]
    told = set()
    for uid in (theirs, NOBODY):
        told.add(desk.refused("GET", f"{path}/{uid}", None, 404).json()["detail"])
        told.add(desk.refused("PATCH", f"{path}/{uid}", {"name": "mine"}, 404).json()["detail"])
        told.add(desk.refused("DELETE", f"{path}/{uid}", None, 404).json()["detail"])
    assert len(told) == 1
    assert desk.refused("GET", f"{path}/lobby", None).faults() == [("path/uid", "uid")]


@pytest.mark.parametrize("path", PATHS)
def test_company_owns_none(api: Api, path: str) -> None:
    company = Desk(api, api.company, api.root)
    desk = f"{path}?tenantUid={api.company}"
    assert "organizations" in company.refused("POST", desk, {"name": "n"}, 409).json()["detail"]
    assert company.get(desk).json()["data"] == []
    assert company.get(f"{path}/{NOBODY}?tenantUid={api.company}").status == 404


@pytest.mark.parametrize("path", PATHS)
def test_filter_that_breaks_a_rule_is_refused(desk: Desk, path: str) -> None:
    for query, place in (
        (f"namePrefix={'n' * 256}", "query/namePrefix"), ("namePrefix=a%00", "query/namePrefix"),
        ("limit=0", "query/limit"), ("name=a", "query/name"), ("cursor=abc", "query/cursor"),
        ("parentUid=lobby", "query/parentUid"),
    ):  # fmt: skip
        answer = desk.refused("GET", f"{path}?{query}", None)
        assert [pointer for pointer, _ in answer.faults()] == [place]
