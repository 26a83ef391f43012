"""
Log lines: an event name and fields. Bodies, keys and tokens are never among them.

Rule 1: everything that this process says has one form; what a library logs is an event, too (``library.said``).
Rule 2: a trouble that goes on is told now and then, and when it ends (``TROUBLES``, ``ENDS``); what many say at the
same time is told of some (``CROWDS``).
Rule 3: whatever others wrote, it ends no line and moves no terminal: JSON and quotes see to that.
Rule 4: a log that nobody reads any more stops nothing.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO, TypeAlias

import structlog

from .repetition import Ended, Repetitions, Told

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

_Line: TypeAlias = MutableMapping[str, Any]

# What goes on once it has begun: the field that says whose trouble it is, and the one that says which.
TROUBLES: Final[Mapping[str, tuple[str, str]]] = {
    "auth.htpasswd_unusable": ("auth", "error"),
    "auth.key_passed_over": ("url", "key"),
    "auth.keys_unavailable": ("url", "reason"),
    "auth.refused": ("auth", "code"),
    "config.unwatched": ("error", ""),
    "handshake.crashed": ("", ""),
    "library.said": ("logger", "message"),
    "poll.crashed": ("topic", ""),
    "poll.failed": ("topic", "reason"),
    "poll.held": ("topic", "guard"),
    "poll.skipped": ("topic", "reason"),
    "proxy.cut": ("upstream", "reason"),
    "proxy.failed": ("upstream", "reason"),
    "tls.files_unusable": ("files", "error"),
    "upstream.held": ("upstream", "why"),
    "view.failed": ("topic", "detail"),
    "websocket.crashed": ("op", ""),
    "workshop.failed": ("topic", "detail"),
    "write.failed": ("route", "reason"),
}

# What says that a trouble is over, and of whom.
ENDS: Final[Mapping[str, tuple[str, str]]] = {"poll.recovered": ("poll.failed", "topic")}

# What every topic says for itself when something happens to all of them.
CROWDS: Final = frozenset(["poll.recovered", "topic.refused", "topic.turned"])


def configure(
    now: Callable[[], float], *, form: LogFormat | None = None, level: LogLevel = "info", stream: TextIO | None = None
) -> None:
    """
    Write log lines to a stream, standard error if none is given; in no other ``form`` than for people on a terminal and
    as JSON otherwise. ``now`` reads seconds of a clock that does not leap.

    Tracebacks are plain: those with the values of local variables would show documents and credentials.
    """
    stream = stream or sys.stderr
    is_terminal = stream.isatty()
    renderers = _console(stream) if (form or ("console" if is_terminal else "json")) == "console" else _JSON
    structlog.configure(
        processors=[
            _Patience(now),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    # What libraries say below a warning is for those who look for a bug.
    logging.basicConfig(
        handlers=[_Echo()], level=level.upper() if level in ("debug", "error") else "WARNING", force=True
    )


def _in_order(_: object, __: str, line: _Line) -> _Line:
    """Let a line begin with what every line has."""
    head = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    return {**head, **line}


_JSON: Final[list[structlog.typing.Processor]] = [
    structlog.processors.format_exc_info,
    _in_order,
    structlog.processors.JSONRenderer(),
]


def _console(stream: TextIO) -> list[structlog.typing.Processor]:
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty() and not is_plain,
            exception_formatter=structlog.dev.plain_traceback,
            repr_native_str=True,
            sort_keys=False,
        )
    ]


class _Patience:
    """Leaves out what has been told, and says of what is told how much was left out."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._repetitions = Repetitions()

    def __call__(self, _: object, __: str, line: _Line) -> _Line:
        event = line["event"]
        told: Told | Ended | None = Told()
        if (trouble := TROUBLES.get(event)) is not None:
            subject, reason = (str(line.get(name, "")) for name in trouble)
            told = self._repetitions.tell(event, subject, reason, self._now())
        elif (end := ENDS.get(event)) is not None:
            begun, subject = end
            told = self._repetitions.end(begun, str(line[subject]), self._now())
        if told is not None and event in CROWDS:
            crowd = self._repetitions.crowd(event, self._now())
            told = None if crowd is None else told
            line.update({"others": crowd.others} if crowd is not None and crowd.others else {})
        if told is None:
            raise structlog.DropEvent
        line.update(_account(told))
        return line


def _account(told: Told | Ended) -> dict[str, float | int]:
    """Return the fields that tell what was left out; none if nothing was."""
    account: dict[str, float | int] = {"repeated": told.repeated} if told.repeated else {}
    if isinstance(told, Told):
        return account | ({"others": told.others} if told.others else {})
    return account | ({"seconds": round(told.seconds, 3)} if told.seconds is not None else {})


class _Lines:
    """Writes lines as whole ones."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):  # the other end of the pipe is gone, or the stream is closed
            pass

    debug = info = warning = error = critical = exception = msg


class _Echo(logging.Handler):
    """Says what a library logs in our form."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info is not None:
            fields["exc_info"] = record.exc_info
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)  # some have levels of their own
        structlog.get_logger().log(level, "library.said", **fields)
