"""
Whatever happens to a topic and to those who listen: at every id they hold what was served then, and in the end what is.

The whole core runs here as it is (topic, history, feed, channel, hub, store, JSON) under virtual time; only the
upstream and the sockets are played. A script is a list of what happens next, and the same script has the same end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

import looptime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from conftest import SOAK
from pushgate.adapters.downstream.long_poll import Question
from pushgate.adapters.upstream.formats import decoder_for
from pushgate.answers import Answer
from pushgate.channel import Channel
from pushgate.clock import Clock
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.errors import PollError
from pushgate.hub import Hub
from pushgate.metrics import Metrics
from pushgate.negotiation import Ask
from pushgate.pauses import Pauses
from pushgate.polled import PolledChannel
from pushgate.poller import Means
from pushgate.routes import Route, TopicName
from pushgate.store.memory import MemoryStore
from pushgate.subscriber import Subscriber
from pushgate.values import Transport, UpstreamRequest, Validators
from pushgate.wire import sse_block, websocket_frame
from replicas import GONE, NOTHING, Replica, is_same
from slowclients import read_frames, read_sse

EVERY, LINGER = 10.0, 25.0
CLIENTS = 3
Script = list[tuple[tuple[Any, ...], float]]
MODES = ["patch", "merge", "items", "snapshot"]
ROUTE = {
    "upstream": "u",
    "poll": {"every": "10s", "linger": "25s"},
    "key": "id",
    "emit": MODES,
    "history": {"events": 4},
}


class VirtualClock(Clock):
    """Time is the loop's, which jumps; chance is the script's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self._loop = loop
        self._random = Random(seed)

    def now(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return 1e9 + self._loop.time()

    def wall_at(self, moment: float) -> float:
        return 1e9 + moment

    def chance(self) -> float:
        return self._random.random()

    def token(self) -> str:
        return f"{self._random.getrandbits(64):016x}"


class PlayedUpstream:
    """Serves the document of the moment, or the trouble of the moment; an ETag is honest unless it is told to lie."""

    def __init__(self) -> None:
        self.document: Any = {"n": 0}
        self.trouble: str | None = None
        self.delay = 0.0
        self.said: Any = NOTHING  # the latest answer that was read
        self.begun: list[float] = []

    def answer(self, validators: Validators) -> Answer:
        at = 1e9 + asyncio.get_running_loop().time()
        body = json.dumps(self.document).encode()
        etag = f'"{hash(body)}"'
        if self.trouble == "timeout":
            raise PollError("timeout", "played")
        if self.trouble in ("500", "404"):
            self.said = GONE if self.trouble == "404" else self.said
            return Answer(int(self.trouble), "text/html", b"<html>", Validators(), at)
        if self.trouble == "login":
            return Answer(200, "text/html", b"<html>", Validators(), at)
        if validators.etag == etag:
            return Answer(304, "", b"", Validators(etag), at)
        self.said = json.loads(body)
        return Answer(200, "application/json", body, Validators(etag), at)


class PlayedFetch:
    """
    One gateway's way to the upstream, with the gate before it that an operator may shut.

    ``most_under_way`` is how many polls there were at once, ``paused_at`` since when there may be none.
    """

    def __init__(self, upstream: PlayedUpstream) -> None:
        self._upstream = upstream
        self._under_way = 0
        self.most_under_way = 0
        self.paused_at: float | None = None

    async def __call__(self, route: Route, name: TopicName, request: UpstreamRequest, validators: Validators) -> Answer:
        now = asyncio.get_running_loop().time()
        if self.paused_at is not None:
            assert now == self.paused_at, "a poll begins while the topic is paused"  # not one that began just before
            raise PollError("paused", "played", asked=False)
        self._upstream.begun.append(now)
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            await asyncio.sleep(self._upstream.delay)
            return self._upstream.answer(validators)
        finally:
            self._under_way -= 1


class WitnessedStore(MemoryStore):
    """Writes down under each number what the upstream had just said: the truth that clients are held to."""

    def __init__(self, epoch: str, upstream: PlayedUpstream, truth: dict[tuple[str, int], Any]) -> None:
        super().__init__(epoch)
        self._upstream = upstream
        self._truth = truth

    def append(self, history: Any, **change: Any) -> Any:
        appended = super().append(history, **change)
        self._truth[self._epoch, appended.after.number] = self._upstream.said
        return appended


class PlayedSocket(Subscriber):
    """A stream whose socket can be full: one write still fits, then the writer is paused, as asyncio does it."""

    transport_name: ClassVar[Transport] = "sse"

    def __init__(self, channel: Channel, mode: Any, form: Any, replica: Replica, note: Callable[[bytes], None]) -> None:
        super().__init__(channel, mode=mode, form=form, send=self.write)
        self.replica = replica
        self.note = note
        self.is_full = False
        self.kernel = b""
        self.stay = None

    __slots__ = ("is_full", "kernel", "note", "replica", "stay")

    def write(self, data: bytes) -> None:
        assert not (self.is_full and self.kernel), "promise 3: nothing is written to a client that takes nothing"
        self.kernel += data
        if self.is_full:
            self.pause_writing()
        else:
            self.deliver()

    def deliver(self) -> None:
        data, self.kernel = self.kernel, b""
        self.note(data)
        events = read_sse(data) if self.form is sse_block else [json.loads(text) for _, text in read_frames(data)]
        for event in events:
            own_id = event.get("id") if event["event"] != "status" else None
            self.replica.apply({"event": event["event"], "id": own_id, "data": event.get("data")})

    def drain(self) -> None:
        self.is_full = False
        if self.kernel:
            self.deliver()
            self.resume_writing()

    def abort(self) -> None:
        """Cut by pushgate after missed heartbeats: the client comes back by the script."""


class LongPoller:
    """A client that asks, is parked, and asks again with what it got."""

    transport_name: ClassVar[Transport] = "long_poll"

    def __init__(self, world: World, replica: Replica, mode: Any) -> None:
        self.world = world
        self.replica = replica
        self.mode = mode
        self.is_parked = False

    def ask(self) -> None:
        cursor = self.replica.cursor
        if cursor is None:
            return
        ask = Ask("long_poll", self.mode, cursor, "event", 25.0, None, is_document=False, is_reconnect=False)
        self.question = Question(self.world.channel, ask, self.world.clock, {})
        self.replica.subscribe()
        if not self._take(is_over=False):
            self.is_parked = True
            self.world.channel.wait(self)

    def wake(self) -> None:
        if self._take(is_over=False):
            self.leave()
            self.ask()

    def finish(self) -> None:
        self._take(is_over=True)
        self.leave()

    def leave(self) -> None:
        if self.is_parked:
            self.is_parked = False
            self.world.channel.stop_waiting(self)

    def _take(self, *, is_over: bool) -> bool:
        reply = self.question.answer(is_over=is_over)
        if reply is None:
            return False
        self.world.note(reply.body)
        for event in json.loads(reply.body)["events"] if reply.status == 200 else []:
            self.replica.apply(event)
        return True


class World:
    """One topic, its upstream and a few clients."""

    def __init__(self, tasks: asyncio.TaskGroup, seed: int) -> None:
        self.clock = VirtualClock(asyncio.get_running_loop(), seed)
        self.upstream = PlayedUpstream()
        self.truth: dict[tuple[str, int], Any] = {}
        self.transcript: list[tuple[float, bytes]] = []
        self.replicas = [Replica() for _ in range(CLIENTS)]
        self.clients: list[PlayedSocket | LongPoller | None] = [None] * CLIENTS
        self._tasks = tasks
        self.route = Route("/t", RouteConfig.model_validate(ROUTE), {"u": Upstream.model_validate({"url": "http://u"})})
        self.start()

    def note(self, data: bytes) -> None:
        self.transcript.append((self.clock.now(), data))

    def start(self) -> None:
        store = WitnessedStore(self.clock.token(), self.upstream, self.truth)
        self.fetch = PlayedFetch(self.upstream)
        self.pauses = Pauses()
        means = Means(self.clock, self.fetch, decoder_for, store, self._tasks, Metrics(), pauses=self.pauses)
        self.hub = Hub(means, max_topics=10, heartbeat=15.0)
        channel = self.hub.channel(self.route, self.route.topic({}, {}))
        assert isinstance(channel, PolledChannel), "it is no view"
        self.channel = channel

    def restart(self) -> None:
        for client in range(CLIENTS):
            self.leave(client)
        assert self.fetch.most_under_way <= 1, "promise 5: two polls of one topic at once"
        self.hub.close()
        self.start()

    def pause(self) -> None:
        if self.fetch.paused_at is None:
            self.fetch.paused_at = self.clock.now()
        self.pauses.upstreams.add("u")
        self.channel.pause()

    def resume(self) -> None:
        self.fetch.paused_at = None
        self.pauses.upstreams.clear()
        self.channel.resume(delay=EVERY * self.clock.chance())

    def poke(self) -> None:
        self.channel.poke()

    def join(self, client: int, mode: str, form: Any) -> None:
        self.leave(client)
        replica = self.replicas[client]
        replica.subscribe()
        socket = PlayedSocket(self.channel, mode, form, replica, self.note)
        self.clients[client] = socket
        self.hub.enter(socket)
        self.channel.join(socket, replica.cursor, opening=b"")

    def ask(self, client: int, mode: str) -> None:
        self.leave(client)
        self.clients[client] = poller = LongPoller(self, self.replicas[client], mode)
        poller.ask()

    def leave(self, client: int) -> None:
        match self.clients[client]:
            case PlayedSocket() as socket:
                self.hub.exit(socket)
                self.channel.leave(socket)
            case LongPoller() as poller:
                poller.leave()
        self.clients[client] = None

    def fill(self, client: int) -> None:
        if isinstance(socket := self.clients[client], PlayedSocket):
            socket.is_full = True

    def drain(self, client: int) -> None:
        if isinstance(socket := self.clients[client], PlayedSocket):
            socket.drain()


VALUES = [None, True, False, 0, 1, 1.0, -0.0, 0.5, 2**70, "", "a/~b", "\u2028", [], [1], {}, {"a": None}]
SILENCES = [0.0, 0.0, 1.0, EVERY, EVERY, EVERY, 3 * EVERY]


class Author:
    """Writes scripts: rows that change a little, now and then something else, and clients that do as they like."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.rows: list[dict[str, Any]] = [{"id": n, "v": 0} for n in range(5)]
        self.pad = "x" * 500

    def document(self) -> Any:
        chance = self.chance
        self.rows = [dict(row) for row in self.rows]
        for _ in range(chance.randrange(4)):
            self._edit()
        if chance.random() < 0.15:
            # Together, a few changes of the large ones are more than the document.
            self.pad = chance.choice(["x" * 500, "x" * 9000, "y" * 9000])
        if chance.random() < 0.1:
            return chance.choice(VALUES)
        if chance.random() < 0.3:
            return {"rows": self.rows, "pad": self.pad, "v": chance.choice(VALUES)}
        return [*self.rows, {"id": "pad", "pad": self.pad}]

    def _edit(self) -> None:
        chance, rows = self.chance, self.rows
        what = chance.choice(["set", "set", "set", "add", "remove", "move"])
        if what == "set" and rows:
            chance.choice(rows)[chance.choice("vw")] = chance.choice(VALUES)
        elif what == "add":
            free = [n for n in range(9) if all(row["id"] != n for row in rows)]
            rows.insert(chance.randint(0, len(rows)), {"id": chance.choice(free or [chance.random()])})
        elif what == "remove" and rows:
            rows.pop(chance.randrange(len(rows)))
        elif rows:
            rows.insert(chance.randrange(len(rows)), rows.pop(chance.randrange(len(rows))))

    def happening(self) -> tuple[Any, ...]:
        chance = self.chance
        client, mode = chance.randrange(CLIENTS), chance.choice(MODES)
        weights = {"serve": 16, "join": 4, "ask": 2, "leave": 1, "fill": 2, "drain": 3, "trouble": 2}
        rare = {"delay": 1, "beat": 1, "restart": 0.5, "pause": 1, "resume": 1.5, "poke": 1}
        what = chance.choices([*weights, *rare], [*weights.values(), *rare.values()])[0]
        match what:
            case "serve":
                return what, self.document()
            case "trouble":
                return what, chance.choice(["timeout", "500", "404", "login", *[None] * 6])
            case "delay":
                return what, chance.choice([0.0, 0.5, 15.0])
            case "join":
                return what, client, mode, chance.choice([sse_block, websocket_frame])
            case "ask":
                return what, client, mode
            case "leave" | "fill" | "drain":
                return what, client
        return (what,)


def write_script(seed: int, length: int) -> Script:
    """The first so many steps of an endless script: a shorter one is the beginning of the same."""
    author = Author(seed)
    return [(author.happening(), author.chance.choice(SILENCES)) for _ in range(length)]


seeds = st.integers(0, 2**32)
scripts = st.builds(write_script, seeds, st.integers(1, 60) | st.integers(30, 60))


async def play(script: Script, seed: int) -> World:
    """Play a script to its end, let everybody come back, and then let everybody leave."""
    async with asyncio.TaskGroup() as tasks:
        world = World(tasks, seed)
        for (what, *how), silence in script:
            match what, how:
                case "serve", [document]:
                    world.upstream.document = document
                case "trouble", [kind]:
                    world.upstream.trouble = kind
                case "delay", [seconds]:
                    world.upstream.delay = seconds
                case "beat", []:
                    for _ in range(16):
                        list(world.hub.turn_wheel())
                case "restart", []:
                    await asyncio.sleep(20)  # no poll of the old gateway outlives it
                    world.restart()
                case name, arguments:
                    getattr(world, name)(*arguments)
            await asyncio.sleep(silence)
        await finish(world)
    return world


def is_told(replica: Replica, client: PlayedSocket | LongPoller, document: Any) -> bool:
    """Whether a client holds the document; with ``items`` it is told of its items only, not of their order."""
    return is_same(replica.document, document, ordered=replica.is_ordered and client.mode != "items")


async def finish(world: World) -> None:
    world.upstream.trouble, world.upstream.delay = None, 0.0
    world.resume()
    for client in range(CLIENTS):
        world.drain(client)
    await asyncio.sleep(12 * EVERY)  # the longest that anybody backs off, and two polls
    for replica, client in zip(world.replicas, world.clients, strict=True):
        if isinstance(client, PlayedSocket) or (client is not None and client.is_parked):
            assert is_told(replica, client, world.upstream.document), "promise 1: who stayed connected"
    for client in range(CLIENTS):
        world.join(client, MODES[client], sse_block)
    await asyncio.sleep(2 * EVERY)
    for replica, client in zip(world.replicas, world.clients, strict=True):
        assert isinstance(client, PlayedSocket), "everybody has come back"
        assert is_told(replica, client, world.upstream.document), "promise 1: in the end everybody holds the document"
    for client in range(CLIENTS):
        world.leave(client)
    await asyncio.sleep(LINGER)
    polls = len(world.upstream.begun)
    await asyncio.sleep(20 * EVERY)
    assert len(world.upstream.begun) == polls, "promise 5: none after linger"
    assert world.fetch.most_under_way <= 1, "promise 5: two polls of one topic at once"
    world.hub.close()


def run(script: Script, seed: int) -> World:
    loop = looptime.new_event_loop(start=0, end=100_000)
    try:
        with capture_logs() as said:
            world = loop.run_until_complete(play(script, seed))
    finally:
        loop.close()
    assert not [entry for entry in said if entry["log_level"] == "error"], said
    return world


# What is rare among generated scripts and must not be missed.
GONE_AND_BACK: Script = [
    (("join", 0, "patch", sse_block), 10.0),
    (("trouble", "404"), 30.0),
    (("trouble", None), 30.0),
]
PAD = {"id": "pad", "pad": "x" * 500}
FROM_ITEMS_TO_PATCH: Script = [
    (("serve", [{"id": 1}, {"id": 2}, PAD]), 0.0),
    (("join", 0, "items", sse_block), 10.0),
    (("serve", [{"id": 3}, {"id": 2}, PAD]), 10.0),
    (("serve", [{"id": 2}, {"id": 3}, PAD]), 10.0),
    (("join", 0, "patch", sse_block), 0.0),
    (("serve", [{"id": 2, "v": 1}, {"id": 3}, PAD]), 10.0),
]
BEATS: Script = [(("join", n, "patch", sse_block), 0.0) for n in range(CLIENTS)] + [(("beat",), 1.0)] * 3
PAUSED: Script = [
    (("delay", 0.5), 0.0),
    (("join", 0, "patch", sse_block), 0.2),
    (("pause",), 1.0),
    (("serve", [PAD]), 30.0),
    (("join", 1, "items", sse_block), 0.0),
    (("poke",), 0.0),
    (("resume",), 0.0),
    (("pause",), 30.0),
    (("resume",), 0.0),
]
# The answer of the poll under way is hard to believe, and is not confirmed.
PAUSED_IN_DOUBT: Script = [
    (("serve", "x"), 0.0),
    (("join", 0, "patch", sse_block), 5.0),
    (("delay", 0.5), 0.0),
    (("serve", [{"id": 1}, PAD]), 0.0),
    (("poke",), 0.2),
    (("pause",), 5.0),
    (("serve", [{"id": 1}, {"id": 2}, PAD]), 0.0),
    (("resume",), 30.0),
]
TWO_WHO_WERE_AWAY: Script = [
    (("serve", {"value": 0, "pad": "x" * 9000}), 0.0),
    (("join", 0, "patch", sse_block), 0.0),
    (("join", 1, "patch", sse_block), 0.0),
    (("join", 2, "snapshot", sse_block), 10.0),
    (("leave", 0), 0.0),
    (("leave", 1), 0.0),
    (("serve", {"value": 1, "pad": "y" * 9000}), 10.0),
    (("serve", {"value": 2, "pad": "x" * 9000}), 10.0),
    (("join", 0, "patch", sse_block), 0.0),
    (("serve", {"value": 3, "pad": "x" * 9000}), 10.0),
    (("join", 1, "patch", sse_block), 0.0),
]


@pytest.mark.timeout(120 * SOAK)
@settings(max_examples=400 * SOAK)
@example(GONE_AND_BACK, 0)
@example(FROM_ITEMS_TO_PATCH, 0)
@example(TWO_WHO_WERE_AWAY, 0)
@example(PAUSED, 0)
@example(PAUSED_IN_DOUBT, 0)
@given(scripts, seeds)
def test_every_client_holds_the_truth(script: Script, seed: int) -> None:
    """For any script: at every id what was served then, in the end what is served, and never two polls at once."""
    world = run(script, seed)
    for replica in world.replicas:
        for position, document, is_ordered in replica.states:
            assert is_same(document, world.truth[position], ordered=is_ordered), position


@pytest.mark.timeout(120 * SOAK)
@settings(max_examples=50 * SOAK)
@example(BEATS, 0)
@given(scripts, seeds)
def test_the_same_script_has_the_same_end(script: Script, seed: int) -> None:
    """Nothing in the core reads a clock, rolls dice or depends on the order of a set: every run is the first again."""
    one, other = run(script, seed), run(script, seed)
    assert one.transcript == other.transcript
    assert one.upstream.begun == other.upstream.begun
