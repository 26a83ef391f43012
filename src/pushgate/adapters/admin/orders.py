"""An operator's order: how what it is about is read, and how it is answered."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from ...documents.changes import encode
from ...errors import BadRequest


def controls_of(request: web.BaseRequest, known: Sequence[str]) -> dict[str, str]:
    """Return what an order is about; raises BadRequest, also for what is not known: it may be meant to spare some."""
    query = request.query
    for name in query:
        if name not in known:
            raise BadRequest(f"{name}: is not known here; known: {', '.join(known) or 'nothing'}")
        if len(query.getall(name)) > 1:
            raise BadRequest(f"{name}: is given twice; ask once for each")
        if not query[name]:
            raise BadRequest(f"{name}: is empty")
    return dict(query)


def tell(said: object, *, status: int = 200, content_type: str = "application/json") -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(status=status, body=encode(said), content_type=content_type, headers=headers)


def only(*methods: str) -> web.Response:
    """Refuse any other method."""
    return web.Response(status=405, text=f"{', '.join(methods)} only\n", headers={"Allow": ", ".join(methods)})
