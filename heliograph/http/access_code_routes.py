"""The routes of access codes, and the one by which connectors report them."""

from __future__ import annotations

from heliograph.http import access_codes
from heliograph.http.jobs import JobBody
from heliograph.http.lists import TenantQuery
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
)  # fmt: skip
