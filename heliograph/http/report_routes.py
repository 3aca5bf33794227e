"""The routes by which devices report."""

from __future__ import annotations

from heliograph.http import reports
from heliograph.http.lists import TenantQuery
from heliograph.http.routes import Example, Route

REPORTS = (
    Route(
        method="POST",
        path="/v1/devices/{uid}/reports",
        handler=reports.create_report,
        permission=reports.REPORT,
        tag="devices",
        summary="Report what a device says of itself",
        description=(
            "Sessions, battery, telemetry, errors and warnings, all in one transaction with the events they give"
            " cause to. A device with a token of its own reports for itself only. What a report contains that"
            " something newer has overtaken is named in `ignored` and has no effect."
        ),
        query=TenantQuery,
        body=reports.ReportBody,
        answers={200: reports.PresenceBody},
        example=Example(
            body={
                "session": {"state": "online", "sessionId": "boot-17"},
                "battery": {"level": 0.18, "charging": False},
                "telemetry": [{"name": "temperature", "data": {"celsius": 41.5}}],
                "warnings": [{"code": "hot", "message": "The case is above 40 degrees."}],
            }
        ),
    ),
)
