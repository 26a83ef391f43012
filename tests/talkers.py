"""The same clients over WebSockets, on which they write, and become somebody else in the middle of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from lookalikes import PEOPLE, TOPICS, modes_of
from passersby import Passerby, Query, carried
from witnesses import Ear


class Talker(Passerby):
    """A passer-by who also talks."""

    @asynccontextmanager
    async def connected(self, path: str, query: Query, ear: Ear) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket whose client has said who it is, before or behind the handshake."""
        carrier = self.chance.choice(["header", "cookie", "query", "subprotocol", "message"])
        headers, controls, protocols = carried(ear.who, carrier)
        headers |= {"Origin": self.base}
        self.witness.kinds[f"carried by {carrier}"] += 1
        compress = self.chance.choice([0, 15])
        url = self.url(path, [*query, *controls])
        async with self.session.ws_connect(
            url, headers=headers, protocols=protocols, max_msg_size=0, compress=compress
        ) as socket:
            if carrier == "message":
                assert ear.who.shown is not None
                await self.say(socket, op="auth", token=ear.who.shown.text, ref="first")
                await self.hear(socket, ear, ref="first")
            yield socket

    async def say(self, socket: aiohttp.ClientWebSocketResponse, **message: Any) -> None:
        self.witness.kinds["requests"] += 1
        await socket.send_json(message)

    async def hear(
        self, socket: aiohttp.ClientWebSocketResponse, ear: Ear, *, changes: int = 0, ref: str | None = None
    ) -> None:
        """Hear so many changes, or the answer to what was said."""
        while changes > 0 or ref is not None:
            event = json.loads((await socket.receive()).data)
            if event["event"] == "ack":
                self.witness.look(json.dumps(event), ear.who, [*ear.topics, "/me"])  # which is written to
                assert event["ref"] == ref
                return
            assert event["event"] != "problem" or not ear.who.may(event["topic"]), event
            changes -= ear.hear(event)

    async def become(self, socket: aiohttp.ClientWebSocketResponse, ear: Ear) -> None:
        """Prove to be somebody else; what comes behind the answer is for that one."""
        other = self.chance.choice(self.chance.choice([*PEOPLE.values()]))
        if "/of/ben" in ear.topics and len(ear.topics) == 1 and "ben" not in other.friends:
            return
        self.witness.kinds["renewals"] += 1
        await self.say(socket, op="auth", token=other.text, ref="renewal")
        await self.hear(socket, ear, ref="renewal")
        ear.prove(other)

    async def write_over(self, socket: aiohttp.ClientWebSocketResponse, ear: Ear) -> None:
        self.witness.kinds["sends"] += 1
        await self.say(socket, op="send", topic="/me", data={"a": 1}, ref="send")
        await self.hear(socket, ear, ref="send")

    async def websocket(self) -> None:
        who = self.somebody()
        topic = self.chance.choice([one for one in TOPICS if who.may(one) and one not in ("/open", "/of/cat")])
        cursor, is_stolen = self.position("websocket", "cursor", topic, who.identity(topic))
        ear = self.ear(who, [topic], {topic: cursor} if cursor and is_stolen else {})
        query = [("cursor", cursor or ""), ("emit", self.chance.choice(modes_of(topic)))]
        async with self.connected(topic, query, ear) as socket:
            await self.hear(socket, ear, changes=1)
            if topic == "/me" and self.chance.random() < 0.5:
                await self.write_over(socket, ear)
            if self.chance.random() < 0.7:
                await self.become(socket, ear)
            await self.hear(socket, ear, changes=1 + self.chance.randrange(2))

    async def shared_websocket(self) -> None:
        who = self.somebody()
        wishes, _, stolen = self.wishes("shared_websocket", who)
        ear = self.ear(who, [wish["topic"] for wish in wishes], stolen)
        query = [(name, text) for wish in wishes for name, text in wish.items()]
        async with self.connected("/-/ws", query, ear) as socket:
            for _ in range(1 + self.chance.randrange(3)):
                await self.hear(socket, ear, changes=1 + self.chance.randrange(3))
                await self.chance.choice([self.become, self.subscribe_again, self.write_over])(socket, ear)
            await self.hear(socket, ear, changes=2)

    async def subscribe_again(self, socket: aiohttp.ClientWebSocketResponse, ear: Ear) -> None:
        """Go on from somewhere else, most of the time from where another was."""
        topic = self.chance.choice(ear.topics)
        if not ear.who.may(topic):
            return
        cursor, is_stolen = self.position("subscribe", "cursor", topic, ear.who.identity(topic))
        emit = self.chance.choice(modes_of(topic))
        await self.say(socket, op="subscribe", topic=topic, cursor=cursor, emit=emit, ref="again")
        await self.hear(socket, ear, ref="again")
        if cursor and is_stolen:
            ear.waited_for[topic] = cursor
