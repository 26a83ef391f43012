"""
The body of a client's request, read while it comes and no further than it may be long.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from ...errors import BadRequest, BodyTooLarge

# The time for a body to arrive, in seconds.
BODY_PATIENCE = 10.0


async def read_body(request: web.BaseRequest, *, at_most: int) -> bytes:
    """Return what the client sends; raises BodyTooLarge as soon as that is clear."""
    refusal = BodyTooLarge(f"the body has at most {at_most} bytes")
    if (request.content_length or 0) > at_most:
        raise refusal
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # some clients wait for it
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            while len(body) <= at_most and (piece := await request.content.readany()):
                body += piece
    except TimeoutError:
        raise BadRequest(f"the body did not come within {BODY_PATIENCE:.0f}s") from None
    except web.RequestPayloadError:
        raise BadRequest("the body is not what its header fields say") from None
    if len(body) > at_most:
        raise refusal
    return bytes(body)
