"""
``/-/drain`` on the admin listener: have every client leave, as before the process ends, and change one's mind.

The process goes on; only a signal ends it.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from ...departures import Departures
from .operators import Operators
from .orders import only, tell


class DrainSwitch:
    """``GET`` tells, ``POST`` begins (again: changes nothing), ``DELETE`` undoes it."""

    def __init__(self, departures: Departures, operators: Operators, *, window: Callable[[], float]) -> None:
        self._departures = departures
        self._operators = operators
        self._window = window

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Obey, or tell; raises Refusal."""
        departures = self._departures
        match request.method:
            case "GET" | "HEAD":
                self._operators.check_reader(request)
                return self._tell(200)
            case "POST":
                self._operators.check_operator(request)
                departures.begin(window=self._window())
                return self._tell(202)
            case "DELETE":
                self._operators.check_operator(request)
                if departures.undo():
                    return self._tell(200)
                return web.Response(status=409, text="the process has been told to end, which cannot be undone\n")
            case _:
                return only("GET", "HEAD", "POST", "DELETE")

    def _tell(self, status: int) -> web.Response:
        told = {"draining": self._departures.is_draining, "connections": self._departures.connections}
        return tell(told, status=status)
