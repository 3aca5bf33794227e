"""The routes of access codes, and those by which connectors report them and change them on locks."""

from __future__ import annotations

from heliograph.http import access_codes, code_changes, operations
from heliograph.http.jobs import JobBody
from heliograph.http.lists import ListQuery, TenantQuery
from heliograph.http.routes import Example, Route

_TAG = "access codes"

ACCESS_CODES = (
    Route(
        method="PUT", path="/v1/devices/{uid}/access-code-report", handler=access_codes.report_access_codes,
        permission=access_codes.REPORT, tag=_TAG, summary="Report the access codes of a lock",
        description=(
            "Codes that were not known are discovered; those that a complete report lacks have vanished. The same"
            " report again changes nothing, and one whose `reportedAt` is older than that of the latest has no effect."
            " A report with up to 100 changes is applied at once; a longer one is taken, and the answer is the job"
            " that applies it. A code with neither `externalId` nor `code` is refused, alone. 422 when the device"
            " belongs to no connected account."
        ),
        query=TenantQuery, body=access_codes.AccessCodeReport,
        answers={200: access_codes.AccessCodeReportBody, 202: JobBody}, size="report_bytes",
        example=Example(
            body={
                "complete": True,
                "reportedAt": "2026-03-02T08:15:28Z",
                "codes": [
                    {"externalId": "17", "code": "4711", "name": "Cleaning"},
                    {
                        "externalId": "18", "name": "Guest, room 12", "type": "time_bound",
                        "startsAt": "2026-03-02T14:00:00Z", "endsAt": "2026-03-05T10:00:00Z",
                    },
                ],
            }
        ),
    ),
    Route(
        method="GET", path="/v1/access-codes", handler=access_codes.list_access_codes, permission=access_codes.READ,
        tag=_TAG, summary="List access codes",
        description="Lists the codes that pass every filter, those known the longest first. PINs are never in lists.",
        query=access_codes.AccessCodesQuery, answers={200: access_codes.AccessCodeList},
        example=Example(query="managed=false&namePrefix=guest&limit=10"),
    ),
    Route(
        method="GET", path="/v1/access-codes/{id}", handler=access_codes.show_access_code,
        permission=access_codes.READ, tag=_TAG, summary="Get an access code",
        description="`pin=true` also needs the permission `read_pin access_code.tenant`.",
        query=access_codes.AccessCodeQuery, answers={200: access_codes.AccessCodeBody},
    ),
    Route(
        method="POST", path="/v1/access-codes", handler=code_changes.create_access_code,
        permission=code_changes.CREATE, tag=_TAG, summary="Create a managed access code",
        description=(
            "The code is known at once, with the status `setting`; the lock's connector sets it. 409 when the lock"
            " holds a code with these digits, 422 when the device belongs to no connected account."
        ),
        query=TenantQuery, body=code_changes.NewAccessCode,
        answers={202: code_changes.AccessCodeChange, 200: code_changes.AccessCodeChange},
        idempotent_by_key=True,
    ),
    Route(
        method="PATCH", path="/v1/access-codes/{id}", handler=code_changes.update_access_code,
        permission=code_changes.UPDATE, tag=_TAG, summary="Change a managed access code",
        description=(
            "The lock's connector makes the change; until it has, the code is shown as it was, with the status"
            " `setting`. 200 when the lock need not know. A code that is `unset` or `unknown` is set again, also by an"
            " empty change. The same request again is answered with the operation under way, another one with 409."
        ),
        query=TenantQuery, body=code_changes.AccessCodePatch,
        answers={202: code_changes.AccessCodeChange, 200: code_changes.AccessCodeChange}, headers=("If-Match",),
    ),
    Route(
        method="DELETE", path="/v1/access-codes/{id}", handler=code_changes.delete_access_code,
        permission=code_changes.DELETE, tag=_TAG, summary="Remove an access code from its lock",
        description=(
            "The lock's connector removes it; 204 when the lock did not hold it. 409 when the code is not managed and"
            " `cannotDelete`. The same request again is answered with the operation under way."
        ),
        query=TenantQuery, answers={202: operations.OperationBody, 204: None}, headers=("If-Match",),
    ),
    Route(
        method="POST", path="/v1/access-codes/{id}/convert", handler=code_changes.convert_access_code,
        permission=code_changes.UPDATE, tag=_TAG, summary="Take an unmanaged access code over",
        description=(
            "The lock's connector takes it over. What is in the way and known without the lock makes the operation"
            " fail at once: then it is answered as `failed`, with its causes. 409 when the code is managed."
        ),
        query=TenantQuery, body=code_changes.Conversion, body_required=False,
        answers={202: operations.OperationBody, 200: operations.OperationBody}, idempotent_by_key=True,
    ),
    Route(
        method="GET", path="/v1/access-codes/{id}/operations", handler=operations.list_code_operations,
        permission=operations.READ, tag=_TAG, summary="List the operations about an access code",
        description="Newest first; also those about a code that is gone by now.",
        query=ListQuery, answers={200: operations.OperationList},
    ),
    Route(
        method="GET", path="/v1/device-operations", handler=operations.take_operations,
        permission=operations.TAKE, tag=_TAG, summary="Take operations to carry out",
        description=(
            "Gives out what is to be done, the oldest first, each to one connector at a time: until `leasedUntil`"
            " nobody else is offered it, afterwards it is offered again. `wait` is how many seconds the request waits"
            " for the first."
        ),
        query=operations.OperationsQuery, answers={200: operations.OperationBatch}, streams=True,
        example=Example(query="limit=10"),
    ),
    Route(
        method="GET", path="/v1/device-operations/{id}", handler=operations.show_operation,
        permission=operations.TAKE, tag=_TAG, summary="Get an operation",
        query=TenantQuery, answers={200: operations.OperationBody},
    ),
    Route(
        method="POST", path="/v1/device-operations/{id}/complete", handler=operations.complete_operation,
        permission=operations.TAKE, tag=_TAG, summary="Complete an operation",
        description=(
            "Says how an operation ended, once, with the key that took it. The same again is answered with the first"
            " result, anything else with 409. A failure without `errors` counts as `device_rejected`."
        ),
        query=TenantQuery, body=operations.CompletionGiven, answers={200: operations.OperationBody},
    ),
)  # fmt: skip
