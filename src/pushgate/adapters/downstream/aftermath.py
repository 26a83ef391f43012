"""
What follows a request that may have changed something: polls that begin after it, of all topics that may show it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ...config.refresh import Reach
from ...hub import Hub
from ...naming import placeholders
from ...polled import PolledChannel
from ...routes import Route
from ...views import ViewRoute

# Topics, and the number of the poll that each is waiting for; None if there is none to come.
Awaited = dict[PolledChannel, int | None]


def poke(reaches: Collection[Reach], entries: Collection[Route | ViewRoute], hub: Hub) -> Awaited:
    """Poll whatever is out of date now, for everybody, and return what to wait for; ``entries``: all there are."""
    wanted = list(_wanted(reaches, entries))
    return {
        channel: channel.poke()
        for channel in hub.topics()
        if any(channel.route is route and values.items() <= channel.name.values.items() for route, values in wanted)
    }


def is_refusal(status: int) -> bool:
    """Whether an upstream says that it did nothing; a server's error says nothing about that."""
    return 400 <= status < 500


def _wanted(
    reaches: Collection[Reach], entries: Collection[Route | ViewRoute]
) -> Iterator[tuple[Route, Mapping[str, str]]]:
    """Yield routes, and the values of those of their topics that are to be polled; a view is its parent's."""
    for entry in entries:
        for reach in reaches:
            values = reach.within(entry.template)
            if values is None:
                continue
            if isinstance(entry, Route):
                yield entry, values
                continue
            own = placeholders(entry.name) - placeholders(entry.parent.name)
            yield entry.parent, {name: value for name, value in values.items() if name not in own}
