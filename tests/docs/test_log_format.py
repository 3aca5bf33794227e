"""The worked example of the page on the log's format is what the code writes."""

from __future__ import annotations

import hashlib
import json
import re

import msgspec

from heliograph.eventlog.model import Actor, Envelope, Prepared, prepare
from heliograph.eventlog.submission import read_event
from heliograph.ids import parse_uid
from tests.docs.pages import ROOT, blocks

PAGE = (ROOT / "docs" / "log-format.md").read_text()
SALT = bytes(range(32))


def example() -> Prepared:
    """Prepare the event that the page shows, with the actor, id and salt that it shows."""
    sent, stored = (block.text for block in list(blocks(PAGE))[1:3])
    envelope = json.loads(stored)
    actor = msgspec.convert(envelope["actor"], Actor)
    return prepare(read_event(sent.strip().encode()), uid=parse_uid(envelope["id"], "id"), salt=SALT, actor=actor)


def test_documented_envelope_is_what_is_written_byte_for_byte() -> None:
    event = example()
    assert f"\n```text\n{event.envelope.decode()}\n```\n" in PAGE
    assert f"these {len(event.envelope)} bytes" in PAGE


def test_documented_commitment_is_the_hash_of_salt_and_payload() -> None:
    event = example()
    assert f"`{event.payload.decode()}`" in PAGE
    assert f"the {len(event.payload)} bytes" in PAGE
    assert PAGE.count(hashlib.sha256(SALT + event.payload).hexdigest()) == 3


def test_every_field_of_the_envelope_is_documented_in_its_order() -> None:
    section = PAGE.split("## Envelope")[1].split("\n## ")[0]
    documented = [
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert documented == [field.encode_name for field in msgspec.structs.fields(Envelope)]
