"""
The admin listener. It binds to loopback unless told otherwise.

Probes and metrics are open to whoever reaches it; everything else is for operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from ...errors import Refusal
from ...metrics import Metrics
from .health import Health
from .operators import answer_refusal

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Switch(Protocol):
    """A path at which operators see or change something."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Tell or obey whoever may; raises Refusal."""


class Admin:
    """
    ``health`` answers the probes. ``/metrics``: the scrape. ``switches``: what operators see and change, by path; one
    whose path ends in a slash answers for everything below it.
    """

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        switches: Mapping[str, Switch],
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._switches = switches
        self._below = {path: switch for path, switch in switches.items() if path.endswith("/") and path != "/"}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return answer_refusal(refusal)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if (switch := self._find(request.path)) is not None:
            return await switch.answer(request)
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="read only\n", headers={"Allow": "GET, HEAD"})
        if request.path in self._health.paths:
            return self._health.answer(request)
        match request.path:
            case "/metrics":
                return web.Response(body=self._metrics.text(), headers={"Content-Type": METRICS_TYPE})
            case _:
                known = ", ".join([*self._health.paths, "/metrics", *self._switches])
                return web.Response(status=404, text=f"there are {known}\n")

    def _find(self, path: str) -> Switch | None:
        exact = self._switches.get(path)
        return exact or next((switch for below, switch in self._below.items() if path.startswith(below)), None)
