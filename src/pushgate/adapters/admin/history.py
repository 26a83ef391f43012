"""``GET /-/live/history`` on the admin listener: what has happened on each route in the last minutes, in samples."""

from __future__ import annotations

from aiohttp import web

from ...documents.changes import encode
from ...tides import Tides
from .operators import Operators


class PastSwitch:
    """Tells the samples that there are; whoever has them goes on with those in the overview."""

    def __init__(self, tides: Tides, operators: Operators) -> None:
        self._tides = tides
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Tell; raises Refusal."""
        self._operators.check_reader(request)
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="read only\n", headers={"Allow": "GET, HEAD"})
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=encode(self._tides.past()), content_type="application/json", headers=headers)
