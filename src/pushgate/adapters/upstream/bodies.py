"""
The body of an answer: whole, unfolded, and never more than ``max_body``.

Rule 1: both what comes over the wire and what it unfolds to are held to the limit, and no byte is unfolded beyond it.
Rule 2: a compressed body that stops in the middle is truncated, whatever its announced length.
Rule 3: only what was asked for is understood; ``ACCEPTED`` goes into the request.
"""

from __future__ import annotations

import zlib
from typing import NoReturn

import aiohttp

from ...errors import PollError

ACCEPTED = "gzip, deflate"

# Each costs a copy of what is left; a real answer has a few, an archive in blocks of 64 KB some hundreds.
MAX_MEMBERS = 1024

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read the body of a response that was asked for with ``auto_decompress=False``; raises PollError."""
    coding = response.headers.get("Content-Encoding")
    content = response.content
    if coding is None and content.is_eof() and content.total_bytes <= limit:
        return content.read_nowait()  # a small answer came together with its head
    announced = response.content_length
    if announced is not None and announced > limit and response.method != "HEAD":
        _refuse(limit)
    unfolding = _unfolding(coding, limit)
    pieces, size = [], 0
    async for piece in content.iter_any():
        size += len(piece)
        if size > limit:
            _refuse(limit)
        pieces.append(piece if unfolding is None else unfolding.feed(piece))
    if unfolding is not None:
        unfolding.end()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _refuse(limit: int) -> NoReturn:
    raise PollError("too_large", f"the answer is larger than max_body ({limit} bytes)")


def _unfolding(coding: str | None, limit: int) -> Unfolding | None:
    match (coding or "identity").strip().lower():
        case "identity" | "":
            return None
        case "gzip" | "x-gzip":
            return Unfolding("gzip", limit)
        case "deflate":
            return Unfolding("deflate", limit)
        case other:
            raise PollError("protocol", f"the answer is encoded as {other[:40]!a}, which was not asked for")


class Unfolding:
    """Inflates a body piece by piece."""

    def __init__(self, coding: str, limit: int) -> None:
        self._coding = coding
        self._limit = limit
        self._size = 0
        self._members = 0
        self._stream = None if coding == "deflate" else zlib.decompressobj(_GZIP)
        self._has_begun = False

    def feed(self, data: bytes) -> bytes:
        """Return what this piece unfolds to; raises PollError(``too_large`` or ``decode``)."""
        unfolded = []
        while data:
            stream = self._stream_for(data)
            if stream is None:
                break
            try:
                # One byte more than there is room for tells a body that just fits from one that does not.
                unfolded.append(stream.decompress(data, self._limit - self._size + 1))
            except zlib.error as exc:
                raise PollError("decode", f"the answer says {self._coding}, and is damaged or something else") from exc
            self._size += len(unfolded[-1])
            if self._size > self._limit:
                _refuse(self._limit)
            data = stream.unused_data if stream.eof else stream.unconsumed_tail
        return unfolded[0] if len(unfolded) == 1 else b"".join(unfolded)

    def _stream_for(self, data: bytes) -> zlib._Decompress | None:
        """Return what inflates the data; None for what stands behind a complete body and is no part of it."""
        self._has_begun = True
        if self._stream is None:
            # Half the world sends deflate without the zlib header that RFC 9110 section 8.4.1.2 has around it.
            self._stream = zlib.decompressobj(_ZLIB if data[0] & 0x0F == 8 else _RAW)
        if self._stream.eof:
            if self._coding != "gzip" or data[0] != 0x1F:
                return None
            self._members += 1
            if self._members >= MAX_MEMBERS:
                raise PollError("decode", f"the answer has more than {MAX_MEMBERS} gzip members")
            self._stream = zlib.decompressobj(_GZIP)
        return self._stream

    def end(self) -> None:
        """Hear that no more comes; raises PollError(``truncated``) if there should."""
        if self._has_begun and self._stream is not None and not self._stream.eof:
            raise PollError("truncated", f"the {self._coding} body ends in the middle")
