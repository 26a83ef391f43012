"""
Requests that are known by heart: whoever polls says the same words each time, but for the cursor.

Reading a request takes longer than answering it. So what was understood once is kept under its words, without the
cursor, and the same words mean the same the next time.

Rule 1: only the very bytes of a whole request count, as one writes it down who was given what aiohttp has read of it.
Whoever writes otherwise (another case, other blanks, two requests at once, half of one) is not recognised, and is read
by aiohttp.
Rule 2: nothing is kept of a request that has a body, is an upgrade, or closes its connection; nor of one that has an id
or a trace of its own, since no other has the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

from ...correlation import CORRELATING
from ...documents.cursors import MAX_CURSOR_LENGTH

# So many requests are kept, of at most so many bytes; the oldest leave. Clients of one program say the same words.
MAX_KNOWN = 10_000
MAX_WORDS = 2048

# What makes a request more than its words, or the last of its connection; and what makes it one of its kind.
_UNFIT = frozenset([b"connection", b"content-length", b"expect", b"transfer-encoding", b"upgrade"])
_UNFIT |= {name.encode() for name in CORRELATING}
_KEEP_ALIVE = b"keep-alive"

_CURSOR = re.compile(rb"GET /[^ ?]*\?(?:[^ &]*&)*?cursor=([A-Za-z0-9._~-]{1,%d})[& ]" % MAX_CURSOR_LENGTH)
_END = b"\r\n\r\n"

T = TypeVar("T")


def words_of(target: str, fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return a GET of HTTP/1.1 as it is usually written; None if it must not be taken for another."""
    lines = [b"GET %s HTTP/1.1" % target.encode("utf-8", "surrogateescape")]
    for name, value in fields:
        if name.lower() in _UNFIT and not (name.lower() == b"connection" and value.lower() == _KEEP_ALIVE):
            return None
        if b"\r" in value or b"\n" in value:
            return None
        lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join(lines) + _END


def without_cursor(request: bytes) -> tuple[bytes, str] | None:
    """Return the words of a whole request without its cursor, and the cursor; None if it is not one that has one."""
    if len(request) > MAX_WORDS or request.find(_END) != len(request) - len(_END):
        return None
    found = _CURSOR.match(request)
    if found is None:
        return None
    begin, end = found.span(1)
    return request[:begin] + request[end:], request[begin:end].decode("ascii")


class Recognition(Generic[T]):
    """What requests mean, by their words."""

    __slots__ = ("_meanings",)

    def __init__(self) -> None:
        self._meanings: dict[bytes, T] = {}

    def learn(self, words: bytes, meaning: T) -> None:
        if len(self._meanings) >= MAX_KNOWN:
            del self._meanings[next(iter(self._meanings))]
        self._meanings[words] = meaning

    def recall(self, words: bytes) -> T | None:
        return self._meanings.get(words)

    def forget(self) -> None:
        """Know nothing any more: the same words may mean something else now."""
        self._meanings.clear()
