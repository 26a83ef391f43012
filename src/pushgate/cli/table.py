"""A table that fits into a terminal: columns that can do with less give way, in the order in which they are named."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TextIO

_GAP = "  "

# What a column keeps, so that one still sees what it is about.
_LEAST = 12


def width_of(stream: TextIO) -> int | None:
    """Return how wide lines may be; None if nobody looks at them on a terminal, and nothing shall be lost."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def table(rows: Sequence[Sequence[str]], *, width: int | None, giving_way: Sequence[int]) -> list[str]:
    """Return the lines of a table whose first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        widths = _fitted(widths, width, giving_way)
    return [
        _GAP.join(_cell(text, size) for text, size in zip(row, widths, strict=True)).rstrip()[:width] for row in rows
    ]


def _fitted(widths: Sequence[int], width: int, giving_way: Sequence[int]) -> list[int]:
    fitted = [*widths]
    for column in giving_way:
        excess = sum(fitted) + len(_GAP) * (len(fitted) - 1) - width
        fitted[column] -= max(0, min(excess, fitted[column] - min(_LEAST, fitted[column])))
    return fitted


def _cell(text: str, size: int) -> str:
    return (text if len(text) <= size else f"{text[: size - 1]}…").ljust(size)
