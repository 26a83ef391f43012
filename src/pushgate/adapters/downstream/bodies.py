"""
The body of a client's request, read while it comes and no further than it may be long.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from aiohttp import HttpVersion11, web

from ...errors import BadRequest, BodyTooLarge, UnsupportedBody

# The time for a body to arrive, in seconds.
BODY_PATIENCE = 10.0


# How zlib reads a coding (RFC 9110 section 8.4.1): a member of gzip, and the zlib format that is called deflate.
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


async def read_body(request: web.BaseRequest, *, at_most: int) -> bytes:
    """Return what the client sends, decompressed; raises BodyTooLarge as soon as that is clear."""
    body = await read_raw(request, at_most=at_most)
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    return body if coding == "identity" or not body else _decompressed(body, coding, at_most=at_most)


def _decompressed(body: bytes, coding: str, *, at_most: int) -> bytes:
    if coding not in _WINDOWS:
        raise UnsupportedBody("send the body as it is, or compressed with gzip or deflate")
    decompressor = zlib.decompressobj(_WINDOWS[coding])
    try:
        decoded = decompressor.decompress(body, at_most + 1)
    except zlib.error:
        raise BadRequest("the body is not what its header fields say") from None
    if len(decoded) > at_most:
        raise BodyTooLarge(f"the body has at most {at_most} bytes")
    if not decompressor.eof or decompressor.unused_data:
        raise BadRequest("the body is not what its header fields say")
    return decoded


async def read_raw(request: web.BaseRequest, *, at_most: int) -> bytes:
    """Return the bytes that the client sends; raises BodyTooLarge as soon as that is clear."""
    body = bytearray()
    await take_in(request, body.extend, at_most=at_most)
    return bytes(body)


def give_go_ahead(request: web.BaseRequest) -> None:
    """Say 100 (Continue) to a client that waits for it; one of HTTP/1.0 would take it for the answer."""
    is_awaited = request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11
    if is_awaited and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def take_in(request: web.BaseRequest, take: Callable[[bytes], object], *, at_most: int) -> None:
    """Have each piece taken of what the client sends; raises BodyTooLarge as soon as that is clear."""
    refusal = BodyTooLarge(f"the body has at most {at_most} bytes")
    if (request.content_length or 0) > at_most:
        raise refusal
    give_go_ahead(request)
    size = 0
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            while size <= at_most and (piece := await request.content.readany()):
                size += len(piece)
                take(piece)
    except TimeoutError:
        raise BadRequest(f"the body did not come within {BODY_PATIENCE:.0f}s") from None
    except web.RequestPayloadError:
        raise BadRequest("the body is not what its header fields say") from None
    if size > at_most:
        raise refusal
