"""
Server-sent events, read as WHATWG HTML section 9.2.6 says: bytes in, blocks out.

Lines end with CR, LF or both; one BOM is passed over; several ``data`` lines are joined; an ``id`` with a NUL is none;
a block without data is no event, and an unfinished one at the end of the stream is not either.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\r|\n")
_decoder_of = getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class Block:
    """One event. ``id``: what this very block says; None if it says nothing, and the position stays where it was."""

    kind: str
    data: str
    id: str | None


class BlockReader:
    """
    Reads one stream. ``last_id``: the last event ID, "" if there was none; ``retry``: in how many seconds to come back,
    None if the stream did not say.
    """

    def __init__(self) -> None:
        self.last_id = ""
        self.retry: float | None = None
        self._decoder = _decoder_of("replace")
        self._is_first = True  # nothing was read yet, so a BOM would be one
        self._ended_with_cr = False  # an LF would belong to it
        self._begun: list[str] = []  # of the line that has not ended
        self._begin()

    def feed(self, data: bytes) -> list[Block]:
        """Return the blocks that these bytes complete."""
        text = self._decoder.decode(data)
        if self._is_first and text:
            self._is_first = False
            text = text.removeprefix("\ufeff")
        if self._ended_with_cr and text:
            text = text.removeprefix("\n")
            self._ended_with_cr = False
        self._ended_with_cr = self._ended_with_cr or text.endswith("\r")
        [*lines, rest] = _LINE_END.split(text)
        if lines:
            lines[0] = "".join([*self._begun, lines[0]])
            self._begun.clear()
        self._begun.append(rest)
        return [block for line in lines if (block := self._take(line)) is not None]

    def _begin(self) -> None:
        self._kind = ""
        self._data: list[str] = []
        self._id: str | None = None

    def _take(self, line: str) -> Block | None:
        if line == "":
            return self._finish()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:  # "" is a comment
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = int(value) / 1000
        return None

    def _finish(self) -> Block | None:
        if self._id is not None:
            self.last_id = self._id
        block = Block(self._kind or "message", "\n".join(self._data), self._id) if self._data else None
        self._begin()
        return block
