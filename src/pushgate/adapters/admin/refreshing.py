"""
``POST /-/refresh?topic=`` on the admin listener: poll a topic now, for everybody who follows it.

It is named as on shared connections, in any spelling and without ``server.base_path``. Of a view, what is polled is the
topic that it is a part of.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from ...config.finding import did_you_mean
from ...errors import BadRequest, NoSuchTopic
from ...hub import Hub
from ...identity import NOBODY
from ...polled import PolledChannel
from ...routes import Route
from ...views import ViewRoute
from .operators import Operators
from .orders import controls_of, only, tell

# Where a topic leads: its route, the parameters of its path, and its query.
Resolve = Callable[[str], tuple[Route | ViewRoute, dict[str, str], dict[str, str]]]


class RefreshSwitch:
    """``POST`` polls, and tells how many topics: a name may be that of several identities' topics."""

    def __init__(self, hub: Hub, resolve: Resolve, operators: Operators) -> None:
        self._hub = hub
        self._resolve = resolve
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Obey; raises Refusal."""
        if request.method != "POST":
            return only("POST")
        self._operators.check_operator(request)
        topic = controls_of(request, ("topic",)).get("topic")
        if topic is None:
            raise BadRequest("topic: is missing; name one as clients do, percent-encoded")
        found = self._find(topic)
        polled = [channel for channel in found if channel.refresh() is not None]
        if not polled:
            return web.Response(status=409, text=f"{_excuse(found[0])}\n")
        return tell({"topics": len(polled)})

    def _find(self, topic: str) -> list[PolledChannel]:
        """Return all topics of a name; raises NoSuchTopic if none is alive."""
        topics = self._hub.topics()
        try:
            entry, values, query = self._resolve(topic)
        except NoSuchTopic as unknown:
            hint = did_you_mean(topic, {channel.name.text for channel in topics})
            raise NoSuchTopic(f"{topic}: {unknown.message}{hint}") from unknown
        name = entry.topic(values, query, NOBODY)
        polled = (name.parent or name).text
        found = [channel for channel in topics if channel.name.text == polled]
        if not found:
            raise NoSuchTopic(f"{polled} is not alive: nobody follows it, and there is nothing to refresh")
        return found


def _excuse(channel: PolledChannel) -> str:
    """Say why a topic is not polled."""
    name, route = channel.name.text, channel.route
    if not channel.feed.topic.is_paused_by_operator:
        return f"{name} has ended, and is polled no more"
    return f"{name} is paused; resume the route {route.name} or the upstream {route.upstream_of(channel.name)} first"
