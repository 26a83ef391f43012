"""``GET /-/live/history`` on the admin listener: what has happened on each route in the last minutes, in samples."""

from __future__ import annotations

from aiohttp import web

from ...tides import Tides
from .operators import Operators
from .orders import only, tell


class PastSwitch:
    """Tells the samples that there are; whoever has them goes on with those in the overview."""

    def __init__(self, tides: Tides, operators: Operators) -> None:
        self._tides = tides
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Tell; raises Refusal."""
        self._operators.check_reader(request)
        if request.method not in ("GET", "HEAD"):
            return only("GET", "HEAD")
        return tell(self._tides.past())
