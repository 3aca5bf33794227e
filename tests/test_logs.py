"""What this process logs: one line a record, in the form that was asked for, and never a secret."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from heliograph import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "hg_" + "Aa0_-" * 8
URL = "postgresql://heliograph:geheim%40@db.example:5432/events"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a test does to the logging of the process."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers
    yield
    root.level, root.handlers = level, handlers
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def logged(log_format: str, stream: io.StringIO | None = None) -> io.StringIO:
    """Configure logging in that form and return where it goes."""
    stream = stream or io.StringIO()
    logs.configure(log_format, stream)
    return stream


def only_line(stream: io.StringIO) -> Any:
    """Return the one JSON document that was logged."""
    (line,) = stream.getvalue().splitlines()
    return json.loads(line)


def fail_with(secret: str) -> None:
    """Log a failure whose frames hold a secret."""
    password = secret
    try:
        raise ValueError(f"cannot use {password}")
    except ValueError:
        logging.getLogger("heliograph.storage").exception("request %s failed", "17")


def test_record_of_the_core_becomes_one_json_line() -> None:
    stream = logged("json")
    logging.getLogger("heliograph.storage").warning("the disk is %d%% full", 91)
    line = only_line(stream)
    assert (line["event"], line["level"], line["logger"]) == ("the disk is 91% full", "warning", "heliograph.storage")
    assert line["timestamp"].endswith("Z")


def test_fields_become_members_of_the_line() -> None:
    stream = logged("json")
    structlog.get_logger("heliograph").info("serving", url="http://127.0.0.1:8080", data="data")
    line = only_line(stream)
    assert (line["event"], line["url"], line["data"]) == ("serving", "http://127.0.0.1:8080", "data")


def test_failure_with_its_traceback_stays_one_json_line() -> None:
    stream = logged("json")
    fail_with("nothing secret")
    line = only_line(stream)
    assert line["event"] == "request 17 failed"
    assert line["exception"].endswith("ValueError: cannot use nothing secret")


def test_text_is_for_terminals_unless_told_otherwise() -> None:
    for log_format, stream, is_json in [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("text", io.StringIO(), False),
        ("json", Terminal(), True),
    ]:
        logged(log_format, stream)
        logging.getLogger("heliograph").info("hello")
        assert stream.getvalue().startswith("{") is is_json, (log_format, stream)
        assert "hello" in stream.getvalue()


def test_detail_for_developers_is_left_out() -> None:
    stream = logged("json")
    logging.getLogger("heliograph").debug("much detail")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize(
    ("secret", "hidden"),
    [
        (KEY, KEY[8:]),
        ("seam_" + KEY, KEY[8:]),
        ("hgd_" + KEY[3:], KEY[8:]),
        (URL, "geheim"),
        ("host=db password=geheim user=me", "geheim"),
    ],
)
def test_secrets_are_cut_out_of_messages_and_tracebacks(log_format: str, secret: str, hidden: str) -> None:
    stream = logged(log_format)
    logging.getLogger("heliograph").error("cannot use %s", secret)
    fail_with(secret)
    structlog.get_logger("heliograph").info("serving", database=secret)
    assert hidden not in stream.getvalue()
    assert stream.getvalue().count("...") >= 3


def test_variables_of_a_failed_frame_are_not_shown() -> None:
    stream = logged("text", Terminal())

    def fail(parts: list[str]) -> None:
        held = "".join(parts)
        raise ValueError(len(held))

    try:
        fail(["held in ", "a variable"])
    except ValueError:
        logging.getLogger("heliograph").exception("it failed")
    assert "in fail" in stream.getvalue()
    assert "held in a variable" not in stream.getvalue()


def test_what_only_looks_a_little_like_a_secret_is_kept() -> None:
    text = "http://127.0.0.1:8080/v1/events hg_short user@host 12:30:00 a@b"
    assert logs.redact(text) == text
