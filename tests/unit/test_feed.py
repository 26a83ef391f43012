"""
A topic that is polled: while its route is revised, what was under way is understood by the route of now; and a trace
begins when its poll was due.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

import pushgate.reception
from pushgate.adapters.upstream.formats import decoder_for, decoder_of
from pushgate.answers import Answer
from pushgate.clock import Clock
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.documents.changes import Change
from pushgate.feed import Feed
from pushgate.happenings import Poked
from pushgate.metrics import Metrics
from pushgate.poller import Means
from pushgate.routes import Route
from pushgate.store.memory import MemoryStore
from pushgate.tracing import NOBODY, Story, Tracer
from pushgate.values import Validators
from pushgate.workbench import Commission, Finished, Workbench

UPSTREAMS = {"u": Upstream.model_validate({"url": "http://u.example"})}


def route(*, has_views: bool = False, **poll: Any) -> Route:
    config = {"upstream": "u", "key": "id", "poll": {"every": "1h", **poll}}
    return Route("/t", RouteConfig.model_validate(config), UPSTREAMS, has_views=has_views)


def document(n: int) -> list[dict[str, Any]]:
    return [{"id": id, "n": n if id == 3 else 0} for id in range(50)]


class Helper:
    """Reads big answers as the helper process does, when it may."""

    def __init__(self) -> None:
        self._bench = Workbench(lambda recipe: decoder_of(recipe.config.format, keeps_shape=recipe.keeps_shape))
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.is_asked = asyncio.Event()

    async def refine(self, topic: str, commission: Commission) -> Finished:
        self.is_asked.set()
        finished = self._bench.refine(topic, commission)
        await self.may_go.wait()
        return finished

    def forget(self, topic: str) -> None:
        self._bench.forget(topic)


class Scene:
    """A feed that somebody listens to, of an upstream that says what it is told to."""

    def __init__(self, tasks: asyncio.TaskGroup, clock: Clock, tracer: Tracer, first: Route) -> None:
        self.helper = Helper()
        self.changes: list[Change] = []
        self._document: Any = None
        self._settled = asyncio.Event()
        self.turned = asyncio.Event()
        store = MemoryStore("E")
        means = Means(clock, self._fetch, decoder_for, store, tasks, Metrics(), self.helper, tracer=tracer)
        self.name = first.topic({}, {})
        self.feed = Feed(first, self.name, means, self)

    async def _fetch(self, *_: Any) -> Answer:
        return Answer(200, "application/json", msgspec.json.encode(self._document), Validators(), 1e9)

    def begin(self, document: Any) -> None:
        """Let the upstream say this, and begin a poll."""
        self._document = document
        self._settled.clear()
        self.helper.is_asked.clear()
        if self.feed.topic.has_document:
            self.feed.tell(Poked())
        else:
            self.feed.joined()

    async def settle(self) -> None:
        await self._settled.wait()

    # What the feed tells.

    def appended(self, change: Change) -> None:
        self.changes.append(change)

    def announced(self) -> None:
        self.turned.set()

    def dropped(self, status: int) -> None: ...

    def when_told(self, tell: Callable[[], None]) -> None:
        tell()

    def settled(self) -> None:
        self._settled.set()


@asynccontextmanager
async def scene(
    *, clock: Clock | None = None, tracer: Tracer = NOBODY, first: Route | None = None
) -> AsyncIterator[Scene]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        played = Scene(tasks, clock or Clock(), tracer, first or route())
        yield played
        played.feed.stop()


@pytest.fixture(autouse=True)
def _big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushgate.reception, "BIG_BYTES", 100)


async def revised_meanwhile(played: Scene, route: Route) -> None:
    """Publish a first document; let the route be revised while the second one is being read elsewhere."""
    played.begin(document(1))
    await played.settle()
    played.helper.may_go.clear()
    played.begin(document(2))
    await played.helper.is_asked.wait()
    played.feed.revise(route, played.name)
    played.helper.may_go.set()
    await played.settle()


async def test_what_is_to_be_read_here_while_it_is_read_elsewhere_is_read_again() -> None:
    """A view was added: the change is proven, and so is the one after it."""
    async with scene() as played:
        await revised_meanwhile(played, route(has_views=True))
        played.begin(document(3))
        await played.settle()
        assert [change.disproved for change in played.changes] == [0, 0, 0]
        assert [change.after.document for change in played.changes[1:]] == [document(2), document(3)]
        told = [change.tell("patch") for change in played.changes[1:]]
        assert [one is not None and one.kind for one in told] == ["patch", "patch"]


async def test_another_end_is_looked_for_in_what_is_read_elsewhere() -> None:
    """By the helper too, which has known the topic for long."""
    async with scene() as played:
        await revised_meanwhile(played, route(until="[3].n == `2`"))
        assert played.feed.topic.state == "ended"


async def test_an_end_that_is_none_any_more_does_not_come() -> None:
    async with scene() as played:
        played.feed.revise(route(until="[3].n == `2`"), played.name)
        await revised_meanwhile(played, route())
        assert played.feed.topic.state == "live"


class TimeOfDay(Clock):
    """Seven in the morning of the first of January 1970, until it is ``late``."""

    def __init__(self) -> None:
        self._began = self.now()
        self.is_late = False

    def wall(self) -> float:
        return self.now() - self._began + (20 if self.is_late else 7) * 3600


class Traces:
    """Keeps all of them."""

    is_on = True

    def __init__(self) -> None:
        self.told: list[Story] = []

    def wants(self, trace_id: int) -> bool:
        return True

    def tell(self, story: Story) -> None:
        self.told.append(story)


async def test_a_trace_begins_with_the_poll_that_nobody_waited_for() -> None:
    """A poke in the evening is due when it comes, and not when the timer went off that ended the day."""
    clock, traces = TimeOfDay(), Traces()
    by_day = route(every="100ms", active="06:00-18:00 UTC")
    async with scene(clock=clock, tracer=traces, first=by_day) as played:
        played.begin(document(1))
        await played.settle()
        clock.is_late = True
        played.turned.clear()
        await played.turned.wait()
        assert played.feed.topic.state == "paused"
        poked_at = clock.wall()
        played.begin(document(2))
        await played.settle()
        assert [story.began >= poked_at for story in traces.told] == [False, True]
