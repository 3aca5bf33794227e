"""Access codes as Seam's clients list and get them: who sees which, and who sees a PIN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.dialects.seam import gathering
from heliograph.ids import new_uid
from tests.dialects.premises import Premises, uuid

if TYPE_CHECKING:
    from tests.http.inprocess import Api

LIST, GET = "/access_codes/list", "/access_codes/get"
UNMANAGED_LIST, UNMANAGED_GET = "/access_codes/unmanaged/list", "/access_codes/unmanaged/get"
READ, READ_PIN = "read access_code.tenant", "read_pin access_code.tenant"
PIN = "73519846207"
"""So many digits that no uid has them by chance."""

UNKNOWN = uuid(new_uid().hex())
NO_CODE = (404, "access_code_not_found")


@pytest.fixture
def house(api: Api) -> Premises:
    return Premises(api)


def test_unmanaged_code_is_shown_with_every_field(house: Premises) -> None:
    lock = house.lock()
    house.report(
        lock,
        {
            "externalId": "17", "code": "4711", "name": "Cleaning", "type": "time_bound",
            "startsAt": "2026-03-02T14:00:00.123456Z", "endsAt": "2026-03-05T10:00:00Z",
            "cannotBeManaged": True, "cannotDelete": True,
        },
    )  # fmt: skip
    shown = house.codes(lock)["Cleaning"]
    assert house.shown(UNMANAGED_GET, "access_code", access_code_id=shown["access_code_id"]) == shown
    assert len(shown.pop("created_at")) == 24
    assert shown == {
        "access_code_id": shown["access_code_id"],
        "device_id": uuid(lock),
        "workspace_id": uuid(house.uid),
        "is_managed": False,
        "name": "Cleaning",
        "code": "4711",
        "type": "time_bound",
        "status": "set",
        "display_status": "Active",
        "starts_at": "2026-03-02T14:00:00.123Z",
        "ends_at": "2026-03-05T10:00:00.000Z",
        "errors": [],
        "warnings": [],
        "cannot_be_managed": True,
        "cannot_delete_unmanaged_access_code": True,
    }


def test_what_a_code_can_be_done_with_is_not_mentioned(house: Premises) -> None:
    lock = house.lock()
    house.report(lock, {"externalId": "1", "name": "plain"})
    shown = house.codes(lock)["plain"]
    assert not {"cannot_be_managed", "cannot_delete_unmanaged_access_code"} & shown.keys()
    assert (shown["code"], shown["starts_at"], shown["ends_at"], shown["type"]) == (None, None, None, "ongoing")


def test_codes_inherit_what_is_wrong_with_their_lock_and_its_account(house: Premises) -> None:
    account = house.an_account()
    lock = house.lock(connectedAccountUid=account)
    house.report(lock, {"externalId": "1", "name": "a"})
    house.tell(lock, session={"state": "offline"})
    assert house.api.post(f"/v1/connected-accounts/{account}/disconnect", house.key, {}).status == 200
    errors = house.codes(lock)["a"]["errors"]
    assert [
        (error["error_code"], error.get("is_device_error"), error.get("is_connected_account_error")) for error in errors
    ] == [("device_offline", True, None), ("account_disconnected", False, True)]
    assert all(len(error["created_at"]) == 24 and error["message"] for error in errors)


def test_pin_is_shown_to_those_alone_who_may_read_it(house: Premises) -> None:
    lock = house.lock()
    house.report(lock, {"code": "4711", "name": "a"})
    code = house.codes(lock)["a"]
    blind, seeing = house.limited(READ), house.limited(READ, READ_PIN)
    for key, pin in ((blind, None), (seeing, "4711")):
        listed = house.get(UNMANAGED_LIST, key, device_id=uuid(lock)).json()["access_codes"]
        got = house.get(UNMANAGED_GET, key, access_code_id=code["access_code_id"]).json()["access_code"]
        assert [one["code"] for one in (*listed, got)] == [pin, pin]


def test_pin_cannot_be_guessed_by_asking_for_it(house: Premises) -> None:
    lock = house.lock()
    house.report(lock, {"code": PIN, "name": "a"})
    blind = house.limited(READ)
    for code in (PIN, PIN[::-1]):
        answer = house.post(UNMANAGED_GET, blind, device_id=uuid(lock), code=code)
        assert (answer.status, READ_PIN in answer.json()["error"]["message"]) == (403, True)
        assert house.post(UNMANAGED_LIST, blind, device_id=uuid(lock), search=code).json()["access_codes"] == []


def test_code_is_got_by_its_pin_and_lock(house: Premises) -> None:
    lock, other = house.lock(), house.lock()
    house.report(lock, {"code": "4711", "name": "a"}, {"code": "4712", "name": "b"})
    assert house.shown(UNMANAGED_GET, "access_code", device_id=uuid(lock), code="4712")["name"] == "b"
    assert house.refused(UNMANAGED_GET, device_id=uuid(lock), code="4713") == NO_CODE
    assert house.refused(UNMANAGED_GET, device_id=uuid(other), code="4712") == NO_CODE
    assert house.refused(UNMANAGED_GET, device_id=UNKNOWN, code="4712") == NO_CODE
    assert house.refused(GET, device_id=uuid(lock), code="4712") == NO_CODE
    named = house.codes(lock)["a"]["access_code_id"]
    assert house.shown(UNMANAGED_GET, "access_code", device_id=uuid(lock), access_code_id=named)["name"] == "a"
    assert house.refused(UNMANAGED_GET, device_id=uuid(other), access_code_id=named) == NO_CODE


@pytest.mark.parametrize(
    "wanted",
    [{}, {"device_id": UNKNOWN}, {"code": "4711"}, {"access_code_id": "x"}, {"access_code_id": UNKNOWN, "code": "1"}],
)
def test_code_must_be_named_in_one_way(house: Premises, wanted: dict[str, Any]) -> None:
    for path in (GET, UNMANAGED_GET):
        assert house.refused(path, **wanted) == (400, "invalid_input")


@pytest.mark.parametrize("wanted", [{}, {"device_id": None}, {"access_code_ids": None}, {"customer_key": "c"}])
def test_list_is_of_a_lock_or_of_named_codes(house: Premises, wanted: dict[str, Any]) -> None:
    assert house.refused(LIST, **wanted) == (400, "invalid_input")
    assert house.refused(UNMANAGED_LIST, **wanted) == (400, "invalid_input")


def test_unmanaged_codes_are_not_among_the_managed_ones(house: Premises) -> None:
    lock = house.lock()
    house.report(lock, {"code": "4711", "name": "a"})
    code = house.codes(lock)["a"]["access_code_id"]
    assert house.codes(lock, "") == {}
    assert house.post(LIST, access_code_ids=[code]).json()["access_codes"] == []
    assert house.refused(GET, access_code_id=code) == NO_CODE


def test_another_workspace_s_codes_are_as_unknown_as_any(house: Premises) -> None:
    other = Premises(house.api)
    lock = other.lock()
    other.report(lock, {"code": "4711", "name": "a"})
    code = other.codes(lock)["a"]["access_code_id"]
    wishes = (
        (UNMANAGED_LIST, {"device_id": uuid(lock)}, {"device_id": UNKNOWN}),
        (LIST, {"device_id": uuid(lock)}, {"device_id": UNKNOWN}),
        (UNMANAGED_GET, {"access_code_id": code}, {"access_code_id": UNKNOWN}),
        (GET, {"access_code_id": code}, {"access_code_id": UNKNOWN}),
        (UNMANAGED_GET, {"device_id": uuid(lock), "code": "4711"}, {"device_id": UNKNOWN, "code": "4711"}),
    )
    for path, foreign, unknown in wishes:
        refusals = [house.post(path, **wanted).json() for wanted in (foreign, unknown)]
        for refusal in refusals:
            assert refusal["error"].pop("request_id")
        assert refusals[0] == refusals[1]
    assert house.post(LIST, access_code_ids=[code]).json()["access_codes"] == []


def test_search_finds_parts_of_names_and_ids_and_whole_pins(house: Premises) -> None:
    lock = house.lock()
    house.report(lock, {"code": PIN, "name": "Cleaning"}, {"code": "0815", "name": f"Guest {PIN[:8]}"})
    codes = house.codes(lock)

    def names(search: str) -> list[str]:
        found = house.shown(UNMANAGED_LIST, "access_codes", device_id=uuid(lock), search=search)
        return [code["name"] for code in found]

    assert names("clean") == ["Cleaning"]
    assert names(codes["Cleaning"]["access_code_id"][4:]) == ["Cleaning"]
    assert names(PIN[:8]) == [f"Guest {PIN[:8]}"]
    assert names(PIN) == ["Cleaning"]
    assert names("none") == []
    assert house.refused(UNMANAGED_LIST, device_id=uuid(lock), search="") == (400, "invalid_input")


def test_list_is_whole_however_many_parts_it_takes(house: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "PART", 3)
    monkeypatch.setattr(gathering, "LARGE", 6)
    lock = house.lock()
    house.report(lock, *({"externalId": f"{number:02}", "name": f"n{number:02}"} for number in range(20)))
    answer = house.get(UNMANAGED_LIST, device_id=uuid(lock)).json()
    assert [code["name"] for code in answer["access_codes"]] == [f"n{number:02}" for number in range(20)]
    assert answer["pagination"] == {"has_next_page": False, "next_page_cursor": None, "next_page_url": None}


@pytest.mark.parametrize("search", [None, "n1"])
def test_pages_hold_every_code_once_and_tell_truly_whether_more_follow(
    house: Premises, search: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.storage.pages.ROWS_SIFTED", 2)
    lock = house.lock()
    house.report(lock, *({"externalId": f"{number:02}", "name": f"n{number:02}"} for number in range(15)))
    wanted: dict[str, Any] = {"device_id": uuid(lock), "limit": 3}
    wanted |= {} if search is None else {"search": search}
    seen: list[str] = []
    sizes: list[int] = []
    cursor: str | None = None
    while cursor is not None or not sizes:
        page = house.post(UNMANAGED_LIST, **wanted, page_cursor=cursor).json()
        seen += [code["name"] for code in page["access_codes"]]
        sizes.append(len(page["access_codes"]))
        cursor = page["pagination"]["next_page_cursor"]
        assert page["pagination"]["has_next_page"] is (cursor is not None)
    assert seen == [f"n{number:02}" for number in range(15) if search is None or number >= 10]
    assert sizes == ([3, 3, 3, 3, 3] if search is None else [3, 2])


def test_limit_must_be_a_number_of_codes(house: Premises) -> None:
    lock = uuid(house.lock())
    for limit in (0, -1, "many", 1.5, 300_001):
        assert house.refused(UNMANAGED_LIST, device_id=lock, limit=limit) == (400, "invalid_input")
    assert house.post(UNMANAGED_LIST, device_id=lock, limit=10.0).status == 200


def test_no_code_passes_an_empty_array(house: Premises) -> None:
    assert house.call("GET", LIST, query="access_code_ids=&_strict=true").json()["access_codes"] == []
    assert house.post(LIST, device_id=uuid(house.lock()), access_code_ids=[]).json()["access_codes"] == []


@pytest.mark.parametrize("path", [LIST, GET, UNMANAGED_LIST, UNMANAGED_GET])
def test_key_without_the_permission_is_refused(house: Premises, path: str) -> None:
    wanted = {"device_id": UNKNOWN} if path.endswith("list") else {"access_code_id": UNKNOWN}
    assert house.refused(path, house.limited("report access_code.tenant"), **wanted) == (403, "forbidden")
