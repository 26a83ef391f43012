"""
The dashboard's first document: how the gateway, its routes and its upstreams are doing, each in a few words.

Rule 1: it names what the configuration names; no topic of anybody's, no document, no secret.
Rule 2: what is not known is not there: the document is told by merge patches, in which null means "remove".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from ... import __version__
from ...channel import Channel
from ...config.routes import Route as RouteConfig
from ...config.routes import View
from ...documents.changes import timestamp
from ...tides import Tide, Tides, in_milliseconds
from ...values import State
from .house import House
from .wording import budget_words, pace_words, part_words, share_words

# The most telling state of several comes first; of the same one, the oldest. Cold is only telling where polls fail.
TELLING: Final[tuple[State, ...]] = ("stale", "held", "cold", "gone", "paused", "live", "ended")
_RANK: Final = {state: rank for rank, state in enumerate(TELLING)}


def known(**members: Any) -> dict[str, Any]:
    """Return those members of which something is known."""
    return {name: value for name, value in members.items() if value is not None}


class Overview:
    """Tells how everything is doing. ``tides``: what happens on routes; ``demand``: what upstreams are asked."""

    def __init__(self, house: House, tides: Tides, demand: Tides, *, began_at: float) -> None:
        self._house = house
        self._tides = tides
        self._demand = demand
        self._began_at = began_at

    def tell(self) -> dict[str, Any]:
        """Return the document."""
        house = self._house
        config = house.generation().config
        channels = self._channels()
        pauses = house.pauses
        return {
            "gateway": self._gateway(),
            "order": [*config.entries],
            "routes": {
                name: self._route(name, entry, channels.get(name, []), is_paused=name in pauses.routes)
                for name, entry in config.entries.items()
            },
            "upstreams": {name: self._upstream(name, is_paused=name in pauses.upstreams) for name in config.upstreams},
            "sample": self._tides.number,
        }

    def _gateway(self) -> dict[str, Any]:
        house = self._house
        config = house.generation().config
        server, limits = config.server, config.server.limits
        return known(
            version=__version__,
            at=timestamp(house.clock.wall()),
            since=timestamp(self._began_at),
            clients=known(
                scheme="http" if server.tls is None else "https",
                port=house.public_port,
                base_path=server.base_path or None,
            ),
            is_draining=house.departures.is_draining,
            config=known(
                file=config.file,
                is_good=house.reloading.is_good,
                taken_over_at=timestamp(house.reloading.taken_over_at),
            ),
            connections=house.hub.connections,
            topics=len(house.hub.topics()),
            memory=house.memory,
            limits=known(connections=limits.connections, topics=limits.topics, memory=limits.memory),
        )

    def _channels(self) -> dict[str, list[Channel]]:
        """Return the live topics and views of each route."""
        found: dict[str, list[Channel]] = {}
        channels: list[Channel] = [*self._house.hub.topics(), *self._house.hub.views()]
        for channel in channels:
            found.setdefault(channel.route.name, []).append(channel)
        return found

    def _route(
        self, name: str, entry: RouteConfig | View, channels: Sequence[Channel], *, is_paused: bool
    ) -> dict[str, Any]:
        routes = self._house.generation().config.routes
        polled = routes[entry.from_] if isinstance(entry, View) else entry
        tide, figures = self._tides.of(name), self._house.figures(name)
        subscribers = self._house.ledger(name).subscribers.items()
        return {
            **known(
                description=entry.description or None,
                upstream=polled.upstream,
                pace=pace_words(polled.poll),
                emit=[*entry.emit],
                key=_item_key(entry) if "items" in entry.emit else None,
                transports=[*entry.transports],
                share=share_words(polled),
                auth=[*polled.auth] if polled.auth else None,
            ),
            **({"from": entry.from_, "part": part_words(entry)} if isinstance(entry, View) else {}),
            **known(is_paused=is_paused or None),
            **condition(channels),
            "topics": len(channels),
            "subscribers": {transport: count for transport, count in subscribers if count},
            "totals": {
                "polls": figures.polls,
                "changes": figures.changes,
                "failures": figures.failures,
                "saved": round(figures.requests_saved),
                "bytes": round(figures.bytes_saved),
            },
            **_rates(tide),
        }

    def _upstream(self, name: str, *, is_paused: bool) -> dict[str, Any]:
        config = self._house.generation().config
        upstream, gate, tide = config.upstreams[name], self._house.gates.get(name), self._demand.of(name)
        return known(
            url=upstream.url,
            is_up=None if gate is None else gate.is_up,
            breaker=None if gate is None else gate.breaker_state,
            quota=None if gate is None else gate.quota,
            budget=budget_words(upstream.budget),
            credentials=None if upstream.credentials.kind == "none" else upstream.credentials.kind,
            is_paused=is_paused or None,
            requests=0 if gate is None else gate.requests,
            per_minute=round(tide.per_minute("polls"), 1),
        )


def condition(channels: Sequence[Channel]) -> dict[str, Any]:
    """Say how the topics of a route are doing: the most telling state of all, since when, and why."""
    if not channels:
        return {"states": {}}
    states: Counter[State] = Counter()
    worst, rank = channels[0], (float("inf"), 0.0)
    for channel in channels:  # there may be thousands, and they are looked at each second
        state, topic = channel.state, channel.feed.topic
        states[state] += 1
        if (own := (_RANK[state] if state != "cold" or topic.reason else len(TELLING), topic.since)) < rank:
            worst, rank = channel, own
    status = worst.status
    return known(
        state=status.state,
        since=timestamp(status.since),
        reason=status.reason,
        by_operator=worst.feed.topic.is_paused_by_operator or None,
        states={state: states[state] for state in TELLING if states[state]},
    )


def _item_key(entry: RouteConfig | View) -> Any:
    """Return what tells the document's own items apart: a name, or several; None if nothing does."""
    key = entry.document_key if isinstance(entry, RouteConfig) else entry.key
    return key.get("") if isinstance(key, dict) else key


def _rates(tide: Tide) -> dict[str, Any]:
    """Say what happens in a minute, and what the latest sample has."""
    p50, p95 = tide.delay(0.5), tide.delay(0.95)
    delay = {"p50": in_milliseconds(p50), "p95": in_milliseconds(p95)} if p50 is not None and p95 is not None else None
    return known(
        polls=round(tide.per_minute("polls"), 1),
        changes=round(tide.per_minute("changes"), 1),
        failures=round(tide.per_minute("failures"), 1),
        saved=round(tide.per_minute("requests_saved"), 1),
        bytes=round(tide.per_minute("bytes_saved")),
        delay=delay,
        now=known(**tide.sample) or None,
    )
