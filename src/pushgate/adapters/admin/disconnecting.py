"""
``POST /-/disconnect?subject=`` on the admin listener: end what somebody is listening to, now.

Who comes back with credentials that are still good is let in again; take those back first.
"""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from ...errors import BadRequest
from .operators import Operators
from .orders import controls_of, only, tell

_CONTROLS = ("subject", "auth", "issuer")


class Disconnect(Protocol):
    """Ends connections of a subject, by one entry of ``auth:`` and one issuer if they are given; returns how many."""

    def __call__(self, subject: str, *, auth: str | None, issuer: str | None) -> int: ...


class DisconnectSwitch:
    """``POST`` ends the connections of one subject, and tells how many there were."""

    def __init__(self, disconnect: Disconnect, operators: Operators) -> None:
        self._disconnect = disconnect
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Obey; raises Refusal."""
        if request.method != "POST":
            return only("POST")
        self._operators.check_operator(request)
        controls = controls_of(request, _CONTROLS)
        if "subject" not in controls:
            raise BadRequest("subject: is missing")
        ended = self._disconnect(controls["subject"], auth=controls.get("auth"), issuer=controls.get("issuer"))
        return tell({"disconnected": ended})
