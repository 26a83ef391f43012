"""A GBFS feed of bike stations: made anew for every request, and good for as many seconds as it says."""

from __future__ import annotations

import time

from aiohttp import web

from .server import Asked, Double


class Bikes(Double):
    """``bikes`` by station. Asking again within ``ttl`` seconds brings nothing, and is what gets pollers blocked."""

    def __init__(self, *, ttl: int) -> None:
        super().__init__()
        self.ttl = ttl
        self.bikes: dict[str, int] = {}

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if request.path != "/gbfs/2/en/station_status.json":
            return web.json_response({"error": "no such feed"}, status=404)
        now = int(time.time())
        stations = [
            {"station_id": station, "num_bikes_available": bikes, "is_renting": True, "last_reported": now}
            for station, bikes in self.bikes.items()
        ]
        return web.json_response(
            {"last_updated": now, "ttl": self.ttl, "version": "2.3", "data": {"stations": stations}}
        )
