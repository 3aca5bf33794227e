"""Fields that many bodies and paths share: uids, uids that may be left out, and the tags of a device or recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import overload

from msgspec import UnsetType

from heliograph.errors import Invalid
from heliograph.http.messages import Request
from heliograph.ids import Uid, parse_uid


def path_uid(request: Request, name: str = "uid") -> Uid:
    """Read the uid in the request's path."""
    return parse_uid(request.parameters[name], f"path/{name}")


@overload
def optional_uid(text: str | None, pointer: str) -> Uid | None: ...
@overload
def optional_uid(text: str | UnsetType | None, pointer: str) -> Uid | UnsetType | None: ...
def optional_uid(text: str | UnsetType | None, pointer: str) -> Uid | UnsetType | None:
    """Read a uid that may be left out, or be null."""
    return parse_uid(text, pointer) if isinstance(text, str) else text


def read_tags(texts: Sequence[str]) -> tuple[Uid, ...]:
    """Read the uids of tags: each once, in the order in which they are kept."""
    return tuple(sorted(set(_as_sent(texts))))


@contextmanager
def tags_as_sent(texts: Sequence[str] | UnsetType) -> Iterator[None]:
    """Let a refusal of what `read_tags` returned name the tags by their places in the list as it was sent."""
    try:
        yield
    except Invalid as refusal:
        sent = [] if isinstance(texts, UnsetType) else _as_sent(texts)
        places = {f"/tagUids/{n}": f"/tagUids/{sent.index(uid)}" for n, uid in enumerate(sorted(set(sent)))}
        refusal.faults = tuple(replace(one, pointer=places.get(one.pointer, one.pointer)) for one in refusal.faults)
        raise


def _as_sent(texts: Sequence[str]) -> list[Uid]:
    return [parse_uid(text, f"/tagUids/{n}") for n, text in enumerate(texts)]
