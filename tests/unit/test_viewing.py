"""The living side of views: what they cost, when they look, and what they remember. No network, no waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

import pushgate.refinery
import pushgate.views
from pushgate.adapters.upstream.formats import decoder_for
from pushgate.answers import Answer
from pushgate.channel import Channel
from pushgate.clock import Clock
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.routes import View
from pushgate.config.upstreams import Upstream
from pushgate.documents.changes import Sealed
from pushgate.documents.equality import canonical, fingerprint
from pushgate.errors import NoSuchTopic, Refusal
from pushgate.happenings import Poked
from pushgate.hub import Hub
from pushgate.metrics import Metrics
from pushgate.poller import Means
from pushgate.routes import Route
from pushgate.store.memory import MemoryStore
from pushgate.subscriber import Subscriber
from pushgate.values import Mode, Transport, Validators
from pushgate.viewing import ViewChannel
from pushgate.views import ViewRoute
from pushgate.wire import websocket_frame
from slowclients import read_frames

UPSTREAMS = {"u": Upstream.model_validate({"url": "http://u.example"})}
CONFIG = {"upstream": "u", "key": "id", "poll": {"every": "1h"}, "guards": {"shrink": "accept"}}


class Socket(Subscriber):
    """Keeps what it was sent."""

    transport_name: ClassVar[Transport] = "websocket"
    __slots__ = ("events",)

    def __init__(self, channel: Channel, mode: Mode = "patch", cursor: str | None = None) -> None:
        super().__init__(channel, mode=mode, form=websocket_frame, send=self._take)
        self.events: list[Any] = []
        channel.join(self, cursor, opening=b"")

    def _take(self, data: bytes) -> None:
        self.events += [json.loads(text) for _, text in read_frames(data)]

    def finish(self) -> None:
        self.channel.leave(self)

    @property
    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]


class StaysOn(Socket):
    """Is sent away, and takes its time."""

    __slots__ = ()

    def refuse(self, refusal: Refusal) -> None:
        pass


class Scene:
    """A hub whose upstream says what it is told to; ``polls`` counts how often it was asked."""

    def __init__(self, tasks: asyncio.TaskGroup, config: dict[str, Any], limit: int | None) -> None:
        self.document: Any = []
        self.polls = 0
        self.metrics = Metrics()
        self.store = MemoryStore("E", limit=limit)
        means = Means(Clock(), self._fetch, decoder_for, self.store, tasks, self.metrics)
        self.hub = Hub(means, max_topics=1000, heartbeat=15.0)
        self.route = Route("/stations", RouteConfig.model_validate(CONFIG | config), UPSTREAMS)

    async def _fetch(self, *_: Any) -> Answer:
        self.polls += 1
        return Answer(200, "application/json", json.dumps(self.document).encode(), Validators(), 1e9)

    def view(self, path: str, values: dict[str, str], **config: Any) -> ViewChannel:
        route = ViewRoute(path, View.model_validate({"from": "/stations", **config}), self.route)
        channel = self.hub.channel(route, route.topic(values, {}))
        assert isinstance(channel, ViewChannel)
        return channel

    def item(self, id: str) -> ViewChannel:
        return self.view("/stations/{id}", {"id": id}, item="{id}")

    async def publish(self, document: Any) -> None:
        """Let the upstream say this, and wait until it was heard."""
        self.document = document
        parent = self.hub.channel(self.route, self.route.topic({}, {}))
        settled = parent.settlement()
        parent.feed.touch()
        if not parent.feed.topic.is_polling:
            parent.feed.tell(Poked())
        await settled

    def changes(self, route: str) -> int:
        line = f'pushgate_changes_total{{route="{route}"}} '
        return sum(int(float(text.removeprefix(line))) for text in self.lines() if text.startswith(line))

    def lines(self) -> list[str]:
        return self.metrics.text().decode().splitlines()


@asynccontextmanager
async def scene(limit: int | None = None, **config: Any) -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        played = Scene(tasks, config, limit)
        yield played
        played.hub.close()


def stations(count: int = 700, **bikes: int) -> list[dict[str, Any]]:
    return [{"id": f"s{n}", "bikes": bikes.get(f"s{n}", 0), "name": f"Quai {n} " + "." * 100} for n in range(count)]


def counted(calls: list[Any], call: Callable[..., Any]) -> Callable[..., Any]:
    def count(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return call(*arguments, **options)

    return count


async def test_700_views_cost_one_poll_and_one_diff(monkeypatch: pytest.MonkeyPatch) -> None:
    """And of all that follow, only those hear of a change, and only their views compare, that it is about."""
    diffs: list[Any] = []
    looks: list[Any] = []
    monkeypatch.setattr(pushgate.refinery, "compare", counted(diffs, pushgate.refinery.compare))
    monkeypatch.setattr(pushgate.views, "compare", counted(looks, pushgate.views.compare))
    async with scene() as played:
        sockets = {f"s{n}": Socket(played.item(f"s{n}")) for n in range(700)}
        await played.publish(stations())
        assert {tuple(socket.kinds) for socket in sockets.values()} == {("heartbeat", "status", "snapshot", "status")}
        await played.publish([*reversed(stations(s5=1, s600=2))])
        assert played.polls == 2 and len(diffs) == 1 and len(looks) == 2
        assert {id for id, socket in sockets.items() if len(socket.events) > 4} == {"s5", "s600"}
        patch = sockets["s600"].events[-1]
        assert (patch["event"], patch["data"]) == ("patch", [{"op": "replace", "path": "/bikes", "value": 2}])
        assert played.changes("/stations/{id}") == 702 and played.changes("/stations") == 2


async def test_a_view_that_nobody_follows_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks when it is asked the next time, and tells what it then finds under the number of its parent."""
    looks: list[Any] = []
    monkeypatch.setattr(pushgate.views, "compare", counted(looks, pushgate.views.compare))
    async with scene() as played:
        await played.publish(stations(3))
        view = played.item("s1")
        socket = Socket(view)
        cursor = socket.events[0]["id"]
        view.leave(socket)
        for bikes in range(1, 5):
            await played.publish(stations(3, s1=bikes))
        assert looks == []
        again = Socket(view, cursor=cursor)
        assert again.kinds == ["patch"] and len(looks) == 1
        assert again.events[0]["data"] == [{"op": "replace", "path": "/bikes", "value": 4}]
        assert again.events[0]["id"].split(".")[1] == str(
            view.parent.history.latest and view.parent.history.latest.number
        )


async def test_a_view_that_is_no_more_logs_nothing_more() -> None:
    """Although its parent goes on, and a client that does not read is not gone yet."""
    async with scene(limit=1_000_000) as played:
        view = played.item("s1")
        socket = StaysOn(view)
        await played.publish(stations(3))
        played.hub.end_view(view, NoSuchTopic("no route fits this path any more"))
        before = dict(played.store.usage())["histories"]
        told = len(socket.events)
        for bikes in range(1, 5):
            await played.publish(stations(3, s1=bikes))
        assert len(socket.events) == told
        view.leave(socket)
        parent = played.hub.topics()[0]
        played.hub.end(parent, NoSuchTopic("no route fits this path any more"))
        assert before == 0 and dict(played.store.usage()) == {"documents": 0, "histories": 0}


async def test_a_view_of_an_expression_is_told_only_what_is_new() -> None:
    """It is evaluated for every version, since it may depend on anything; the same result is no change."""
    async with scene() as played:
        total = Socket(played.view("/total", {}, select="sum([].bikes)", emit=["snapshot"]), "snapshot")
        await played.publish(stations(3, s1=2))
        await played.publish(stations(3, s2=2))
        await played.publish(stations(3, s2=5))
        assert [event["data"] for event in total.events if event["event"] == "snapshot"] == [2, 5]


async def test_an_expression_that_fails_shows_nothing() -> None:
    """The parent, and all other views, go on."""
    async with scene() as played:
        total = Socket(played.view("/total", {}, select="sum([].bikes)", emit=["snapshot"]), "snapshot")
        other = Socket(played.item("s1"))
        await played.publish(stations(3))
        await played.publish([{"id": "s1", "bikes": "many"}])
        await played.publish(stations(3))
        assert [kind for kind in total.kinds if kind in ("snapshot", "gone")] == ["snapshot", "gone", "snapshot"]
        assert other.events[-1]["data"]["bikes"] == 0


@pytest.mark.parametrize("has_changed", [True, False])
async def test_a_cursor_from_before_a_view_was_opened(has_changed: bool) -> None:
    """The parent's history knows what the view was then; beyond that, and for anything invented, there is a gap."""
    async with scene(history={"events": 2}) as played:
        await played.publish(stations(3))
        view = played.item("s1")
        first = view.history.head("patch")
        await played.publish(stations(3, s0=1))
        await played.publish(stations(3, s0=2, s1=int(has_changed)))
        view.close()
        del played.hub._views[view.name.key]
        again = Socket(played.item("s1"), cursor=first)
        assert again.channel is not view
        assert again.kinds == (["patch"] if has_changed else ["heartbeat"])
        forged = ".".join([*first.split(".")[:3], "AAAAAAAAAAA"])
        assert Socket(again.channel, cursor=forged).kinds == ["snapshot"]
        await played.publish(stations(3, s0=3, s1=7))  # and the first version is forgotten
        fresh = played.view("/other/{id}", {"id": "s1"}, item="{id}")
        assert Socket(fresh, cursor=first).kinds == ["snapshot"], "another view's cursor"
        again.channel.leave(again)
        assert played.item("s1").history.replay(first, "patch").result == "snapshot"


async def test_what_views_hold_is_accounted_for() -> None:
    """Their histories count against the memory that there may be, and no longer when they are forgotten."""
    async with scene() as played:
        await played.publish(stations(50))
        before = sum(size for _, size in played.store.usage())
        views = [played.item(f"s{n}") for n in range(50)]
        sockets = [Socket(view) for view in views]
        await played.publish(stations(50, **{f"s{n}": 1 for n in range(50)}))
        assert sum(size for _, size in played.store.usage()) > before
        for view, socket in zip(views, sockets, strict=True):
            view.leave(socket)
            view.close()
        assert played.store._sizes.keys() == {views[0].parent.history}


async def test_a_view_leaves_nothing_behind() -> None:
    """When its parent is forgotten, it is forgotten too."""
    async with scene(poll={"every": "1h", "linger": "0s"}, max_topics=1, query={"lang": "[a-z]+"}) as played:
        await played.publish(stations(3))
        view = played.item("s1")
        assert view.history.latest is not None
        other = played.hub.channel(played.route, played.route.topic({}, {"lang": "fr"}))
        assert played.store._sizes == {} and view not in view.parent.views
        assert (played.hub._views, [*played.hub._channels.values()]) == ({}, [other])


def sealed(document: Any) -> Sealed:
    text = canonical(document)
    return Sealed(text, fingerprint(text), len(text))


async def test_a_sealed_document_is_opened_for_its_views() -> None:
    """It shares nothing with the one before it, so parts are compared; of older ones nothing is left."""
    async with scene() as played:
        await played.publish(stations(3))
        view = played.item("s1")
        parent = view.parent

        def publish(document: Any) -> None:
            parent.appended(played.store.append(parent.history, at=1e9, document=sealed(document), patch=[]))

        publish(stations(3, s0=1))
        epoch, number, scope, digest = view.history.head("patch").split(".")
        for step in (2, 3):
            publish(stations(3, s0=step))
        socket = Socket(view)
        for s0, s1 in ((4, 0), (5, 0), (5, 1)):
            publish(stations(3, s0=s0, s1=s1))
        assert socket.kinds == ["snapshot", "patch"]
        view.leave(socket)
        view.close()
        del played.hub._views[view.name.key]
        kinds = [
            Socket(played.item("s1"), cursor=f"{epoch}.{int(number) + more}.{scope}.{digest}").kinds for more in (0, 1)
        ]
        assert kinds == [["patch"], ["snapshot"]], "somebody looked into the first, nobody into the second"


async def test_a_state_is_told_once() -> None:
    """The parent's and the view's own news come at the same time, and the end is told by `end` alone."""
    async with scene(poll={"every": "1h", "until": "length(@) == `3`"}) as played:
        missing = Socket(played.item("s1"))
        for count in (1, 2, 1, 3):
            await played.publish(stations(count, s0=count))
        told = [event["data"]["state"] if event["event"] == "status" else event["event"] for event in missing.events]
        first, came, went, last = ["heartbeat", "cold"], ["snapshot", "live"], ["gone", "gone"], ["snapshot", "end"]
        assert told == [*first, *went, *came, *went, *last]


async def test_idle_views_make_room_in_memory() -> None:
    """Before any topic does: there is nothing in a view that could not be found again. A followed one stays."""
    async with scene(limit=60_000) as played:
        await played.publish(stations(60))
        sockets = [Socket(played.item(f"s{n}")) for n in range(60)]
        assert played.store.is_full()
        list(played.hub.turn_wheel())
        assert len(played.hub._views) == 60
        for socket in sockets[1:]:
            socket.channel.leave(socket)
        list(played.hub.turn_wheel())
        assert not played.store.is_full() and len(played.hub._channels) == 1
        assert "/stations/s0" in played.hub._views and len(played.hub._views) < 60
