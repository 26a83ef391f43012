"""Colours, where somebody sees them: on a terminal that knows them, unless ``NO_COLOR`` is set (no-color.org)."""

from __future__ import annotations

import os
from typing import TextIO


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

    def _painted(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._is_on else text
