"""`reference/errors.md`: the kinds of problem documents, and the rules that their faults name."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec

from docs.generator import markdown
from docs.generator.source import Rule, rules
from heliograph.errors import Invalid
from heliograph.eventlog.submission import read_event
from heliograph.http.problems import CONTENT_TYPE, all_problems, body_of

_FAULTY = b'{"eventCode": 10001, "criticality": 7, "colour": "red"}'
_REQUEST_ID = "0197b3d1527578a1b2c3d4e5f6071829"

_INTRODUCTION = f"""\
# Errors

Every refusal is a problem document (RFC 9457, `{CONTENT_TYPE.decode()}`), whatever the route, also for unknown paths,
wrong methods and requests that are not even HTTP. This answers `{_FAULTY.decode()}`:"""

_FIELDS = """\
| Field | Meaning |
|---|---|
| `type` | the kind of problem; programs compare this |
| `title` | the same for people, always alike for one kind |
| `status` | the HTTP status again |
| `detail` | what is wrong this time |
| `errors` | each place that breaks a rule: `pointer`, `rule`, `message`; empty when no single place is at fault |
| `requestId` | what to quote when you report it; also in the header `x-request-id` of every answer |

A `pointer` is a JSON Pointer (RFC 6901) into the body, or `query/<name>`, `header/<name>` or `path/<name>`. In a batch
it begins with the index of the event: `/3/criticality`. Refused events of a batch carry the same `errors` inside the
answer's `results`."""

_RULES = """\
## Rules

What `rule` can say, for programs that react to single faults, and the words that come with it (`…` stands for what is
put in). Where a body is checked by a JSON Schema, ours or that of a tenant's own type, the rule is the
keyword of the schema: `type`, `minimum`, `maximum`, `minLength`, `maxLength`, `pattern`, `enum`, `const`, and so on."""


def page() -> str:
    """Return the whole page."""
    rows = [
        (str(problem.status), markdown.code(f"/problems/{problem.slug}"), problem.title, problem.remedy)
        for problem in sorted(all_problems(), key=attrgetter("status"))
    ]
    return markdown.document(
        "`heliograph/http/problems.py` and the source",
        _INTRODUCTION,
        markdown.json_block(_example()),
        _FIELDS,
        markdown.heading(2, "Kinds"),
        markdown.table(("Status", "`type`", "Title", "What to do"), rows),
        _RULES,
        markdown.table(("Rule", "Words"), _rule_rows()),
    )


def _example() -> Any:
    """Return the document that answers an event with two faults."""
    try:
        read_event(_FAULTY)
    except Invalid as refusal:
        return msgspec.to_builtins(body_of(refusal, _REQUEST_ID))
    raise AssertionError("The example is refused by no rule.")


def _rule_rows() -> list[tuple[str, str]]:
    return [(markdown.code(slug), _words(found)) for slug, found in groupby(rules(), attrgetter("slug"))]


def _words(found: Iterable[Rule]) -> str:
    """Put the messages of a rule below each other; one that comes from elsewhere has no words of its own."""
    return "<br>".join(rule.message for rule in found if rule.message.strip("… .")) or markdown.NOTHING
