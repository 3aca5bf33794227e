"""Tables that people wrote name all that there is."""

from __future__ import annotations

import re

from msgspec.structs import fields

from heliograph.http.endpoint_bodies import NewEndpoint
from tests.docs.pages import ROOT


def test_every_field_of_an_endpoint_is_in_the_table_of_what_can_be_chosen() -> None:
    section = (ROOT / "docs" / "how-to" / "receive-webhooks.md").read_text().partition("| Field |")[2]
    rows = [line.split("|")[1] for line in section.partition("\n\n")[0].splitlines()[2:]]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(
        field.encode_name for field in fields(NewEndpoint)
    )
