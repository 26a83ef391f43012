"""
Conditional requests as RFC 9110 section 13 wants them, for answers that are made anew at each request.

``If-None-Match`` goes before ``If-Modified-Since``. A date must match exactly to count as "not modified" (as nginx
does by default): this backend's world begins anew at each start, so that a later date does not mean a later answer.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from aiohttp import ETag, web


def strong(body: bytes) -> ETag:
    """Name these bytes: another tag for other bytes, the same for the same."""
    return ETag(hashlib.blake2b(body, digest_size=12).hexdigest())


def answer(
    request: web.Request,
    body: bytes,
    *,
    content_type: str,
    etag: ETag | None = None,
    last_modified: datetime | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Answer 200 with the body, or 304 if the client has it already."""
    response = web.Response(headers=headers)
    if etag is not None:
        response.etag = etag
    if last_modified is not None:
        response.last_modified = last_modified
    if is_unmodified(request, etag, last_modified):
        response.set_status(304)
        return response
    response.headers["Content-Type"] = content_type
    response.body = body
    return response


def is_unmodified(request: web.Request, etag: ETag | None, last_modified: datetime | None) -> bool:
    """Say whether the client's validators are those of the answer."""
    if request.if_none_match is not None:
        tags = {tag.value for tag in request.if_none_match}
        return etag is not None and bool(tags & {etag.value, "*"})
    return last_modified is not None and request.if_modified_since == last_modified
