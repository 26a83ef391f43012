"""What lines of the log look like."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from pushgate import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Hour:
    """A clock that goes on when it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class GoneAway(io.StringIO):
    """The pipe to a program that has ended."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the log of the other tests as it was."""
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**configured)
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


def said(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_begins_with_what_every_line_has() -> None:
    stream = io.StringIO()
    logs.configure(Hour(), stream=stream)
    structlog.get_logger().info("gateway.listening", address="127.0.0.1:8080")
    (line,) = said(stream)
    assert [*line] == ["timestamp", "level", "event", "address"]
    assert line["timestamp"].endswith("Z") and (line["level"], line["event"]) == ("info", "gateway.listening")


def test_a_terminal_gets_lines_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """In colours, unless it is told not to; and as JSON if that is asked for."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    painted, plain, asked = Terminal(), Terminal(), Terminal()
    logs.configure(Hour(), stream=painted)
    structlog.get_logger().info("drain.began", connections=3)
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure(Hour(), stream=plain)
    structlog.get_logger().info("drain.began", connections=3)
    logs.configure(Hour(), stream=asked, form="json")
    structlog.get_logger().info("drain.began", connections=3)
    assert "\x1b[" in painted.getvalue()
    assert "\x1b[" not in plain.getvalue() and "drain.began" in plain.getvalue() and "connections=3" in plain.getvalue()
    assert said(asked)[0]["connections"] == 3


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("hostile", ["/a\n2026 [error] forged.line", "/a\x1b[2J", "/a\u2028b", "/a\u202eb", "/a\x85b"])
def test_nobody_else_can_write_a_line(form: logs.LogFormat, hostile: str) -> None:
    """What others send ends no line, and moves no terminal."""
    stream = io.StringIO()
    logs.configure(Hour(), stream=stream, form=form)
    structlog.get_logger().info("poll.skipped", topic=hostile, reason="budget", detail=hostile)
    written = stream.getvalue()
    assert written.count("\n") == 1 and written.endswith("\n")
    assert written[:-1].isprintable()


def test_a_line_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    logs.configure(Hour(), stream=stream, level="warning")
    log = structlog.get_logger()
    log.info("drain.began")
    log.warning("memory.full")
    assert [line["event"] for line in said(stream)] == ["memory.full"]


def test_what_libraries_say_has_the_same_form() -> None:
    """With its traceback, and Python's own warnings too."""
    stream = io.StringIO()
    logs.configure(Hour(), stream=stream)
    logging.getLogger("aiohttp.server").info("nothing of note")
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("asyncio").exception("a task of %s failed", "ours")
    warnings.simplefilter("always")
    warnings.warn("this goes away", DeprecationWarning, stacklevel=1)
    crashed, warned = said(stream)
    assert (crashed["event"], crashed["logger"], crashed["message"]) == (
        *("library.said", "asyncio"),
        "a task of ours failed",
    )
    assert crashed["level"] == "error" and crashed["exception"].startswith("Traceback")
    assert (warned["level"], warned["logger"]) == ("warning", "py.warnings") and "goes away" in warned["message"]


def test_a_trouble_that_goes_on_is_told_once_a_minute_and_when_it_ends() -> None:
    clock, stream = Hour(), io.StringIO()
    logs.configure(clock, stream=stream)
    log = structlog.get_logger()
    for second in range(0, 90, 5):
        clock.now = second
        log.warning("poll.failed", topic="/a", reason="timeout")
    clock.now = 100
    log.info("poll.recovered", topic="/a", failures=18)
    lines = [{name: line[name] for name in line if name not in ("timestamp", "level")} for line in said(stream)]
    assert lines == [
        {"event": "poll.failed", "topic": "/a", "reason": "timeout"},
        {"event": "poll.failed", "topic": "/a", "reason": "timeout", "repeated": 11},
        {"event": "poll.recovered", "topic": "/a", "failures": 18, "repeated": 5, "seconds": 100.0},
    ]


def test_ten_thousand_topics_do_not_fill_the_disk() -> None:
    """An outage of their backend, and its end, are a hundred lines each; how many are missing, the next minute says."""
    clock, stream = Hour(), io.StringIO()
    logs.configure(clock, stream=stream)
    log = structlog.get_logger()
    topics = [f"/t/{number}" for number in range(10_000)]
    for topic in topics:
        log.warning("poll.failed", topic=topic, reason="connect")
        log.info("topic.turned", topic=topic, state="stale")
    for topic in topics:
        log.info("poll.recovered", topic=topic)
    clock.now = 61
    log.info("topic.turned", topic="/t/0", state="live")
    lines = said(stream)
    assert len(lines) == 301 and lines[-1]["others"] == 9900


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    logs.configure(Hour(), stream=GoneAway())
    structlog.get_logger().error("poll.crashed", topic="/a")
