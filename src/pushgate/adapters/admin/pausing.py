"""
``/-/pause`` and ``/-/resume`` on the admin listener: poll a route no longer, or leave an upstream alone altogether.

It lasts until it is undone, also when the configuration changes; a gateway that is started again knows nothing of it.
"""

from __future__ import annotations

from aiohttp import web

from ...errors import BadRequest
from ...pauses import Kind
from ...standstill import Standstill
from .operators import Operators
from .orders import controls_of, only, tell


class PauseSwitch:
    """``GET`` tells what is paused, ``POST`` pauses one route or upstream more, and tells all of it."""

    def __init__(self, standstill: Standstill, operators: Operators) -> None:
        self._standstill = standstill
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Obey, or tell; raises Refusal."""
        match request.method:
            case "GET" | "HEAD":
                self._operators.check_reader(request)
                controls_of(request, ())
            case "POST":
                self._operators.check_operator(request)
                await self._standstill.pause(*_subject_of(request))
            case _:
                return only("GET", "HEAD", "POST")
        return _tell(self._standstill)


class ResumeSwitch:
    """``POST`` undoes one pause, and tells what is still paused."""

    def __init__(self, standstill: Standstill, operators: Operators) -> None:
        self._standstill = standstill
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Obey; raises Refusal."""
        if request.method != "POST":
            return only("POST")
        self._operators.check_operator(request)
        await self._standstill.resume(*_subject_of(request))
        return _tell(self._standstill)


def _subject_of(request: web.BaseRequest) -> tuple[Kind, str]:
    controls = controls_of(request, ("route", "upstream"))
    if len(controls) != 1:
        raise BadRequest("say which: ?route= or ?upstream=, one of them; ask once for each")
    route = controls.get("route")
    return ("upstream", controls["upstream"]) if route is None else ("route", route)


def _tell(standstill: Standstill) -> web.Response:
    return tell({"paused": standstill.pauses.account()})
