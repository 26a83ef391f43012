"""
Compression, once: bytes that many get are deflated one time, and that stands in every stream, frame and body.

Rule 1: what is deflated is deflated by itself and ends on a byte (``Z_SYNC_FLUSH``, RFC 1951), so it refers to nothing
in front of it and can stand behind anything. What differs from client to client goes around it in stored blocks.
Rule 2: nothing is deflated before somebody is there who can read it, and nothing that is not worth it.
Rule 3: the loop delivers to everybody, so nothing large is deflated in it: that is done where it was made.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, TypeAlias

# Less than this fits into one packet with its header fields, and the time is better spent otherwise.
MIN_BYTES = 256

# Up to here the better level: an event is compressed once and read by many. Above, the fast one: it takes 4 ms for a
# megabyte instead of 15, and makes it a sixth larger.
SMALL_BYTES = 64 * 1024
SMALL_LEVEL, LARGE_LEVEL = 6, 1

# Up to here the tables of the compressor are small: to clear the usual ones takes longer than to compress so little.
TINY_BYTES = 4 * 1024
TINY_MEMORY, USUAL_MEMORY = 5, 8

# More than this is deflated by ``press`` only.
MAX_BYTES = 1024 * 1024

# What is not shorter by an eighth is left as it is: every client would have to inflate it.
WORTH = 7 / 8

# No name, no time, no system (RFC 1952 section 2.3): the same for everybody.
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

# An empty stored block. zlib hands on whatever it can read; readers in Go (also proxies, and all who ask with Go's own
# client and do not say otherwise) keep it until there is such a block.
FLUSH: Final = b"\x00\x00\x00\xff\xff"

_FINAL: Final = b"\x03\x00"  # an empty block that says it is the last
_MAX_STORED = 65535


class Parcel:
    """Bytes that many get, and the same deflated, once that was asked for."""

    __slots__ = ("_deflated", "_is_pressed", "data")

    def __init__(self, data: bytes, deflated: bytes | None = None) -> None:
        self.data = data
        self._deflated = deflated
        self._is_pressed = deflated is not None

    def __repr__(self) -> str:
        return f"<Parcel {len(self.data)} bytes, deflated {None if self._deflated is None else len(self._deflated)}>"

    @property
    def deflated(self) -> bytes | None:
        """The bytes deflated; None: that is not worth it, or would take too long."""
        if not self._is_pressed and len(self.data) <= MAX_BYTES:
            self.press()
        return self._deflated

    def press(self) -> bytes | None:
        """Return the bytes deflated, however long that takes; None: that is not worth it."""
        if not self._is_pressed:
            self._is_pressed = True
            deflated = deflate(self.data) if len(self.data) >= MIN_BYTES else None
            if deflated is not None and len(deflated) <= WORTH * len(self.data):
                self._deflated = deflated
        return self._deflated

    @property
    def size(self) -> int:
        """How many bytes are kept of it."""
        return len(self.data) + (0 if self._deflated is None else len(self._deflated))


# What a body is made of: what is shared, and what stands around it.
Pieces: TypeAlias = Sequence["Parcel | bytes"]


def deflate(data: bytes) -> bytes:
    """Return raw deflate (RFC 1951) that can stand between other blocks."""
    size = len(data)
    level = SMALL_LEVEL if size <= SMALL_BYTES else LARGE_LEVEL
    memory = TINY_MEMORY if size <= TINY_BYTES else USUAL_MEMORY
    press = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, memory)
    return press.compress(data) + press.flush(zlib.Z_SYNC_FLUSH)


def stored(data: bytes) -> bytes:
    """Return raw deflate that holds the bytes as they are (RFC 1951 section 3.2.4): five bytes more each 64 KB."""
    size = len(data)
    if size <= _MAX_STORED:
        return _stored_head(size) + data if size else b""
    slices = [data[start : start + _MAX_STORED] for start in range(0, size, _MAX_STORED)]
    return b"".join([part for piece in slices for part in (_stored_head(len(piece)), piece)])


def _stored_head(size: int) -> bytes:
    return b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")


def packed(head: bytes, parcel: Parcel | None, tail: bytes) -> bytes | None:
    """Return raw deflate of all three; None if that is not worth it, as for what has no parcel."""
    deflated = None if parcel is None else parcel.deflated
    return None if deflated is None else stored(head) + deflated + stored(tail)


def gzip_member(pieces: Pieces) -> bytes | None:
    """Return the pieces as one gzip file (RFC 1952); None if that is not worth it."""
    blocks, loose = [GZIP_HEADER], b""
    checksum = size = 0
    for piece in pieces:
        data = piece if isinstance(piece, bytes) else piece.data
        checksum, size = zlib.crc32(data, checksum), size + len(data)
        deflated = None if isinstance(piece, bytes) else piece.deflated
        if deflated is None:
            loose += data
        else:
            blocks += (stored(loose), deflated)
            loose = b""
    if len(blocks) == 1:
        return None
    trailer = checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    return b"".join([*blocks, stored(loose), _FINAL, trailer])


def joined(pieces: Pieces) -> bytes:
    """Return the pieces one after the other, as they are."""
    return b"".join([piece if isinstance(piece, bytes) else piece.data for piece in pieces])
