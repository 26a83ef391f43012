"""
What a terminal gets to see: colours if it knows them, unless ``NO_COLOR`` is set (no-color.org), and nothing of what a
backend may say to a terminal.
"""

from __future__ import annotations

import os
import re
from typing import Any, TextIO

# C0 and C1 controls, and what turns the direction of a line around.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def legible(value: Any) -> Any:
    """Return a text, or a JSON value with all its texts, with control characters written out."""
    match value:
        case str():
            return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), value)
        case dict():
            return {legible(name): legible(inner) for name, inner in value.items()}
        case list() | tuple():
            return [legible(inner) for inner in value]
        case _:
            return value


class Paint:
    """Paints texts for one stream, or leaves them as they are."""

    def __init__(self, stream: TextIO) -> None:
        is_dumb = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self._is_on = stream.isatty() and not is_dumb

    def bold(self, text: str) -> str:
        return self._painted("1", text)

    def red(self, text: str) -> str:
        return self._painted("31", text)

    def yellow(self, text: str) -> str:
        return self._painted("33", text)

    def green(self, text: str) -> str:
        return self._painted("32", text)

    def dim(self, text: str) -> str:
        return self._painted("2", text)

    def comments(self, text: str) -> str:
        """Let the comments of a YAML text step back behind the lines that count."""
        lines = text.splitlines(keepends=True)
        return "".join(self._dimmed(line) if line.lstrip().startswith("#") else line for line in lines)

    def _dimmed(self, line: str) -> str:
        return f"{self.dim(line.rstrip())}\n"

    def _painted(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._is_on else text
