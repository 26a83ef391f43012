"""Log lines: an event name and fields. Bodies, keys and tokens are never among them."""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """Write log lines to standard error: for people on a terminal, as JSON otherwise."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
