"""
Many topics on one connection: what is promised of one topic holds for each of them.

A witness of a topic is a client on its own URL that takes only snapshots and never disconnects: what it holds at an id
is the truth there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import pytest

from conftest import SOAK
from gateways import EVERY_MODE, Running, eventually, route, running_gateway
from links import Link
from pushgate.adapters.downstream import shared
from replicas import Replica, assert_true_at_every_id, position_of
from sharedlinks import SHARED, SharedLink, replicas_of
from shelves import Shelf, shelf
from transports import RESUMABLE, TRANSPORTS, connected

ROUTES: dict[str, Any] = {
    "/t/{n}": route(params={"n": "[0-9]+"}, key="id", emit=EVERY_MODE),
    "/rows": route(key="id", emit=EVERY_MODE),
    "/rows/{id}": {"from": "/rows", "item": "{id}", "emit": ["patch", "merge", "snapshot"]},
    "/late": route(),
}
RESUMING = ["sse", "long_poll"]  # those that have one cursor for the set


def topics(count: int) -> list[str]:
    return [f"/t/{n}" for n in range(count)]


def document(step: int) -> dict[str, Any]:
    return {"step": step, "pad": "x" * 300}


@pytest.fixture
async def backend() -> AsyncIterator[Shelf]:
    async with shelf() as backend:
        backend.serve(topics(300), document(0))
        backend.serve(["/rows"], rows(0))
        yield backend


def rows(step: int) -> list[dict[str, Any]]:
    return [{"id": name, "n": step if name == "b" else 0, "pad": "x" * 50} for name in "abcdef"]


@asynccontextmanager
async def following(
    transport: str, gateway: Running, names: list[str], *, emit: str | None = None
) -> AsyncIterator[SharedLink]:
    """A client of so many topics that has everything."""
    async with SHARED[transport](gateway.base, replicas_of(names), emit=emit) as client:
        await client.connect()
        yield client


@pytest.mark.parametrize("emit", [None, *EVERY_MODE])
@pytest.mark.parametrize("transport", SHARED)
async def test_every_topic_is_followed(backend: Shelf, transport: str, emit: str | None) -> None:
    """One connection brings every change of each topic that it names, in its mode and with the topic's name."""
    names = topics(5)
    lists = [[{"id": n, "v": step if n == 3 else 0, "pad": "x" * 40} for n in range(9)] for step in range(3)]
    backend.serve(names, lists[0])
    async with running_gateway(backend.url, ROUTES) as gateway, following(transport, gateway, names, emit=emit) as one:
        await one.follow(dict.fromkeys(names, lists[0]))
        for step in (1, 2):
            backend.serve(names[1:3], lists[step])
            await one.follow(dict.fromkeys(names[1:3], lists[step]))
        for name in names:
            told_as = {None: "patch", "merge": "snapshot"}.get(emit, emit)  # a merge cannot change one item of an array
            changes = [told_as] * 2 if name in names[1:3] else []
            assert one.replicas[name].kinds == ["snapshot", *changes]


@pytest.mark.parametrize("transport", RESUMING)
async def test_one_cursor_resumes_all(backend: Shelf, transport: str) -> None:
    """Whoever returns with the cursor of the set is told what has changed, and nothing of what has not."""
    names = topics(20)
    async with running_gateway(backend.url, ROUTES) as gateway, following(transport, gateway, names) as client:
        await client.follow(dict.fromkeys(names, document(0)))
        await client.disconnect()
        async with connected("sse", gateway.base, names[3]) as witness:
            await witness.follow(document(0))
            backend.serve(names[3:5], document(1))
            await witness.follow(document(1))
        await client.connect("set")
        await client.follow(dict.fromkeys(names[3:5], document(1)))
        assert all(client.replicas[name].kinds == ["snapshot", "patch"] for name in names[3:5])
        assert all(client.replicas[name].kinds == ["snapshot"] for name in [*names[:3], *names[5:]])
        backend.serve(names[9:10], document(2))
        await client.follow({names[9]: document(2)})
        assert client.replicas[names[9]].kinds == ["snapshot", "patch"]


@pytest.mark.parametrize("transport", RESUMING)
async def test_the_order_of_topics_means_nothing_and_another_set_is_a_gap(backend: Shelf, transport: str) -> None:
    """A cursor is for exactly these topics; with one more, all of them begin anew."""
    names = topics(3)
    async with running_gateway(backend.url, ROUTES) as gateway, following(transport, gateway, names) as client:
        await client.follow(dict.fromkeys(names, document(0)))
        turned = {f"{name}?": client.replicas[name] for name in reversed(names)}  # and in another spelling
        async with SHARED[transport](gateway.base, turned, position=client.position) as same:
            await same.connect("set")
            backend.serve(names[:1], document(1))
            while (heard := await same.receive())["event"] in ("heartbeat", "status"):
                pass
            assert (heard["event"], heard["topic"]) == ("patch", names[0])
        more = {**client.replicas, "/t/7": Replica()}
        async with SHARED[transport](gateway.base, more, position=client.position) as other:
            await other.connect("set")
            await other.follow({**dict.fromkeys(names[1:], document(0)), names[0]: document(1), "/t/7": document(0)})
            assert [event["event"] for event in other.heard if event["id"]] == ["snapshot"] * 4


@pytest.mark.parametrize("transport", SHARED)
async def test_a_topics_own_cursor_resumes_it_anywhere(backend: Shelf, transport: str) -> None:
    """The id in an envelope is the one that the topic has on its own URL, there and back."""
    names = topics(2)
    async with running_gateway(backend.url, ROUTES) as gateway, following(transport, gateway, names) as client:
        await client.follow(dict.fromkeys(names, document(0)))
        await client.disconnect()
        for alone in RESUMABLE:
            async with TRANSPORTS[alone](gateway.base, names[0], client.replicas[names[0]], emit="patch") as link:
                await link.connect(client.replicas[names[0]].cursor)
                backend.serve(names[:1], document(1 + RESUMABLE.index(alone)))
                await link.follow(document(1 + RESUMABLE.index(alone)))
        await client.connect("own")
        backend.serve(names, document(9))
        await client.follow(dict.fromkeys(names, document(9)))
        assert client.replicas[names[0]].kinds == ["snapshot", *["patch"] * len(RESUMABLE), "patch"]
        assert client.replicas[names[1]].kinds == ["snapshot", "patch"]


async def test_a_view_and_its_parent_are_told_together(backend: Shelf) -> None:
    """Changes of one number go out in one piece, and only the last of them carries the position."""
    names = ["/rows", "/rows/a", "/rows/b"]
    async with running_gateway(backend.url, ROUTES) as gateway, following("sse", gateway, names) as client:
        await client.follow({"/rows": rows(0), "/rows/b": rows(0)[1]})
        told = [event for event in client.heard if event["id"]]
        assert [bool(event["position"]) for event in told] == [False, False, True]
        for step in range(1, 4):
            before = client.position
            backend.serve(["/rows"], rows(step))
            await client.follow({"/rows": rows(step), "/rows/b": rows(step)[1]})
            one, two = client.heard[-2:]
            assert [one["topic"], two["topic"]] == ["/rows", "/rows/b"]
            assert position_of(one["id"])[1] == position_of(two["id"])[1] == position_of(client.position or "")[1]
            assert (one["position"], two["position"]) == (None, client.position) and client.position != before


async def test_a_catch_up_that_is_cut_is_told_again(backend: Shelf) -> None:
    """Whoever loses the connection before the position has come is told all of it once more."""
    names = topics(6)
    async with running_gateway(backend.url, ROUTES) as gateway, following("sse", gateway, names) as client:
        await client.follow(dict.fromkeys(names, document(0)))
        for _ in range(3):
            await client.disconnect()
            async with connected("sse", gateway.base, names[5]) as witness:
                backend.serve(names[:], document(1))
                await witness.follow(document(1))
            await client.connect("set")
            told = [await client.receive() for _ in range(3)]  # and then it breaks
            assert [event["position"] for event in told] == [None] * 3
        await client.reconnect("set")
        await client.follow(dict.fromkeys(names, document(1)))
        assert all(client.replicas[name].kinds == ["snapshot", "patch"] for name in names)


# Restarts.


async def cursor_before(backend: Shelf, transport: str, names: list[str]) -> SharedLink:
    """A client that had everything when its gateway ended."""
    async with running_gateway(backend.url, ROUTES) as gateway, following(transport, gateway, names) as client:
        await client.follow(dict.fromkeys(names, document(0)))
    client.heard.clear()
    return client


@pytest.mark.parametrize("transport", RESUMING)
async def test_after_a_restart_the_same_documents_need_no_snapshots(backend: Shelf, transport: str) -> None:
    """A cursor from before it continues if all documents are what they were; judged when all of them are there."""
    names = topics(4)
    client = await cursor_before(backend, transport, names)
    backend.is_open.clear()
    async with running_gateway(backend.url, ROUTES) as gateway, client:
        client.base = gateway.base
        await client.connect("set")
        waiting = asyncio.create_task(client.follow(dict.fromkeys(names, document(1))))
        async with connected("sse", gateway.base, names[0], emit="snapshot") as witness:
            backend.is_open.set()
            await witness.follow(document(0))
            for name in names[1:]:
                async with connected("sse", gateway.base, name) as other:
                    await other.follow(document(0))
            backend.serve(names, document(1))
            await waiting
        assert all(client.replicas[name].kinds == ["snapshot", "patch"] for name in names)


@pytest.mark.parametrize("transport", RESUMING)
async def test_after_a_restart_one_other_document_is_a_gap(backend: Shelf, transport: str) -> None:
    """If one document has changed meanwhile, nobody can tell which; all are told anew."""
    names = topics(4)
    client = await cursor_before(backend, transport, names)
    backend.serve(names[:1], document(1))
    async with running_gateway(backend.url, ROUTES) as gateway, client:
        client.base = gateway.base
        await client.connect("set")
        while len([event for event in client.heard if event["event"] == "snapshot"]) < len(names):
            await client.receive()
        assert all(client.replicas[name].kinds == ["snapshot", "snapshot"] for name in names)
        assert client.replicas[names[0]].holds(document(1))


@pytest.mark.parametrize("transport", RESUMING)
async def test_what_changes_before_the_judgement_is_not_lost(backend: Shelf, transport: str) -> None:
    """While one topic has no document yet, another changes: it continues from where the client came."""
    names = topics(2)
    client = await cursor_before(backend, transport, [*names, "/t/5"])
    client.replicas = {name: client.replicas[name] for name in [*names, "/t/5"]}
    backend.documents["/t/5"] = 500
    here = 3 if transport == "sse" else 1  # connections, when the client is one of them
    async with running_gateway(backend.url, ROUTES) as gateway, client:
        client.base = gateway.base
        async with connected("sse", gateway.base, names[0], emit="snapshot") as witness:
            await witness.follow(document(0))
            async with connected("sse", gateway.base, names[1]) as other:
                await other.follow(document(0))
                await client.connect("set")
                waiting = asyncio.create_task(client.follow({names[0]: document(2), "/t/5": document(0)}))
                count = partial(gateway.metric, "pushgate_connections", transport=transport)
                await eventually(count, lambda found: found >= here)
                for step in (1, 2):
                    backend.serve(names[:1], document(step))
                    await witness.follow(document(step))
                backend.documents["/t/5"] = document(0)
                await waiting
        kinds = client.replicas[names[0]].kinds
        assert kinds[0] == "snapshot" and set(kinds[1:]) == {"patch"}, kinds
        assert client.replicas["/t/5"].kinds == ["snapshot"]


@pytest.mark.parametrize("transport", RESUMING)
async def test_a_topic_that_does_not_come_back_holds_nobody_up_for_ever(
    backend: Shelf, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor is judged without it after a while, and then it is a gap."""
    monkeypatch.setattr(shared, "RECOGNITION_PATIENCE", 0.5)
    names = topics(3)
    client = await cursor_before(backend, transport, names)
    backend.documents[names[0]] = 500
    async with running_gateway(backend.url, ROUTES) as gateway, client:
        client.base = gateway.base
        await client.connect("set")
        while len([event for event in client.heard if event["event"] == "snapshot"]) < 2:
            await client.receive()
        backend.serve(names[:1], document(1))
        await client.follow({**dict.fromkeys(names[1:], document(0)), names[0]: document(1)})


# All of it together.


class Script:
    """One client that hops between shared connections, topics' own URLs and restarted gateways, and misses things."""

    def __init__(self, backend: Shelf, seed: int, names: list[str]) -> None:
        self.backend = backend
        self.chance = Random(seed)
        self.names = names
        self.replicas = replicas_of(names)
        self.witnesses = replicas_of(names)
        self.position: str | None = None
        self.step = 0

    def change(self) -> None:
        """Change some documents at the upstream."""
        self.step += 1
        for name in self.chance.sample(self.names, self.chance.choice([1, 1, 2, 4])):
            if not name.startswith("/rows/"):
                kept = {f"m{n}": self.chance.randrange(3) for n in range(6)}
                new = rows(self.step) if name == "/rows" else {"step": self.step, **kept, "pad": "x" * 200}
                self.backend.serve([name], new)

    def truth(self) -> dict[str, Any]:
        truth = {name: self.backend.documents.get(name) for name in self.names}
        by_id = {row["id"]: row for row in self.backend.documents["/rows"]}
        return {name: by_id[name[6:]] if name.startswith("/rows/") else truth[name] for name in self.names}

    async def witness(self, gateway: Running, stack: AsyncExitStack) -> list[Link]:
        links = []
        for name in self.names:
            self.witnesses[name].kinds.clear()
            link = TRANSPORTS["sse"](gateway.base, name, self.witnesses[name], emit="snapshot")
            await stack.enter_async_context(link)
            await link.connect()
            links.append(link)
        return links

    async def see(self, links: list[Link]) -> None:
        truth = self.truth()
        async with asyncio.TaskGroup() as tasks:
            for link in links:
                tasks.create_task(self.see_one(link, truth[link.topic]))

    async def see_one(self, link: Link, document: Any) -> None:
        while not link.replica.kinds or not link.replica.holds(document):
            await link.receive()

    async def live(self, *, lives: int) -> None:
        """Go through so many gateways."""
        for _ in range(lives):
            async with running_gateway(self.backend.url, ROUTES) as gateway, AsyncExitStack() as stack:
                links: list[Link] = []
                if self.chance.random() < 0.5:
                    links = await self.witness(gateway, stack)
                    await self.see(links)
                for _ in range(4):
                    transport = self.chance.choice([*SHARED, "alone"] if links else [*SHARED])
                    if transport == "alone":
                        await self.alone(gateway)
                        continue
                    await self.together(transport, gateway, stack, links)

    async def together(self, transport: str, gateway: Running, stack: AsyncExitStack, links: list[Link]) -> None:
        emit = self.chance.choice([None, "patch", "merge", "snapshot"])
        manner = self.chance.choice(["set", "set", "own"])
        async with SHARED[transport](gateway.base, self.replicas, emit=emit, position=self.position) as client:
            await client.connect(manner)  # type: ignore[arg-type]  # it is one of them
            if not links:
                links += await self.witness(gateway, stack)
                await self.see(links)
            await client.follow(self.truth())
            for _ in range(self.chance.randrange(3)):
                self.change()
                following = asyncio.create_task(client.follow(self.truth()))
                await self.see(links)
                if self.chance.random() < 0.3:  # cut in the middle of anything
                    following.cancel()
                    await asyncio.wait([following])
                    await client.reconnect(self.chance.choice(["set", "own"]))
                    following = asyncio.create_task(client.follow(self.truth()))
                await following
            if transport != "websocket":
                self.position = client.position
        for _ in range(self.chance.choice([0, 1, 3])):
            self.change()
            await self.see(links)
        if transport == "websocket":
            self.position = None

    async def alone(self, gateway: Running) -> None:
        """Follow one of the topics on its own URL for a moment; the position in the set is worthless afterwards."""
        name = self.chance.choice(self.names)
        transport = self.chance.choice(RESUMABLE)
        async with TRANSPORTS[transport](gateway.base, name, self.replicas[name], emit="patch") as link:
            await link.connect(self.replicas[name].cursor)
            await link.follow(self.truth()[name])
        self.position = None


@pytest.mark.parametrize("seed", range(6 * SOAK))
async def test_over_any_mix_of_connections(backend: Shelf, seed: int) -> None:
    """Whatever happens to it, a client holds of every topic at every id what the upstream served then."""
    script = Script(backend, seed, [*topics(5), "/rows", "/rows/b", "/rows/c"])
    await script.live(lives=3)
    for name in script.names:
        assert_true_at_every_id(script.replicas[name], script.witnesses[name])
