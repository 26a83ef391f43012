"""
Moments in the shapes in which answers write them, and the numbers inside a text.

Times without a zone are read as UTC: whoever compares them allows for that.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

# Seconds since the epoch, for the years 2001 to 2096, and the same in milli-, micro- and nanoseconds.
_EPOCH = (1e9, 4e9)
_SCALES = (1.0, 1e3, 1e6, 1e9)

_DIGITS = re.compile(r"\d{10,19}(?:\.\d+)?")
_HAS_YEAR = re.compile(r"\d{4}|\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2}|[A-Za-z]{3}")
_SHAPES = (
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d %B %Y %I:%M %p",
    "%d %b %Y %I:%M %p",
    "%d %B %Y %H:%M:%S",
    "%A, %d-%b-%Y %H:%M:%S",
    "%b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %Y",
    "%Y%m%d%H%M%S",
)
_ZONE = re.compile(r"\s+(?:UTC|GMT|Z)$")

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d\d)(?:\.\d+)?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def moment_of(value: Any) -> float | None:
    """Return the seconds since the epoch that a value means, or None if it is no moment."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _epoch(float(value))
    if not isinstance(value, str) or not 8 <= len(value) <= 40:
        return None
    if _DIGITS.fullmatch(value):
        return _epoch(float(value)) or _shaped(value)
    return (_written(value) or _shaped(value)) if _HAS_YEAR.search(value) and ":" in value else None


def _epoch(number: float) -> float | None:
    for scale in _SCALES:
        if _EPOCH[0] <= number / scale <= _EPOCH[1]:
            return number / scale
    return None


def _written(text: str) -> float | None:
    """Read ISO 8601, or a date as in HTTP and mail."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return _since_epoch(read(text))
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def _shaped(text: str) -> float | None:
    bare = _ZONE.sub("", text.strip())
    for shape in _SHAPES:
        try:
            return _since_epoch(datetime.strptime(bare, shape))
        except (ValueError, OverflowError):
            continue
    return None


def _since_epoch(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def numbers_of(value: Any) -> tuple[str, tuple[float, ...]] | None:
    """Return the words and the numbers of a value; ``0:01:30`` is 90. None for what holds no number."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return "", (float(value),)
    if not isinstance(value, str) or len(value) > 200:
        return None
    text = _CLOCK.sub(lambda match: str(int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])), value)
    numbers = tuple(map(float, _NUMBER.findall(text)))
    return (_NUMBER.sub("0", text), numbers) if numbers else None
