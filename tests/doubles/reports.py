"""A file server with one report that a nightly job writes anew, in the middle of being read if need be."""

from __future__ import annotations

from aiohttp import web

from .server import Asked, Double

HEADER = "Region;Größe;Umsatz"


class Reports(Double):
    """Serves /reports/umsatz.csv as it was last published: in cp1252, with semicolons, decimal commas and CRLF."""

    def __init__(self) -> None:
        super().__init__()
        self._body = b""

    def publish(self, *rows: tuple[str, str, str]) -> None:
        """Put a report where the last one was; without rows it is one that has only been begun."""
        lines = [HEADER, *(";".join(row) for row in rows)]
        self._body = "".join(f"{line}\r\n" for line in lines).encode("cp1252")

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if request.path != "/reports/umsatz.csv":
            return web.Response(status=404, text="no such file")
        return web.Response(body=self._body, headers={"Content-Type": "text/csv"})
