"""Takes steps with the SDK of the interpreter that runs this file: one JSON document a line in, one a line out.

`{"endpoint", "api_key"}` makes a client, `{"call", "with"}` calls one of its methods by its dotted name, and
`{"pages", "with"}` reads a list to its end with the SDK's paginator. The answer is `{"value", "types", "lacking"}`:
the names of the classes that the SDK made, and where None stands that their annotations do not allow; or `{"error"}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import reduce
from types import NoneType
from typing import Any, get_args, get_type_hints

import seam


def step(client: Any, wish: dict[str, Any]) -> Any:
    """Call what is wished for and return what the SDK does."""
    name, parameters = wish.get("call") or wish["pages"], wish["with"]
    method = reduce(getattr, name.split("."), client)
    if "call" in wish:
        return method(**parameters)
    return client.create_paginator(method, parameters).flatten_to_list()


def told(value: Any) -> dict[str, Any]:
    """Return a value of the SDK with the names of its classes."""
    types = [type(item).__name__ for item in value] if isinstance(value, list) else type(value).__name__
    return {"value": value, "types": types, "lacking": sorted(set(lacking(value)))}


def lacking(value: Any) -> Iterator[str]:
    """Yield the fields that the SDK takes for granted and the answer did not have, as `Class.field`."""
    if isinstance(value, list):
        for item in value:
            yield from lacking(item)
    elif is_dataclass(value):
        hints = get_type_hints(type(value))
        for field in fields(value):
            held = getattr(value, field.name)
            if held is None and NoneType not in get_args(hints[field.name]):
                yield f"{type(value).__name__}.{field.name}"
            yield from lacking(held)


def refused(error: Exception, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what a program can learn from an exception of the SDK."""
    by_field = getattr(error, "get_validation_error_messages", None)
    return {
        "name": type(error).__name__,
        "code": getattr(error, "code", None),
        "status": getattr(error, "status_code", None),
        "message": str(error),
        "request_id": getattr(error, "request_id", None),
        "fields": by_field and {name: by_field(name) for name in parameters},
    }


def main() -> None:
    """Take steps until the input ends."""
    client: Any = None
    for line in sys.stdin:
        wish = json.loads(line)
        answer: dict[str, Any]
        try:
            if "endpoint" in wish:
                client = seam.Seam(**wish)
                answer = told(None)
            else:
                answer = told(step(client, wish))
        except Exception as error:
            answer = {"error": refused(error, wish.get("with", {}))}
        print(json.dumps(answer, default=vars), flush=True)


if __name__ == "__main__":
    main()
