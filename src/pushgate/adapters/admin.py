"""The admin listener: probes and metrics, open to whoever reaches it. It binds to loopback unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from ..metrics import Metrics

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Admin:
    """
    ``/livez``: the loop turns. ``/readyz``: configuration loaded, listeners bound, not draining. ``/metrics``: the
    scrape. That a backend is down makes pushgate neither dead nor unready.
    """

    def __init__(self, metrics: Metrics, is_ready: Callable[[], bool]) -> None:
        self._metrics = metrics
        self._is_ready = is_ready

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="read only\n", headers={"Allow": "GET, HEAD"})
        match request.path:
            case "/livez" | "/startupz":
                return web.Response(text="ok\n")
            case "/readyz":
                return web.Response(text="ok\n") if self._is_ready() else web.Response(status=503, text="not ready\n")
            case "/metrics":
                return web.Response(body=self._metrics.text(), headers={"Content-Type": METRICS_TYPE})
            case _:
                return web.Response(status=404, text="there are /livez, /readyz, /startupz and /metrics\n")
