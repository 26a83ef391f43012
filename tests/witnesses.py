"""
Who looks at everything that clients get, and knows whose it is by the labels of ``lookalikes.Mirror``.

What was asked for as somebody else has another label; and where the backend cannot tell two people apart, still no
answer of it may ever be seen by both.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Hashable, Mapping
from typing import Any

from aiohttp import StreamReader

from lookalikes import Standing, Token, base_of

CHANGES = ("snapshot", "patch", "merge", "items")
LABEL = re.compile(r"@([^@]*)#(\d+)@")


class Witness:
    """Looks at everything that anybody gets. ``kinds``: how often what was looked at."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self._owners: dict[str, Hashable] = {}

    def look(self, text: str, standing: Standing, topics: Collection[str]) -> None:
        """Fail if something in it is another's; ``topics``: those that were asked for."""
        asked = {base_of(topic) for topic in topics}
        for told, serial in LABEL.findall(text):
            topic = told.partition("|")[0]
            assert topic in asked, f"{told} was not asked for, but {topics}"
            assert told == standing.label(topic), f"{standing.label(topic)} was told {told}"
            mine = standing.identity(topic)
            owner = self._owners.setdefault(serial, mine)
            assert owner == mine, f"answer {serial} of {told} was seen by {owner} and by {mine}"
            self.kinds["labels"] += 1


class Loot:
    """What clients were given to come back with, to be stolen by others."""

    def __init__(self) -> None:
        self._kept: defaultdict[Hashable, dict[Hashable, str]] = defaultdict(dict)

    def keep(self, what: Hashable, owner: Hashable, text: str | None) -> None:
        if text:
            self._kept[what][owner] = text

    def own(self, what: Hashable, owner: Hashable) -> str | None:
        return self._kept[what].get(owner)

    def steal(self, what: Hashable, thief: Hashable, chance: random.Random) -> str | None:
        others = [text for owner, text in self._kept[what].items() if owner != thief]
        return chance.choice(others) if others else None


class Ear:
    """
    What one client hears on one connection; ``stolen``: cursors of others that it came with, by topic.

    A stolen cursor is a gap: it is never continued, and never given back as if it were good.
    """

    def __init__(
        self, witness: Witness, loot: Loot, who: Standing, topics: Collection[str], stolen: Mapping[str, str]
    ) -> None:
        self.topics = topics
        self.who = who
        self.position = ""  # of all topics together
        self.waited_for = {topic: cursor for topic, cursor in stolen.items() if who.may(topic)}
        self._witness = witness
        self._loot = loot

    def hear(self, event: Mapping[str, Any]) -> bool:
        """Look at an event, and return whether it is a change."""
        topic = event.get("topic") or next(iter(self.topics))
        self._witness.look(json.dumps(event), self.who, [topic])
        self._witness.kinds[f"event {event['event']}"] += 1
        assert topic in self.topics
        stolen = self.waited_for.get(topic)
        if event["event"] not in CHANGES:
            is_cold = (event.get("data") or {}).get("state") == "cold"
            assert stolen is None or event.get("id") != stolen or is_cold, "another's cursor was given back"
            return False
        assert stolen is None or event["event"] == "snapshot", f"another's cursor was continued by {event['event']}"
        self.waited_for.pop(topic, None)
        self._loot.keep(("cursor", topic), self.who.identity(topic), event["id"])
        return True

    def keep_position(self, cursor: str) -> None:
        """Take note of the cursor of all topics together."""
        topics, self.position = tuple(self.topics), cursor
        self._loot.keep(("set", topics), tuple(map(self.who.identity, topics)), cursor)

    def prove(self, token: Token) -> None:
        """Go on as whom a token proves: what is somebody else's then begins anew."""
        before = {topic: self.who.identity(topic) for topic in self.topics}
        self.who.prove(token)
        self.waited_for |= {topic: "" for topic in before if before[topic] != self.who.identity(topic)}


async def blocks(stream: StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Yield what an event stream says, in whatever framing; ``position``: the last event id."""
    fields: dict[str, str] = {}
    async for line in stream:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            data = json.loads(fields["data"])
            envelope = data if isinstance(data, dict) and "event" in data else {"event": fields["event"], "data": data}
            yield {"id": fields.get("id"), **envelope, "position": fields.get("id")}
            fields = {}
