"""
The admin listener. It binds to loopback unless told otherwise.

Probes and metrics are open to whoever reaches it; everything else is for operators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, get_args

from aiohttp import web

from ...documents.changes import encode, timestamp
from ...errors import BadRequest, Refusal
from ...metrics import Metrics
from ...polled import PolledChannel
from ...values import State
from .health import Health
from .operators import Operators, answer_refusal

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# So many topics are told of unless more are asked for.
TOPICS_SHOWN = 1000

_STATES = get_args(State)


class Switch(Protocol):
    """A path at which operators change something."""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Obey whoever may; raises Refusal."""


class Admin:
    """
    ``health`` answers the probes. ``/metrics``: the scrape. ``/-/topics``: how each topic is doing. ``switches``: where
    something is changed, by path.
    """

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        topics: Callable[[], Iterable[PolledChannel]],
        operators: Operators,
        switches: Mapping[str, Switch],
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._topics = topics
        self._operators = operators
        self._switches = switches

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return answer_refusal(refusal)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if (switch := self._switches.get(request.path)) is not None:
            return await switch.answer(request)
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="read only\n", headers={"Allow": "GET, HEAD"})
        if request.path in self._health.paths:
            return self._health.answer(request)
        match request.path:
            case "/metrics":
                return web.Response(body=self._metrics.text(), headers={"Content-Type": METRICS_TYPE})
            case "/-/topics":
                return self._answer_topics(request)
            case _:
                known = ", ".join([*self._health.paths, "/metrics", "/-/topics", *self._switches])
                return web.Response(status=404, text=f"there are {known}\n")

    def _answer_topics(self, request: web.BaseRequest) -> web.Response:
        self._operators.check_reader(request)
        route, state, limit = _filters(request)
        found = islice(_matching(self._topics(), route, state), limit)
        told = [topic_account(channel) for channel in found]
        return web.Response(
            body=encode({"topics": told}), content_type="application/json", headers={"Cache-Control": "no-store"}
        )


def _filters(request: web.BaseRequest) -> tuple[str | None, str | None, int]:
    """Return the route and state to look for, and how many topics to tell of; raises BadRequest."""
    query = request.query
    state, limit = query.get("state"), query.get("limit", str(TOPICS_SHOWN))
    if state is not None and state not in _STATES:
        raise BadRequest(f"state: is one of {', '.join(_STATES)}")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 10):
        raise BadRequest("limit: is a whole number")
    return query.get("route"), state, int(limit)


def _matching(channels: Iterable[PolledChannel], route: str | None, state: str | None) -> Iterator[PolledChannel]:
    return (
        channel
        for channel in channels
        if (route is None or channel.route.name == route) and (state is None or channel.state == state)
    )


def topic_account(channel: PolledChannel) -> dict[str, Any]:
    """Return how a topic is doing, without its document; ``held`` is the answer that a guard holds back."""
    feed, status, held = channel.feed, channel.status, channel.feed.reception.held
    return {
        "topic": channel.name.text,
        "route": channel.route.name,
        "identity": channel.name.identity.text or None,
        "state": status.state,
        "since": timestamp(status.since),
        "cursor": channel.history.head("snapshot") if channel.has_document else None,
        "subscribers": channel.count(),
        "views": len(channel.views),
        "confirmed_at": None if status.confirmed_at is None else timestamp(status.confirmed_at),
        "next_poll": {
            "at": None if status.next_poll_at is None else timestamp(status.next_poll_at),
            "why": "polling now" if feed.topic.is_polling else feed.topic.next_poll_why,
        },
        "failures": feed.topic.failures,
        "last_failure": status.reason,
        "held": None if held is None else {"guard": held.doubt.guard, "detail": held.doubt.detail, "bytes": held.size},
    }
