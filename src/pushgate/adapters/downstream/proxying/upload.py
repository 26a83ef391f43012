"""
A client's body on its way to the upstream: read as the upstream takes it, and never kept.

Rule 1: 100 (Continue) is said when the connection to the upstream stands and everything else has been checked: who is
refused does not send a body for nothing, and an upstream that does not know the word is not waited for.
Rule 2: only a small body is kept, and only where the upstream's credentials may want it twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from ....errors import BadRequest
from ..bodies import give_go_ahead, read_raw
from .patience import Patience

# So much is kept of a body that may have to be sent twice: any form, and no file.
MAX_KEPT_BYTES = 64 * 1024


class Upload:
    """The body of one request. ``is_waiting``: the client is the one who is waited for."""

    def __init__(self, request: web.BaseRequest, patience: Patience, *, kept: bytes | None = None) -> None:
        self._request = request
        self._patience = patience
        self._kept = kept
        self.is_gone = False
        self.is_waiting = False
        self.fault: BadRequest | None = None

    def once(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body to be sent; None if the request has none."""
        if self._kept is not None:
            return self._kept
        return self._pieces() if self._request.body_exists else None

    async def _pieces(self) -> AsyncIterator[bytes]:
        self.is_gone = True
        give_go_ahead(self._request)
        while piece := await self._next():
            self._patience.touch()
            yield piece

    async def _next(self) -> bytes:
        self.is_waiting = True
        try:
            return await self._request.content.readany()
        except web.RequestPayloadError:
            self.fault = BadRequest("the body is not what its header fields say")
            raise
        finally:
            self.is_waiting = False


async def upload_of(request: web.BaseRequest, patience: Patience, *, may_repeat: bool) -> Upload:
    """Return the body of a request; ``may_repeat``: it may have to be sent twice, so a small one is read now."""
    length = request.content_length
    if may_repeat and request.body_exists and length is not None and length <= MAX_KEPT_BYTES:
        return Upload(request, patience, kept=await read_raw(request, at_most=MAX_KEPT_BYTES))
    return Upload(request, patience)
