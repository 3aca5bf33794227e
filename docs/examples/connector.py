"""A connector: does at a lock what Heliograph asks for, and reports what the lock holds."""

import json
import os
import time
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from lock import Lock, Refused

URL, KEY, DEVICE = os.environ["HELIOGRAPH_URL"], os.environ["HELIOGRAPH_KEY"], os.environ["LOCK_UID"]
REPORT_EVERY = int(os.environ.get("REPORT_EVERY", "30"))  # seconds; so long a request for operations waits
lock = Lock("lock.json")


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send a request until it is answered; any of them may arrive twice. A refusal is shown, and is empty."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    while True:
        try:
            with urlopen(Request(URL + path, data, headers, method=method), timeout=REPORT_EVERY + 30) as answer:
                return json.load(answer)
        except HTTPError as refusal:
            print(refusal.read().decode(), flush=True)
            if refusal.code < 500 and refusal.code != 429:
                time.sleep(1)
                return {}
        except (OSError, HTTPException) as error:
            print(error, flush=True)  # the server starts anew, or the answer was lost
        time.sleep(1)


def act(operation: Any) -> dict[str, Any]:
    """Do what is asked, also when an earlier attempt has done it already; return how it ended."""
    code, held, kind = operation["accessCode"], lock.codes(), operation["kind"]
    number = code.pop("externalId")
    try:
        if kind == "remove_access_code":
            lock.remove(number)
        elif kind != "convert_access_code":
            number = lock.put(number or next((key for key in held if held[key] == code), None), code)
        elif number not in held:
            raise Refused("device_rejected", "The lock holds no such code.")
    except Refused as refusal:
        return {"outcome": "failed", "errors": [{"errorCode": refusal.cause, "message": str(refusal)}]}
    return {"outcome": "succeeded", "occurredAt": datetime.now(UTC).isoformat(), "externalId": number}


while True:
    report: dict[str, Any] = {"complete": True, "reportedAt": datetime.now(UTC).isoformat()}
    report["codes"] = [{"externalId": number} | code for number, code in lock.codes().items()]
    call("PUT", f"/v1/devices/{DEVICE}/access-code-report", report)
    for operation in call("GET", f"/v1/device-operations?deviceUid={DEVICE}&wait={REPORT_EVERY}").get("data", ()):
        call("POST", f"/v1/device-operations/{operation['uid']}/complete", act(operation))
