"""
``/-/drain`` on the admin listener: have every client leave, as before the process ends, and change one's mind.

The process goes on; only a signal ends it.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from ..departures import Departures
from ..documents.changes import encode
from ..errors import Forbidden
from .operators import check_operator, check_reader

METHODS = ("GET", "HEAD", "POST", "DELETE")


class DrainSwitch:
    """``GET`` tells, ``POST`` begins (again: changes nothing), ``DELETE`` undoes it."""

    def __init__(self, departures: Departures, *, window: Callable[[], float], listen: str) -> None:
        self._departures = departures
        self._window = window
        self._listen = listen

    def answer(self, request: web.BaseRequest) -> web.Response:
        departures = self._departures
        try:
            if request.method in ("POST", "DELETE"):
                check_operator(request, listen=self._listen)
            else:
                check_reader(request)
        except Forbidden as refusal:
            return web.Response(status=403, text=f"{refusal.message}\n")
        match request.method:
            case "GET" | "HEAD":
                return self._tell(200)
            case "POST":
                departures.begin(window=self._window())
                return self._tell(202)
            case "DELETE":
                if departures.undo():
                    return self._tell(200)
                return web.Response(status=409, text="the process has been told to end, which cannot be undone\n")
            case _:
                return web.Response(status=405, text="read, POST or DELETE\n", headers={"Allow": ", ".join(METHODS)})

    def _tell(self, status: int) -> web.Response:
        told = {"draining": self._departures.is_draining, "connections": self._departures.connections}
        return web.Response(
            status=status,
            body=encode(told),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )
