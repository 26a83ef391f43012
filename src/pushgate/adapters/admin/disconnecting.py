"""
``POST /-/disconnect?subject=`` on the admin listener: end what somebody is listening to, now.

Who comes back with credentials that are still good is let in again; take those back first.
"""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from ...documents.changes import encode
from ...errors import BadRequest
from .operators import Operators

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
            return web.Response(status=405, text="POST only\n", headers={"Allow": "POST"})
        self._operators.check_operator(request)
        controls = _controls(request)
        ended = self._disconnect(controls["subject"], auth=controls.get("auth"), issuer=controls.get("issuer"))
        body, headers = encode({"disconnected": ended}), {"Cache-Control": "no-store"}
        return web.Response(body=body, content_type="application/json", headers=headers)


def _controls(request: web.BaseRequest) -> dict[str, str]:
    """Return whom to disconnect; raises BadRequest, also for what is not known: it may be meant to spare some."""
    query = request.query
    for name in query:
        if name not in _CONTROLS:
            raise BadRequest(f"{name}: is not known here; there are subject, auth and issuer")
        if len(query.getall(name)) > 1:
            raise BadRequest(f"{name}: is given twice; ask once for each")
        if not query[name]:
            raise BadRequest(f"{name}: is empty")
    if "subject" not in query:
        raise BadRequest("subject: is missing")
    return dict(query)
