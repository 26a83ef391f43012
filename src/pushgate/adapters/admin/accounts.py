"""``GET /-/topics`` on the admin listener: how each topic is doing, without its document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, get_args

from aiohttp import web

from ...documents.changes import timestamp
from ...errors import BadRequest
from ...generation import Generation
from ...polled import PolledChannel
from ...polling import Setback
from ...values import State
from .operators import Operators
from .orders import controls_of, only, tell

# So many topics are told of unless more are asked for.
TOPICS_SHOWN = 1000

_STATES = get_args(State)


class TopicAccounts:
    """``GET`` tells, of all topics or of those of one route or in one state."""

    def __init__(
        self,
        topics: Callable[[], Iterable[PolledChannel]],
        generation: Callable[[], Generation],
        operators: Operators,
    ) -> None:
        self._topics = topics
        self._generation = generation
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Tell; raises Refusal."""
        if request.method not in ("GET", "HEAD"):
            return only("GET", "HEAD")
        self._operators.check_reader(request)
        route, state, limit = _filters(request)
        if route is not None:
            self._generation().check_known("route", route)
        found = islice(_matching(self._topics(), route, state), limit)
        return tell({"topics": [topic_account(channel) for channel in found]})


def _filters(request: web.BaseRequest) -> tuple[str | None, str | None, int]:
    """Return the route and state to look for, and how many topics to tell of; raises BadRequest."""
    query = controls_of(request, ("route", "state", "limit"))
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
    """
    Return how a topic is doing, without its document.

    ``subscribers`` follow the topic itself, ``transports`` says over what, and ``view_subscribers`` follow a part of
    it. ``last_failures`` are the latest few failed polls, the newest first; ``last_failure`` is None after a good one.
    ``held`` is the answer that a guard holds back.
    """
    feed, status, held = channel.feed, channel.status, channel.feed.reception.held
    latest = channel.history.latest
    return {
        "topic": channel.name.text,
        "route": channel.route.name,
        "upstream": channel.route.upstream_of(channel.name),
        "identity": channel.name.identity.text or None,
        "state": status.state,
        "since": timestamp(status.since),
        "paused_by_operator": feed.topic.is_paused_by_operator,
        "cursor": channel.history.head("snapshot") if channel.has_document else None,
        "subscribers": channel.count(),
        "transports": Counter(listener.transport_name for listener in channel.listeners()),
        "views": len(channel.views),
        "view_subscribers": sum(view.count() for view in channel.views),
        "confirmed_at": _moment(status.confirmed_at),
        "changed_at": None if latest is None else timestamp(latest.at),
        "next_poll": {
            "at": _moment(status.next_poll_at),
            "why": "polling now" if feed.topic.is_polling else feed.topic.next_poll_why,
        },
        "failures": feed.topic.failures,
        "last_failure": status.reason,
        "last_failures": [_told(setback) for setback in feed.setbacks],
        "held": None if held is None else {"guard": held.doubt.guard, "detail": held.doubt.detail, "bytes": held.size},
    }


def _told(setback: Setback) -> dict[str, str]:
    return {"at": timestamp(setback.at), "reason": setback.reason, "detail": setback.detail}


def _moment(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
