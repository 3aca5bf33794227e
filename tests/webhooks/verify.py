"""Verifies deliveries with the SDK of the interpreter that runs this file: one JSON document a line in, one a line out.

`{"secret", "headers", "body"}`, the body as base64, is answered with null, or with why the SDK refuses it.
"""

from __future__ import annotations

import base64
import json
import sys

from seam import SeamWebhook


def refusal(wish: dict[str, str], headers: dict[str, str]) -> str | None:
    """Return why a delivery is refused."""
    try:
        SeamWebhook(wish["secret"]).verify(base64.b64decode(wish["body"]).decode(), headers)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    for line in sys.stdin:
        wish = json.loads(line)
        print(json.dumps(refusal(wish, wish["headers"])), flush=True)
