"""
The dashboard's second document: one route, how its topics are doing, and one of them as it is seen from near.

Rule 1: documents are shown of routes whose topics are the same for everybody (``share: public``); of others nobody is
told more than how they are doing.
Rule 2: nothing that is shown is long, and what was left out says so.
"""

from __future__ import annotations

from dataclasses import asdict
from heapq import nsmallest
from itertools import chain
from typing import Any, Final

import msgspec

from ...channel import Channel
from ...documents.changes import Change, Sealed, timestamp
from ...documents.keys import Keys
from ...polled import PolledChannel
from ...routes import Route
from ...tools.retelling import retell
from ...values import ABSENT, Document
from ...viewing import ViewChannel
from .accounts import topic_account
from .house import House
from .overview import TELLING, known

# So many topics of a route are told of, and so many changes of the one that is looked at.
TOPICS_SHOWN: Final = 50
CHANGES_SHOWN: Final = 12

# Of a document, as text; and the largest one that is laid out for reading.
CHARACTERS_SHOWN: Final = 6000
MAX_LAID_OUT: Final = 256 * 1024


class Closeup:
    """Tells of one route. It remembers how it told the changes that it told last."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._told: dict[tuple[str, int], dict[str, Any]] = {}

    def tell(self, route: str, topic: str | None) -> dict[str, Any] | None:
        """Return the document; ``topic``: the one to look at, by its name. None if there is no such route."""
        entry = self._house.generation().entries.get(route)
        if entry is None:
            return None
        channels = self._channels(route)
        first = nsmallest(TOPICS_SHOWN, channels, key=_telling_first)
        shown = next((channel for channel in chain(first, channels) if topic in (None, channel.name.text)), None)
        is_public = (entry if isinstance(entry, Route) else entry.parent).is_public
        return known(
            route=route,
            count=len(channels),
            topics=[_account(channel) for channel in first],
            is_public=is_public,
            shown=None if shown is None else self._shown(shown) if is_public else {"topic": shown.name.text},
        )

    def _channels(self, route: str) -> list[Channel]:
        hub = self._house.hub
        channels: list[Channel] = [*hub.topics(), *hub.views()]
        return [channel for channel in channels if channel.route.name == route]

    def _shown(self, channel: Channel) -> dict[str, Any]:
        latest = channel.history.latest
        held = channel.feed.reception.held if isinstance(channel, PolledChannel) else None
        return known(
            topic=channel.name.text,
            document=None if latest is None or latest.is_absent else _laid_out(latest.snapshot),
            is_absent=(latest is not None and latest.is_absent) or None,
            changes=self._changes(channel),
            held=None if held is None else {"guard": held.doubt.guard, **_sample(held.document)},
        )

    def _changes(self, channel: Channel) -> list[dict[str, Any]]:
        keys = channel.route.keys
        key = channel.name.key
        changes = channel.history.recent(CHANGES_SHOWN)
        told = {
            (key, one.after.number): self._told.get((key, one.after.number)) or _change(one, keys) for one in changes
        }
        self._told = told
        return [*reversed(told.values())]


def _telling_first(channel: Channel) -> tuple[int, str]:
    return TELLING.index(channel.state), channel.name.text


def _account(channel: Channel) -> dict[str, Any]:
    """Return how a topic or a view is doing."""
    if isinstance(channel, PolledChannel):
        return topic_account(channel)
    assert isinstance(channel, ViewChannel)
    own = {
        "topic": channel.name.text,
        "state": channel.state,
        "cursor": channel.history.head("snapshot") if channel.has_document else None,
        "subscribers": channel.count(),
    }
    return {**topic_account(channel.parent), "views": 0, "held": None, "of": channel.parent.name.text, **own}


def _change(change: Change, keys: Keys) -> dict[str, Any]:
    """Tell a change, as people read it."""
    said = {"number": change.after.number, "at": timestamp(change.after.at)}
    before, after = change.before, change.after
    if after.is_end:
        return {**said, "kind": "end"}
    if after.is_absent:
        return {**said, "kind": "gone"}
    if change.is_sealed:
        return {**said, "kind": "big", "bytes": after.size}
    if before is None or before.is_absent:
        return {**said, "kind": "first", "bytes": after.size}
    retelling = retell(before.document, after.document, keys)
    return {**said, "kind": "change", "told": [known(**asdict(one)) for one in retelling.told], "more": retelling.more}


def _sample(document: Document | Sealed) -> dict[str, Any]:
    if document is ABSENT:
        return {"text": "", "bytes": 0}
    return _laid_out(document.snapshot if isinstance(document, Sealed) else msgspec.json.encode(document))


def _laid_out(data: bytes) -> dict[str, Any]:
    """Return JSON as a text to be read, cut, with its size."""
    text = msgspec.json.format(data, indent=2) if len(data) <= MAX_LAID_OUT else data[: 4 * CHARACTERS_SHOWN]
    whole = text.decode("utf-8", "ignore")
    return known(text=whole[:CHARACTERS_SHOWN], bytes=len(data), is_cut=len(whole) > CHARACTERS_SHOWN or None)
