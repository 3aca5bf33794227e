"""Custom metadata at its bounds and beyond: the same for connected accounts, devices, recipes and rows of an import."""

from __future__ import annotations

from typing import Any

LONGEST_METADATA = {f"{n:040}": "x" * 500 for n in range(50)}

WRONG_OBJECTS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"a": {"nested": "text"}}, ("/customMetadata/a", "type")),
    ({"a": []}, ("/customMetadata/a", "type")),
    ({"a": 1}, ("/customMetadata/a", "type")),
    ({"a": 1.5}, ("/customMetadata/a", "type")),
    ({"a": None}, ("/customMetadata/a", "type")),
    ({"a/b": "x" * 501}, ("/customMetadata/a~1b", "maxLength")),
    ({"k" * 41: "x"}, ("/customMetadata", "maxLength")),
    ({"": "x"}, ("/customMetadata", "minLength")),
    ({str(n): True for n in range(51)}, ("/customMetadata", "maxProperties")),
]
"""Objects that break one rule each, and the fault by which they are refused."""

WRONG_METADATA: list[tuple[Any, tuple[str, str]]] = [
    *WRONG_OBJECTS,
    ([], ("/customMetadata", "type")),
    ("text", ("/customMetadata", "type")),
    (None, ("/customMetadata", "type")),
]
