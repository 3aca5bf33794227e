"""The events of every run: 40 types and codes, 2,000 targets, all criticalities, about 800 bytes each."""

from __future__ import annotations

import json
import random

TYPES = [f"com.example.fleet.{noun}.{verb}" for noun in ("door", "screen", "gateway", "sensor", "lock")
         for verb in ("opened", "closed", "failed", "restarted", "updated", "moved", "paired", "lost")]  # fmt: skip
TARGETS = 2000
DISTINCT = 4000
_WORDS = ["north", "harbour", "lobby", "firmware", "battery", "signal", "operator", "schedule", "badge", "corridor"]


def make_event(rng: random.Random) -> dict[str, object]:
    """Make one event in the native shape."""
    kind = rng.randrange(len(TYPES))
    return {
        "type": TYPES[kind],
        "eventCode": 10_000 + kind,
        "criticality": rng.randrange(5),
        "targetEntityType": "Device",
        "targetEntityId": f"device-{rng.randrange(TARGETS):06d}",
        "payload": {
            "site": rng.choice(_WORDS),
            "firmware": f"{rng.randrange(9)}.{rng.randrange(40)}.{rng.randrange(900)}",
            "uptimeSeconds": rng.randrange(10_000_000),
            "battery": rng.randrange(101),
            "notes": [" ".join(rng.choices(_WORDS, k=10)) for _ in range(7)],
            "actor": {"badge": rng.randrange(100_000), "name": rng.choice(_WORDS)},
        },
    }


def events(count: int = DISTINCT) -> list[bytes]:
    """Make `count` events as compact JSON, always the same ones."""
    rng = random.Random(4711)
    return [json.dumps(make_event(rng), separators=(",", ":")).encode() for _ in range(count)]


def batches(size: int, count: int = 100) -> list[bytes]:
    """Make JSON arrays of `size` events each."""
    pool = events()
    rng = random.Random(815)
    return [b"[" + b",".join(rng.choices(pool, k=size)) + b"]" for _ in range(count)]
