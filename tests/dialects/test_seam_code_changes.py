"""Access codes as Seam's clients create, convert, change and delete them, and what a connector is asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heliograph.ids import new_uid
from tests.dialects.premises import Premises, uuid

if TYPE_CHECKING:
    from tests.http.inprocess import Api

CREATE, UPDATE, DELETE = "/access_codes/create", "/access_codes/update", "/access_codes/delete"
CONVERT, UNMANAGED_UPDATE = "/access_codes/unmanaged/convert_to_managed", "/access_codes/unmanaged/update"
UNMANAGED_DELETE = "/access_codes/unmanaged/delete"
GET, UNMANAGED_GET = "/access_codes/get", "/access_codes/unmanaged/get"
UNKNOWN = uuid(new_uid().hex())
NO_CODE = (404, "access_code_not_found")
OK = {"ok": True}


@pytest.fixture
def house(api: Api) -> Premises:
    return Premises(api)


def found(house: Premises, lock: str, **fields: Any) -> str:
    """Return the id of a code that somebody set at the lock."""
    house.report(lock, {"externalId": "1", "code": "4711", "name": "Cleaning"} | fields)
    return str(house.codes(lock)[fields.get("name", "Cleaning")]["access_code_id"])


def asked(house: Premises) -> list[Any]:
    """Return what the connector is asked to do, and has not been given before."""
    answer = house.api.get("/v1/device-operations?wait=0", house.connector)
    assert answer.status == 200, answer
    return list(answer.json()["data"])


def carry_out(house: Premises, outcome: str = "succeeded", **more: Any) -> Any:
    """Let the connector do the one thing that it is asked for; return what that was."""
    (operation,) = asked(house)
    path = f"/v1/device-operations/{operation['uid']}/complete"
    answer = house.api.post(path, house.connector, {"outcome": outcome, **more})
    assert answer.status == 200, answer
    return operation


def managed(house: Premises, lock: str, **fields: Any) -> Any:
    """Return a code that was created and set."""
    made = house.post(CREATE, device_id=uuid(lock), **({"code": "0815", "name": "Guest"} | fields)).json()
    carry_out(house, externalId=str(new_uid().hex()))
    return made["access_code"]


def shown(house: Premises, code: str) -> Any:
    return house.shown(GET, "access_code", access_code_id=code)


def untimed(mutations: list[Any]) -> list[Any]:
    """Return pending mutations after checking what differs in each."""
    for mutation in mutations:
        assert len(mutation.pop("created_at")) == 24
        assert mutation.pop("message")
    return mutations


# -- creating -------------------------------------------------------------------------------------------------------


def test_created_code_is_shown_with_every_field(house: Premises) -> None:
    lock = house.lock()
    answer = house.post(
        CREATE, device_id=uuid(lock), code="0815", name="Guest", starts_at="2099-03-02T14:00:00+01:00",
        ends_at="2099-03-05T10:00:00Z", allow_external_modification=True,
    ).json()  # fmt: skip
    code = answer["access_code"]
    assert shown(house, code["access_code_id"]) == code
    assert len(code.pop("created_at")) == 24
    assert untimed(code.pop("pending_mutations")) == [{"mutation_code": "creating"}]
    assert code == {
        "access_code_id": code["access_code_id"],
        "device_id": uuid(lock),
        "workspace_id": uuid(house.uid),
        "is_managed": True,
        "name": "Guest",
        "code": "0815",
        "common_code_key": None,
        "type": "time_bound",
        "status": "setting",
        "display_status": "Setting",
        "starts_at": "2099-03-02T13:00:00.000Z",
        "ends_at": "2099-03-05T10:00:00.000Z",
        "errors": [],
        "warnings": [],
        "is_external_modification_allowed": True,
        "is_scheduled_on_device": False,
        "is_backup": False,
        "is_backup_access_code_available": False,
        "is_offline_access_code": False,
        "is_one_time_use": False,
        "is_waiting_for_code_assignment": False,
        "pulled_backup_access_code_id": None,
    }


def test_created_code_is_set_when_the_connector_has_set_it(house: Premises) -> None:
    lock = house.lock()
    code = house.post(CREATE, device_id=uuid(lock), starts_at="2099-01-01T00:00:00Z").json()["access_code"]
    assert len(code["code"]) == 6
    operation = carry_out(house, externalId="9")
    assert (operation["kind"], operation["accessCode"]["code"]) == ("set_access_code", code["code"])
    after = shown(house, code["access_code_id"])
    assert (after["status"], after["is_scheduled_on_device"], after["pending_mutations"]) == ("set", True, [])
    assert [one["access_code_id"] for one in house.codes(lock, "").values()] == [code["access_code_id"]]
    assert house.codes(lock) == {}


def test_code_that_could_not_be_set_says_why(house: Premises) -> None:
    lock = house.lock()
    code = house.post(CREATE, device_id=uuid(lock), code="1").json()["access_code"]["access_code_id"]
    carry_out(house, "failed", errors=[{"errorCode": "code_constraints_violated", "message": "Four digits, please."}])
    after = shown(house, code)
    assert (after["status"], after["display_status"], after["pending_mutations"]) == ("unset", "Not active", [])
    (error,) = after["errors"]
    assert (error["error_code"], error["is_access_code_error"]) == ("failed_to_set_on_device", True)


def test_pin_that_the_lock_holds_already_is_refused(house: Premises) -> None:
    lock = house.lock()
    found(house, lock)
    assert house.refused(CREATE, device_id=uuid(lock), code="4711") == (409, "duplicate_access_code")
    code = managed(house, lock)["access_code_id"]
    assert house.refused(UPDATE, access_code_id=code, code="4711") == (409, "duplicate_access_code")
    assert shown(house, code)["pending_mutations"] == []


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("code", {"code": ""}),
        ("code", {"code": "12a4"}),
        ("code", {"code": 1234}),
        ("starts_at", {"starts_at": "tomorrow"}),
        ("ends_at", {"starts_at": "2099-01-02T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}),
        ("ends_at", {"ends_at": "2001-01-01T00:00:00Z"}),
        ("is_one_time_use", {"is_one_time_use": True}),
        ("is_offline_access_code", {"is_offline_access_code": True}),
        ("common_code_key", {"common_code_key": "k"}),
        ("allow_external_modification", {
            "allow_external_modification": True, "is_external_modification_allowed": False,
        }),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_named_by_seam_s_name(house: Premises, field: str, wish: dict[str, Any]) -> None:
    answer = house.post(CREATE, device_id=uuid(house.lock()), **wish)
    error = answer.json()["error"]
    assert (answer.status, error["type"]) == (400, "invalid_input")
    assert error["validation_errors"][field]["_errors"]


def test_what_has_no_effect_is_accepted(house: Premises) -> None:
    answer = house.post(
        CREATE, device_id=uuid(house.lock()), attempt_for_offline_device=True, prefer_native_scheduling=True,
        is_one_time_use=False, use_backup_access_code_pool=False, common_code_key=None, customer_key="",
    )  # fmt: skip
    assert answer.status == 200, answer


def test_code_needs_a_lock_of_the_workspace(house: Premises) -> None:
    theirs = Premises(house.api).lock()
    for device in (UNKNOWN, uuid(theirs)):
        assert house.refused(CREATE, device_id=device) == (404, "device_not_found")
    assert house.refused(CREATE, device_id=uuid(house.device())) == (400, "device_type_not_supported")
    assert house.refused(CREATE) == (400, "invalid_input")


# -- converting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("PATCH", CONVERT, {}),
        ("POST", CONVERT, {"sync": True}),
        ("PATCH", UNMANAGED_UPDATE, {"is_managed": True}),
        ("POST", UNMANAGED_UPDATE, {"is_managed": True}),
    ],
)
def test_code_is_converted_under_its_id(house: Premises, method: str, path: str, more: dict[str, Any]) -> None:
    lock = house.lock()
    code = found(house, lock)
    wish: dict[str, Any] = {"access_code_id": code, "force": True, "is_external_modification_allowed": True, **more}
    assert house.call(method, path, body=wish).json() == OK
    assert house.call("POST", path, body=wish).json() == OK
    assert house.shown(UNMANAGED_GET, "access_code", access_code_id=code)["is_managed"] is False
    operation = carry_out(house)
    assert (operation["kind"], operation["force"]) == ("convert_access_code", True)
    after = shown(house, code)
    assert (after["is_managed"], after["status"], after["is_external_modification_allowed"]) == (True, "set", True)
    assert house.refused(UNMANAGED_GET, access_code_id=code) == NO_CODE
    assert house.refused(path, **wish) == NO_CODE


def test_conversion_that_fails_leaves_the_code_as_it_was_and_is_told(house: Premises) -> None:
    lock = house.lock()
    code = found(house, lock, cannotBeManaged=True)
    before = house.codes(lock)
    assert house.call("PATCH", CONVERT, body={"access_code_id": code}).json() == OK
    assert asked(house) == []
    assert house.codes(lock) == before
    events = house.post("/events/list", since="2020-01-01T00:00:00Z", access_code_id=code).json()["events"]
    assert [event["event_type"].rpartition(".")[2] for event in events] == ["created", "failed_to_convert_to_managed"]
    assert events[1]["access_code_errors"][0]["error_code"] == "cannot_be_managed"


def test_managed_code_cannot_be_unmanaged_and_the_way_to_change_it_is_named(house: Premises) -> None:
    answer = house.post(UNMANAGED_UPDATE, access_code_id=found(house, house.lock()), is_managed=False)
    error = answer.json()["error"]
    assert (answer.status, error["type"]) == (400, "invalid_input")
    assert "/access_codes/update" in error["message"]


@pytest.mark.parametrize(
    "wish",
    [{}, {"access_code_id": UNKNOWN, "is_managed": "yes"}, {"is_managed": True},
     {"access_code_id": UNKNOWN, "is_managed": True, "allow_external_modification": True,
      "is_external_modification_allowed": False}],
)  # fmt: skip
def test_conversion_must_be_asked_for_rightly(house: Premises, wish: dict[str, Any]) -> None:
    assert house.refused(UNMANAGED_UPDATE, **wish) == (400, "invalid_input")


# -- changing -------------------------------------------------------------------------------------------------------


def test_change_is_pending_until_the_lock_has_it(house: Premises) -> None:
    code = managed(house, house.lock(), ends_at="2099-01-01T00:00:00Z")["access_code_id"]
    wish = {"access_code_id": code, "name": "Guest 2", "code": "0816", "ends_at": "2099-02-01T00:00:00Z"}
    assert house.call("PATCH", UPDATE, body=wish).json() == OK
    assert house.call("PATCH", UPDATE, body=wish).json() == OK
    before = shown(house, code)
    assert (before["name"], before["code"], before["status"]) == ("Guest", "0815", "setting")
    first, last = "2099-01-01T00:00:00.000Z", "2099-02-01T00:00:00.000Z"
    assert untimed(before["pending_mutations"]) == [
        {"mutation_code": "updating_name", "from": {"name": "Guest"}, "to": {"name": "Guest 2"}},
        {"mutation_code": "updating_code", "from": {"code": "0815"}, "to": {"code": "0816"}},
        {
            "mutation_code": "updating_time_frame",
            "from": {"starts_at": None, "ends_at": first},
            "to": {"starts_at": None, "ends_at": last},
        },
    ]
    carry_out(house)
    after = shown(house, code)
    assert (after["name"], after["code"], after["ends_at"]) == ("Guest 2", "0816", last)
    assert (after["status"], after["pending_mutations"]) == ("set", [])
    assert house.call("PATCH", UPDATE, body=wish).json() == OK
    assert asked(house) == []


def test_pending_change_shows_no_pin_to_who_may_not_read_it(house: Premises) -> None:
    code = managed(house, house.lock())["access_code_id"]
    house.post(UPDATE, access_code_id=code, code="0816")
    blind = house.limited("read access_code.tenant")
    answer = house.get(GET, blind, access_code_id=code)
    assert untimed(answer.json()["access_code"]["pending_mutations"]) == [
        {"mutation_code": "updating_code", "from": {"code": None}, "to": {"code": None}}
    ]
    assert b"0816" not in answer.body


def test_time_frame_ends_with_the_type_or_with_null(house: Premises) -> None:
    lock = house.lock()
    for wish in ({"type": "ongoing"}, {"ends_at": None}):
        code = managed(house, lock, ends_at="2099-01-01T00:00:00Z", code=str(1000 + len(house.codes(lock, ""))))
        house.post(UPDATE, access_code_id=code["access_code_id"], **wish)
        carry_out(house)
        after = shown(house, code["access_code_id"])
        assert (after["type"], after["ends_at"], after["name"]) == ("ongoing", None, "Guest")


def test_type_fits_the_times(house: Premises) -> None:
    code = managed(house, house.lock())["access_code_id"]
    at = "2099-01-01T00:00:00Z"
    wishes: tuple[dict[str, Any], ...] = (
        {"type": "ongoing", "ends_at": at}, {"type": "time_bound"}, {"type": "weekly"}, {"is_managed": False},
    )  # fmt: skip
    for wish in wishes:
        assert house.refused(UPDATE, access_code_id=code, **wish) == (400, "invalid_input")
    assert house.post(UPDATE, access_code_id=code, type="time_bound", starts_at=at).json() == OK


def test_flag_alone_changes_without_the_lock(house: Premises) -> None:
    code = managed(house, house.lock())["access_code_id"]
    assert house.post(UPDATE, access_code_id=code, allow_external_modification=True, is_managed=True).json() == OK
    assert shown(house, code)["is_external_modification_allowed"] is True
    assert asked(house) == []


# -- deleting -------------------------------------------------------------------------------------------------------


def attempt(answer: Any) -> tuple[str, str, Any, Any]:
    body = answer.json()
    assert body.keys() == {"ok", "action_attempt"}
    tried = body["action_attempt"]
    assert len(tried["action_attempt_id"]) == 36
    return tried["action_type"], tried["status"], tried["result"], tried["error"]


PENDING = ("DELETE_ACCESS_CODE", "pending", None, None)
SUCCESS: tuple[Any, ...] = ("DELETE_ACCESS_CODE", "success", {}, None)


@pytest.mark.parametrize(("path", "getting"), [(DELETE, GET), (UNMANAGED_DELETE, UNMANAGED_GET)])
def test_deletion_that_is_sent_again_does_not_look_like_a_failure(house: Premises, path: str, getting: str) -> None:
    lock = house.lock()
    code = managed(house, lock)["access_code_id"] if path == DELETE else found(house, lock)
    query = f"access_code_id={code}&_strict=true"
    first, again = (house.call("DELETE", path, query=query) for _ in range(2))
    assert (attempt(first), first.json()) == (PENDING, again.json())
    if path == DELETE:
        assert untimed(shown(house, code)["pending_mutations"]) == [{"mutation_code": "deleting"}]
        assert shown(house, code)["status"] == "removing"
    carry_out(house)
    assert house.refused(getting, access_code_id=code) == NO_CODE
    assert attempt(house.call("DELETE", path, query=query)) == SUCCESS
    assert attempt(house.post(path, access_code_id=code)) == SUCCESS


def test_code_that_the_lock_never_held_is_gone_at_once(house: Premises) -> None:
    lock = house.lock()
    code = house.post(CREATE, device_id=uuid(lock)).json()["access_code"]["access_code_id"]
    carry_out(house, "failed")
    assert attempt(house.post(DELETE, access_code_id=code)) == SUCCESS
    assert house.refused(GET, access_code_id=code) == NO_CODE


def test_what_was_gone_as_one_kind_was_never_of_the_other(house: Premises) -> None:
    code = found(house, house.lock())
    house.post(UNMANAGED_DELETE, access_code_id=code)
    carry_out(house)
    assert house.refused(DELETE, access_code_id=code) == NO_CODE
    assert Premises(house.api).refused(UNMANAGED_DELETE, access_code_id=code) == NO_CODE


def test_code_that_cannot_be_deleted_stays(house: Premises) -> None:
    code = found(house, house.lock(), cannotDelete=True)
    answer = house.post(UNMANAGED_DELETE, access_code_id=code)
    assert (answer.status, answer.json()["error"]["type"]) == (409, "conflict")
    assert asked(house) == []


# -- what is not there, and what is not allowed ---------------------------------------------------------------------


def test_each_kind_is_unknown_to_the_other_s_routes_and_to_other_workspaces(house: Premises) -> None:
    lock, other = house.lock(), Premises(house.api)
    ours, plain = managed(house, lock)["access_code_id"], found(house, lock)
    refusals = []
    for path, code in ((CONVERT, ours), (UNMANAGED_DELETE, ours), (UPDATE, plain), (DELETE, plain)):
        refusals.append(house.post(path, access_code_id=code).json())
    for path, code in ((CONVERT, plain), (UNMANAGED_DELETE, plain), (UPDATE, ours), (DELETE, ours)):
        refusals.append(other.post(path, access_code_id=code).json())
        refusals.append(other.post(path, access_code_id=UNKNOWN).json())
    refusals += [house.post(path, access_code_id=ours, device_id=UNKNOWN).json() for path in (UPDATE, DELETE)]
    refusals.append(other.post(UNMANAGED_UPDATE, access_code_id=plain, is_managed=True).json())
    for refusal in refusals:
        assert refusal["error"].pop("request_id")
        assert refusal == refusals[0]
    assert refusals[0]["error"]["type"] == "access_code_not_found"
    assert asked(house) == []


@pytest.mark.parametrize(
    ("path", "permission", "wish"),
    [
        (CREATE, "create access_code.tenant", {"device_id": UNKNOWN}),
        (UPDATE, "update access_code.tenant", {"access_code_id": UNKNOWN}),
        (DELETE, "delete access_code.tenant", {"access_code_id": UNKNOWN}),
        (CONVERT, "update access_code.tenant", {"access_code_id": UNKNOWN}),
        (UNMANAGED_UPDATE, "update access_code.tenant", {"access_code_id": UNKNOWN, "is_managed": True}),
        (UNMANAGED_DELETE, "delete access_code.tenant", {"access_code_id": UNKNOWN}),
    ],
)
def test_each_change_needs_its_permission(house: Premises, path: str, permission: str, wish: dict[str, Any]) -> None:
    answer = house.post(path, house.limited("read access_code.tenant"), **wish)
    assert (answer.status, permission in answer.json()["error"]["message"]) == (403, True)


def test_creator_who_may_not_read_pins_is_not_shown_the_chosen_one(house: Premises) -> None:
    key = house.limited("create access_code.tenant")
    code = house.post(CREATE, key, device_id=uuid(house.lock())).json()["access_code"]
    assert (code["code"], code["status"]) == (None, "setting")
