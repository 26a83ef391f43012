"""Quotes by symbol behind a key, so many requests a second; one over, and the key is refused until the second is up."""

from __future__ import annotations

import asyncio

from aiohttp import web

from .server import Asked, Double

WINDOW = 1.0


class Quotes(Double):
    """
    ``prices`` by symbol. Counts each key's requests in windows of a second, and tells what is left of the limit.

    ``used`` are the requests in the current window, those of other programs with the same key included.
    """

    KEY = "demo-key"

    def __init__(self, *, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.prices: dict[str, float] = {}
        self.used = 0
        self.refused: list[Asked] = []
        self._window = 0

    def spend_everything(self) -> None:
        """Let another program with the same key use up what is left, and the next second too."""
        self._window, self.used = self._now() + 1, self.limit

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() / WINDOW)

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if asked.headers.get("x-api-key") != self.KEY:
            return web.json_response({"error": "unknown key"}, status=401)
        if self._now() > self._window:
            self._window, self.used = self._now(), 0
        self.used += 1
        reset = str(max(1, self._window + 1 - self._now()))
        quota = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "RateLimit-Reset": reset,
        }
        if self.used > self.limit:
            self.refused.append(asked)
            headers = {**quota, "Retry-After": reset}
            return web.json_response({"error": "too many requests"}, status=429, headers=headers)
        return self._quotes(request, quota)

    def _quotes(self, request: web.BaseRequest, quota: dict[str, str]) -> web.Response:
        if request.path == "/v1/quotes":
            wanted = [symbol for symbol in request.query["symbols"].split(",") if symbol in self.prices]
            quotes = [{"symbol": symbol, "price": self.prices[symbol]} for symbol in wanted]
            return web.json_response({"quotes": quotes}, headers=quota)
        symbol = request.path.removeprefix("/v1/quotes/")
        if symbol not in self.prices:
            return web.json_response({"error": "unknown symbol"}, status=404, headers=quota)
        return web.json_response({"symbol": symbol, "price": self.prices[symbol]}, headers=quota)
