"""The headers of a request as libcurl takes them; pure."""

from __future__ import annotations

import functools
import re

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# These describe the connection or the message itself and belong to libcurl.
_NOT_OURS = frozenset(
    (
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)


@functools.lru_cache(1000)
def _may_be_named(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None and name.lower() not in _NOT_OURS


def header_lines(headers: tuple[tuple[str, str], ...]) -> list[bytes]:
    """Return headers as libcurl takes them, its own ways of adding some switched off.

    Raises:
        ValueError: when one of them would change the message, or is libcurl's to set.
    """
    lines = [b"Accept-Encoding: identity", b"Expect:", b"Accept:"]
    names = {name.lower() for name, _ in headers}
    if "content-type" not in names:
        lines.append(b"Content-Type:")  # libcurl would claim that it is a form
    if "user-agent" not in names:
        lines.append(b"User-Agent: Heliograph")
    for name, value in headers:
        if not _may_be_named(name) or _CONTROL.search(value):
            raise ValueError(f"the header {name!r} cannot be sent")
        # libcurl leaves a header out that ends in a colon; a semicolon stands for an empty value.
        lines.append(f"{name}: {value}".encode() if value.strip() else f"{name};".encode())
    return lines
