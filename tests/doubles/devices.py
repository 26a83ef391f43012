"""A small device with a web server that speaks XML to one client at a time, and is switched off now and then."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from .server import Asked, Double

# How long it thinks about a request.
SLOWNESS = 0.005

STATUS = """<?xml version="1.0" encoding="UTF-8"?>
<status model="UPS-700" uptime="{uptime}">
  <input unit="V">{volts}</input>
  <battery unit="%">{battery}</battery>
  <outlet n="1">on</outlet>
  <outlet n="2">{second}</outlet>
</status>
"""


class Device(Double):
    """``busiest`` is how many requests it ever had at the same time; it was built for one."""

    def __init__(self) -> None:
        super().__init__()
        self.volts = 230
        self.battery = 100
        self.second_outlet = "on"
        self.busiest = 0
        self._busy = 0
        self._since = time.monotonic()

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        try:
            if request.path != "/status.xml":
                return web.Response(status=404, text="not here")
            await asyncio.sleep(SLOWNESS)
            uptime = f"{time.monotonic() - self._since:.3f}"
            text = STATUS.format(uptime=uptime, volts=self.volts, battery=self.battery, second=self.second_outlet)
            return web.Response(text=text, content_type="text/xml")
        finally:
            self._busy -= 1
