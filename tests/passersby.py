"""
Clients that ask in every way there is, over connections that they share, as whoever they like to be.

Most of the time they come with something that they have stolen from each other: an entity tag, a cursor of a topic or
of many. What they get is looked at by ``witnesses.Witness``.
"""

from __future__ import annotations

import asyncio
import json
import random
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from backends import PATIENCE
from lookalikes import PEOPLE, PRIVATE, TOPICS, Standing, modes_of
from witnesses import Ear, Loot, Witness, blocks

SSE = {"Accept": "text/event-stream"}
Query = Iterable[tuple[str, str]]

# Sets of topics that are followed on one connection; each has one that everybody with a token may see.
SETS = [
    ("/me", "/tenant", "/house"),
    ("/me", "/me/head", "/sid", "/tenant", "/of/ben", "/of/cat", "/open"),
    ("/sid", "/house"),
    ("/tenant", "/open"),
    ("/same", "/house"),
    ("/same", "/tenant"),
]


def carried(who: Standing, carrier: str) -> tuple[dict[str, str], list[tuple[str, str]], list[str]]:
    """Return the header fields, the query and the subprotocols in which somebody's token and cookie are."""
    cookies = [f"SID={who.sid}"] if who.sid else []
    text = "" if who.shown is None else who.shown.text
    headers: dict[str, str] = {}
    query, protocols = [], ["pushgate.v1"]
    match carrier if text else "none":
        case "header":
            headers["Authorization"] = f"Bearer {text}"
        case "cookie":
            cookies.append(f"session={text}")
        case "query":
            query.append(("access_token", text))
        case "subprotocol":
            protocols.append(f"pushgate.token.{urlsafe_b64encode(text.encode()).decode().rstrip('=')}")
    return headers | ({"Cookie": "; ".join(cookies)} if cookies else {}), query, protocols


class Passerby:
    """One of them, whoever it is at the moment. ``kinds`` of the witness count what it does."""

    def __init__(self, base: str, session: aiohttp.ClientSession, witness: Witness, loot: Loot) -> None:
        self.base = base
        self.session = session
        self.witness = witness
        self.loot = loot
        self.chance = random.Random()

    async def act(self, kind: str, seed: str) -> None:
        """Do something of this kind, in whatever way the seed says."""
        self.chance = random.Random(seed)
        self.witness.kinds[kind] += 1
        async with asyncio.timeout(3 * PATIENCE):
            await getattr(self, kind)()

    # Who it is, and what it comes with.

    def somebody(self) -> Standing:
        tokens = self.chance.choice([*PEOPLE.values()])
        return Standing(self.chance.choice(tokens), self.chance.choice(["", "common", "rotated"]))

    def position(self, kind: str, what: str, topic: object, owner: object) -> tuple[str | None, bool]:
        """Return where to go on, and whether that is another's: often it is."""
        dice = self.chance.random()
        if dice < 0.6 and (stolen := self.loot.steal((what, topic), owner, self.chance)):
            self.witness.kinds[f"stolen by {kind}"] += 1
            return stolen, True
        return (self.loot.own((what, topic), owner) if dice < 0.85 else None), False

    def ear(self, who: Standing, topics: Iterable[str], stolen: Mapping[str, str]) -> Ear:
        return Ear(self.witness, self.loot, who, [*topics], stolen)

    def url(self, path: str, query: Query) -> URL:
        self.witness.kinds["requests"] += 1
        return URL(f"{self.base}{path}?{urlencode([*query])}", encoded=True)

    @asynccontextmanager
    async def opened(
        self, who: Standing, path: str, query: Query = (), *topics: str, carrier: str | None = None, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask; whatever the answer is, no cache may keep it for others. ``topics``: unless the path is one."""
        method, carrier = more.pop("method", "GET"), carrier or self.chance.choice(["header", "cookie", "query"])
        headers, controls, _ = carried(who, carrier)
        headers |= more.pop("headers", {}) | ({"Origin": self.base} if method == "POST" else {})
        self.witness.kinds[f"carried by {carrier}"] += who.shown is not None
        async with self.session.request(method, self.url(path, [*query, *controls]), headers=headers, **more) as answer:
            if path != "/elsewhere" and {*(topics or (path,))} != {"/open"}:
                kept = answer.headers["Cache-Control"]
                assert "public" not in kept and ("private" in kept or "no-store" in kept), kept
                assert {"Authorization", "Cookie"} <= {*answer.headers["Vary"].split(", ")}
            yield answer

    async def ask(
        self, who: Standing, path: str, query: Query = (), *topics: str, **more: Any
    ) -> tuple[int, Mapping[str, str], str]:
        """Ask, read the whole answer, and look at it: nothing of another's is anywhere in it."""
        async with self.opened(who, path, query, *topics, **more) as answer:
            text = (await answer.read()).decode()
        self.witness.look(f"{text} {answer.headers}", who, topics or (path,))
        return answer.status, answer.headers, text

    async def follow(self, answer: aiohttp.ClientResponse, ear: Ear) -> None:
        """Hear what comes at first, and then what is new."""
        wanted = sum(map(ear.who.may, ear.topics)) + self.chance.randrange(3)
        async for event in blocks(answer.content):
            wanted -= ear.hear(event)
            if len(ear.topics) > 1 and event["position"]:
                ear.keep_position(event["position"])
            if wanted <= 0:
                return

    # One topic.

    async def short_poll(self) -> None:
        await self._document("short_poll")

    async def head(self) -> None:
        await self._document("head", method="HEAD")

    async def document_long_poll(self) -> None:
        await self._document("document_long_poll", {"Prefer": "wait=1", "If-None-Match": '"-"'})

    async def _document(self, kind: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        who, topic = self.somebody(), self.chance.choice(TOPICS)
        etag, is_stolen = self.position(kind, "etag", topic, who.identity(topic))
        asked = {**(headers or {}), **({"If-None-Match": etag} if etag else {})}
        status, fields, _ = await self.ask(who, topic, headers=asked, **more)
        if not who.may(topic):
            assert status == 403, status
            return
        assert status == 200 or (status == 304 and etag and not is_stolen), (status, is_stolen)
        self.witness.kinds[f"answers {status}"] += 1
        self.loot.keep(("etag", topic), who.identity(topic), fields["ETag"])
        self.loot.keep(("cursor", topic), who.identity(topic), fields.get("Pushgate-Cursor"))

    async def long_poll(self) -> None:
        who, topic = self.somebody(), self.chance.choice(TOPICS)
        cursor, is_stolen = self.position("long_poll", "cursor", topic, who.identity(topic))
        query = [("cursor", cursor or ""), ("wait", "5"), ("emit", self.chance.choice(modes_of(topic)))]
        status, _, text = await self.ask(who, topic, query)
        assert status == (200 if who.may(topic) else 403), status
        ear = self.ear(who, [topic], {topic: cursor} if cursor and is_stolen else {})
        for event in json.loads(text).get("events", []):
            ear.hear(event)

    async def sse(self) -> None:
        who, topic = self.somebody(), self.chance.choice(TOPICS)
        cursor, is_stolen = self.position("sse", "cursor", topic, who.identity(topic))
        query, headers = [("emit", self.chance.choice(modes_of(topic)))], {**SSE}
        query.append(("framing", self.chance.choice(["event", "message"])))
        way = self.chance.choice(["cursor", "lastEventId", "Last-Event-ID"]) if cursor else None
        if way == "Last-Event-ID":
            headers[way] = cursor or ""
        elif way is not None:
            query.append((way, cursor or ""))
        ear = self.ear(who, [topic], {topic: cursor} if cursor and is_stolen else {})
        async with self.opened(who, topic, query, headers=headers) as answer:
            assert answer.status == (200 if who.may(topic) else 403), answer.status
            if answer.status == 200:
                await self.follow(answer, ear)

    async def write(self) -> None:
        status, fields, _ = await self.ask(self.somebody(), "/me", method="POST", data=b"a")
        assert (status, fields["Cache-Control"]) == (201, "no-store")

    async def proxied(self) -> None:
        status, _, text = await self.ask(self.somebody(), "/elsewhere", carrier="header")
        assert status == 200 and "@/elsewhere" in text

    async def ticket(self) -> None:
        """Get one and redeem it; when somebody else shows it then, it proves nothing any more."""
        who, topic = self.somebody(), self.chance.choice(PRIVATE)
        status, _, text = await self.ask(who, "/-/tickets", (), topic, method="POST", json={"topics": [topic]})
        assert status == 200, text
        query = [("ticket", json.loads(text)["ticket"])]
        self.witness.kinds["carried by ticket"] += 1
        async with self.opened(Standing(None), topic, query, headers=SSE) as answer:
            assert answer.status == 200 and "Set-Cookie" in answer.headers
            await self.follow(answer, self.ear(who, [topic], {}))
        status, _, _ = await self.ask(self.somebody(), topic, query, headers=SSE)
        assert status == 401

    async def stranger(self) -> None:
        """Who proves nothing gets nothing, whatever entity tag and cursor it has, but what is open to all."""
        nobody, topic = Standing(None, self.chance.choice(["", "common"])), self.chance.choice(TOPICS)
        etag, _ = self.position("stranger", "etag", topic, "nobody")
        cursor, _ = self.position("stranger", "cursor", topic, "nobody")
        query = [("cursor", cursor), ("wait", "0")] if cursor and self.chance.random() < 0.5 else []
        status, fields, _ = await self.ask(nobody, topic, query, headers={"If-None-Match": etag or "*"})
        assert topic == "/open" or (status == 401 and not {"ETag", "Pushgate-Cursor"} & {*fields})

    # Many topics.

    def wishes(self, kind: str, who: Standing) -> tuple[list[dict[str, str]], str | None, dict[str, str]]:
        """Return topics with their cursors, the cursor of all of them, and what of that is another's."""
        topics = self.chance.choice(SETS)
        if kind != "shared_websocket" and self.chance.random() < 0.5:
            cursor, is_stolen = self.position(kind, "set", topics, tuple(map(who.identity, topics)))
            return [{"topic": one} for one in topics], cursor, dict.fromkeys(topics, cursor or "") if is_stolen else {}
        entries, stolen = [], {}
        for topic in topics:
            cursor, is_stolen = self.position(kind, "cursor", topic, who.identity(topic))
            entries.append({"topic": topic, "cursor": cursor or ""})
            stolen |= {topic: cursor} if cursor and is_stolen else {}
        return entries, None, stolen

    def named(self, wishes: list[dict[str, str]], cursor: str | None) -> tuple[list[tuple[str, str]], dict[str, Any]]:
        """Return the query that names the topics, or the body that does, with a mode for each."""
        if self.chance.random() < 0.5:
            wishes = [{**wish, "emit": self.chance.choice(modes_of(wish["topic"]))} for wish in wishes]
            return [], {"method": "POST", "json": {"topics": wishes, **({"cursor": cursor} if cursor else {})}}
        query = [(name, text) for wish in wishes for name, text in wish.items()]
        return query + ([("cursor", cursor)] if cursor else []), {}

    async def shared_poll(self) -> None:
        who = self.somebody()
        wishes, cursor, stolen = self.wishes("shared_poll", who)
        query, more = self.named(wishes, cursor)
        ear = self.ear(who, [wish["topic"] for wish in wishes], stolen)
        await self.poll_shared(ear, query, more)
        while ear.waited_for:  # a topic that has no document yet does not hold up the others
            query = [("topic", topic) for topic in ear.topics]
            await self.poll_shared(ear, [*query, ("cursor", ear.position)], {})

    async def poll_shared(self, ear: Ear, query: Query, more: Mapping[str, Any]) -> None:
        status, fields, text = await self.ask(ear.who, "/-/poll", [*query, ("wait", "5")], *ear.topics, **more)
        assert status == 200, (status, text)
        for event in json.loads(text)["events"]:
            ear.hear(event)
        ear.keep_position(fields["Pushgate-Cursor"])

    async def shared_sse(self) -> None:
        who = self.somebody()
        wishes, cursor, stolen = self.wishes("shared_sse", who)
        by_header = cursor is not None and self.chance.random() < 0.5
        query, more = self.named(wishes, None if by_header else cursor)
        headers = {"Last-Event-ID": cursor or ""} if by_header else {}
        ear = self.ear(who, [wish["topic"] for wish in wishes], stolen)
        async with self.opened(who, "/-/events", query, *ear.topics, headers=headers, **more) as answer:
            assert answer.status == 200, await answer.text()
            await self.follow(answer, ear)
