"""
Durations, sizes, rates and percentages: from the words of gateway.yaml to numbers, and back.

Rule 1: a number without a unit is nothing, not even zero: `0s`, not `0`.
Rule 2: what is written by ``*_text`` reads back as the same value.
Rule 3: whatever cannot be read raises ValueError, with a message that shows how to write it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_BYTES = {
    "B": 1,
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}

# Largest unit first and each at most once: 1m30s, never 30s1m. Twelve digits keep every sum an exact double.
_DURATION = re.compile(r"(?:(\d{1,12})d)?(?:(\d{1,12})h)?(?:(\d{1,12})m)?(?:(\d{1,12})s)?(?:(\d{1,12})ms)?", re.ASCII)
_SIZE = re.compile(rf"(\d{{1,12}})({'|'.join(_BYTES)})", re.ASCII)
_RATE = re.compile(r"(\d{1,12})/([smhd])", re.ASCII)
_PERCENTAGE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)%", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of something are allowed in how many seconds."""

    count: int
    per: float

    def __str__(self) -> str:
        unit = next(unit for unit, seconds in _SECONDS.items() if seconds == self.per)
        return f"{self.count}/{unit}"

    @property
    def per_second(self) -> float:
        return self.count / self.per


def parse_duration(text: str) -> float:
    """Return the seconds of ``250ms``, ``5s``, ``1m30s``, ``2h`` or ``1d``."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"`{text}` is no duration; write it like 250ms, 5s, 1m30s, 2h or 1d")
    counts = zip(match.groups(), _MILLISECONDS.values(), strict=True)
    return sum(int(count or 0) * unit for count, unit in counts) / 1_000


def duration_text(seconds: float) -> str:
    """Return the shortest text of a duration; what is finer than a millisecond is rounded."""
    rest = round(seconds * 1_000)
    parts = []
    for unit, milliseconds in _MILLISECONDS.items():
        count, rest = divmod(rest, milliseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Return the bytes of ``64KB`` (thousands) or ``16MiB`` (1024s)."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is no size; write it like 512B, 64KB, 10MB or 16MiB")
    return int(match[1]) * _BYTES[match[2]]


def size_text(size_bytes: int) -> str:
    """Return the shortest exact text of a size: ``10MB``, ``16MiB``, ``1536B``."""
    fitting = [
        (size_bytes // unit, name) for name, unit in _BYTES.items() if size_bytes >= unit and size_bytes % unit == 0
    ]
    count, name = min(fitting, default=(size_bytes, "B"))
    return f"{count}{name}"


def parse_rate(text: str) -> Rate:
    """Return the rate of ``10/s``, ``300/m``, ``600/h`` or ``50000/d``."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is no rate; write it like 10/s, 300/m, 600/h or 50000/d")
    if int(match[1]) == 0:
        raise ValueError(f"`{text}` lets nothing through; it must be above 0")
    return Rate(int(match[1]), _SECONDS[match[2]])


def parse_percentage(text: str) -> float:
    """Return the fraction (0 to 1) of ``10%``."""
    match = _PERCENTAGE.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is no percentage; write it like 10% or 0.5%")
    if float(match[1]) > 100:
        raise ValueError(f"`{text}` must be at most 100%")
    return float(match[1]) / 100


def percentage_text(fraction: float) -> str:
    # Six decimals is what parse_percentage takes; anything beyond is the binary fraction's noise.
    return f"{round(fraction * 100, 6):.6f}".rstrip("0").rstrip(".") + "%"
