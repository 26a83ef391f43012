"""The resources over HTTP, with the validators that such a backend would have: some have good ones, some have none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import resources
from aiohttp import web
from conditional import answer, strong

JSON = "application/json"


class Api:
    """The legacy backend: ``now`` tells the seconds since its world began, ``seed`` which of all worlds it is."""

    def __init__(self, now: Callable[[], float], *, seed: int) -> None:
        self._now = now
        self._seed = seed

    def routes(self) -> list[web.RouteDef]:
        """List what it serves."""
        return [
            web.get("/", self._index),
            web.get("/api/departures", self._departures),
            web.get("/api/board", self._board),
            web.get("/api/quotes/{symbol}", self._quote),
            web.get("/reports/daily.csv", self._report),
            web.get("/status.xml", self._status),
        ]

    async def _index(self, request: web.Request) -> web.Response:
        return web.json_response([route.path for route in self.routes() if isinstance(route, web.RouteDef)])

    async def _departures(self, request: web.Request) -> web.Response:
        """A keyed list with a strong ETag."""
        body = json.dumps(resources.departures(self._now(), seed=self._seed)).encode()
        return answer(request, body, content_type=JSON, etag=strong(body))

    async def _board(self, request: web.Request) -> web.Response:
        """The same list in a wrapper that is never the same twice: no validator could help."""
        return web.json_response(resources.board(self._now(), seed=self._seed))

    async def _quote(self, request: web.Request) -> web.Response:
        """A price per symbol; 404 for a symbol that is not traded, 400 for a currency it does not know."""
        symbol, currency = request.match_info["symbol"], request.query.get("currency", "EUR")
        if currency not in resources.CURRENCIES:
            return web.json_response({"error": f"unknown currency {currency}"}, status=400)
        quote = resources.quote(symbol, self._now(), currency=currency, seed=self._seed)
        if quote is None:
            return web.json_response({"error": f"no such symbol: {symbol}"}, status=404)
        return web.json_response(quote, headers={"Cache-Control": "no-cache"})

    async def _report(self, request: web.Request) -> web.Response:
        """A CSV file with the date of its last row, as a file on a disk would have."""
        rows = resources.sales(self._now(), seed=self._seed)
        changed = resources.BIRTH + timedelta(seconds=rows[-1].second)
        body = resources.report(rows).encode()
        return answer(request, body, content_type="text/csv; charset=utf-8", last_modified=changed)

    async def _status(self, request: web.Request) -> web.Response:
        body = resources.status(self._now(), seed=self._seed)
        return web.Response(text=body, content_type="application/xml")
