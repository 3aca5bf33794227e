"""How this process logs: one line a record, as text for people or as JSON for machines, never a secret.

Everything goes through the standard `logging`, so the records of the core and of libraries look alike.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import Processor

_SECRETS = (
    (re.compile(r"\b((?:seam_)?hgd?_[\w-]{4})[\w-]{12,}"), r"\1..."),
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+@"), r"\1...@"),
    (re.compile(r"(\bpassword\s*=\s*)\S+", re.IGNORECASE), r"\1..."),
)


def redact(text: str) -> str:
    """Cut out what looks like a key, or like the password of an address.

    No code of ours logs one; this is for the messages of libraries, which may repeat what they were given.
    """
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure(log_format: str, stream: TextIO | None = None) -> None:
    """Send all records of this process to `stream` (by default standard error).

    `log_format` is `text`, `json` (one JSON object a line), or `auto`, which is text on a terminal.
    """
    stream = stream or sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_text(stream.isatty()) if as_text else _json()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _text(colors: bool) -> list[Processor]:
    # The default shows each frame's variables, and so perhaps a key.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, pad_event_to=0)]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
