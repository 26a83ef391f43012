"""Log lines: an event name and fields. Bodies, keys and tokens are never among them."""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """
    Write log lines to standard error: for people on a terminal, as JSON otherwise.

    Tracebacks are plain: those with the values of local variables would show documents and credentials.
    """
    renderers: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    if sys.stderr.isatty():
        renderers = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
