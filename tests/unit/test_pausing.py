"""``/-/pause``, ``/-/resume`` and ``/-/refresh``: what operators name, and what is refused rather than guessed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

import pytest
from aiohttp import web
from multidict import CIMultiDict, MultiDict

from orders import Order
from pushgate.adapters.admin.operators import Operators
from pushgate.adapters.admin.pausing import PauseSwitch, ResumeSwitch
from pushgate.adapters.admin.refreshing import RefreshSwitch
from pushgate.config.gateway import Gateway as Config
from pushgate.config.server import Admin
from pushgate.errors import BadRequest, Forbidden, NoSuchTopic
from pushgate.generation import Generation
from pushgate.identity import Identity
from pushgate.naming import decode_query
from pushgate.pauses import Kind, Pauses
from pushgate.routes import TopicName

CONFIG = {
    "version": 1,
    "upstreams": {"legacy": {"url": "http://a.example"}, "modern": {"url": "http://b.example"}},
    "routes": {
        "/quotes/{symbol}": {"upstream": "legacy", "query": {"lang": "[a-z]{2}"}},
        "/quotes/{symbol}/{part}": {"from": "/quotes/{symbol}", "pointer": "/{part}"},
        "/news": {"upstream": "modern"},
    },
}
GENERATION = Generation(Config.model_validate(CONFIG))


class Standstill:
    """Takes note of names that there are, and tells nobody."""

    def __init__(self) -> None:
        self.pauses = Pauses()

    async def pause(self, kind: Kind, name: str) -> None:
        GENERATION.check_known(kind, name)
        self.pauses.of(kind).add(name)

    async def resume(self, kind: Kind, name: str) -> None:
        GENERATION.check_known(kind, name)
        self.pauses.of(kind).discard(name)


def order(method: str = "POST", **query: str) -> Order:
    return Order(MultiDict(query), method)


async def give(standstill: Standstill, asked: Order, *, resumes: bool = False) -> web.Response:
    switch = ResumeSwitch if resumes else PauseSwitch
    return await switch(cast("Any", standstill), Operators(Admin)).answer(cast("Any", asked))


def paused(answer: web.Response) -> Any:
    assert isinstance(answer.body, bytes) and answer.headers["Cache-Control"] == "no-store"
    return json.loads(answer.body)["paused"]


async def test_what_is_paused_is_told_as_a_whole() -> None:
    """Whoever pauses or resumes one thing sees all that is paused; who says it twice changes nothing."""
    standstill = Standstill()
    for _ in range(2):
        told = paused(await give(standstill, order(route="/quotes/{symbol}")))
        assert told == {"routes": ["/quotes/{symbol}"], "upstreams": []}
    await give(standstill, order(upstream="modern"))
    told = paused(await give(standstill, order(upstream="legacy")))
    assert told == {"routes": ["/quotes/{symbol}"], "upstreams": ["legacy", "modern"]}
    assert paused(await give(standstill, order("GET"))) == told
    for _ in range(2):
        told = paused(await give(standstill, order(upstream="legacy"), resumes=True))
        assert told == {"routes": ["/quotes/{symbol}"], "upstreams": ["modern"]}


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ([], "say which: \\?route= or \\?upstream="),
        ([("route", "/news"), ("upstream", "modern")], "one of them"),
        ([("route", "")], "route: is empty"),
        ([("route", "/news"), ("route", "/quotes/{symbol}")], "route: is given twice"),
        ([("rout", "/news")], "rout: is not known here; known: route, upstream"),
        ([("route", "/quotes/{symbol}/{part}")], "is a view .* name its parent, /quotes/{symbol}"),
    ],
)
async def test_nothing_is_paused_by_a_slip(query: list[tuple[str, str]], said: str, resumes: bool) -> None:
    """It says what would be right instead."""
    standstill = Standstill()
    with pytest.raises(BadRequest, match=said):
        await give(standstill, Order(MultiDict(query)), resumes=resumes)
    assert standstill.pauses.account() == {"routes": [], "upstreams": []}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"route": "/quote/{symbol}"}, "no route `/quote/{symbol}`; did you mean `/quotes/{symbol}`\\? .*/news"),
        ({"route": "/"}, "no route `/`; there are /quotes/{symbol}, /news"),
        ({"upstream": "legasy"}, "no upstream `legasy`; did you mean `legacy`\\? .*modern"),
    ],
)
async def test_a_name_that_there_is_not(query: dict[str, str], said: str) -> None:
    """The answer has the names that there are, and the one that was probably meant."""
    for resumes in (False, True):
        with pytest.raises(NoSuchTopic, match=said):
            await give(Standstill(), order(**query), resumes=resumes)


async def test_only_operators_pause() -> None:
    """Who only reads needs no consent, and nothing is paused by reading."""
    standstill = Standstill()
    unasked = Order(MultiDict(route="/news"), headers=CIMultiDict(Host="localhost"))
    for resumes in (False, True):
        with pytest.raises(Forbidden):
            await give(standstill, unasked, resumes=resumes)
    assert (await give(standstill, order("PUT"))).headers["Allow"] == "GET, HEAD, POST"
    assert (await give(standstill, order("GET", route="/news"), resumes=True)).headers["Allow"] == "POST"
    with pytest.raises(BadRequest):
        await give(standstill, order("GET", route="/news"))
    assert standstill.pauses.account() == {"routes": [], "upstreams": []}


def test_pauses_end_with_the_names_that_they_are_for() -> None:
    """What a new configuration does not have is forgotten, and told."""
    pauses = Pauses()
    pauses.routes.update(["/a", "/b"])
    pauses.upstreams.add("legacy")
    assert pauses.keep(routes={"/a": 1}, upstreams=[]) == ["/b", "legacy"]
    assert pauses.account() == {"routes": ["/a"], "upstreams": []}
    assert (pauses.cover("/a", "legacy"), pauses.cover("/b", "legacy")) == (True, False)


@dataclass
class Polled:
    """A topic that is alive. ``polls``: how often it was polled; None: it cannot be."""

    name: TopicName
    polls: int | None = 0
    is_paused: bool = False

    @property
    def feed(self) -> Any:
        topic = type("Topic", (), {"is_paused_by_operator": self.is_paused})
        return type("Feed", (), {"topic": topic})

    @property
    def route(self) -> Any:
        return GENERATION.routes["/quotes/{symbol}"]

    def refresh(self) -> int | None:
        if self.polls is not None:
            self.polls += 1
        return self.polls


@dataclass
class Hub:
    alive: list[Polled]

    def topics(self) -> list[Polled]:
        return self.alive


def alive(text: str, **more: Any) -> Polled:
    route = GENERATION.routes["/quotes/{symbol}"]
    path, _, query = text.partition("?")
    name = route.topic({"symbol": path.rpartition("/")[2]}, decode_query(query))
    return Polled(TopicName(name.text, name.values, more.pop("identity", name.identity)), **more)


def resolve(topic: str) -> Any:
    path, _, query = topic.partition("?")
    return *GENERATION.router.resolve(path), decode_query(query)


async def refresh(*topics: Polled, topic: str | None) -> web.Response:
    query = {} if topic is None else {"topic": topic}
    switch = RefreshSwitch(cast("Any", Hub([*topics])), resolve, Operators(Admin))
    return await switch.answer(cast("Any", order(**query)))


@pytest.mark.parametrize(
    "spelling", ["/quotes/é?lang=fr", "/quotes/%c3%a9?lang=fr", "/%71uotes/%C3%A9?lang=%66r", "/quotes/é/0?lang=fr"]
)
async def test_a_topic_is_refreshed_in_any_spelling(spelling: str) -> None:
    """As it is asked for by clients; of a view, its parent is polled; for all identities that follow it."""
    one, other = alive("/quotes/é?lang=fr"), alive("/quotes/é?lang=fr", identity=Identity("ann"))
    sibling = alive("/quotes/é?lang=en")
    answer = await refresh(one, other, sibling, topic=spelling)
    assert (answer.status, json.loads(cast("bytes", answer.body))) == (200, {"topics": 2})
    assert [one.polls, other.polls, sibling.polls] == [1, 1, 0]


@pytest.mark.parametrize(
    ("topic", "refusal", "said"),
    [
        (None, BadRequest, "topic: is missing"),
        ("/quotes/A?colour=red", BadRequest, "no query parameter 'colour'"),
        ("/quotes/B", NoSuchTopic, "/quotes/B is not alive"),
        ("/live/quotes/A", NoSuchTopic, "no route fits this path; did you mean `/quotes/A`"),
        ("quotes/A", NoSuchTopic, "begins with a slash; did you mean `/quotes/A`"),
    ],
)
async def test_what_cannot_be_refreshed(topic: str | None, refusal: type[Exception], said: str) -> None:
    """It says what would be right instead."""
    with pytest.raises(refusal, match=said):
        await refresh(alive("/quotes/A"), topic=topic)


async def test_what_is_not_polled_says_why() -> None:
    """409: the name is right, but an operator has paused it, or it has ended."""
    answer = await refresh(alive("/quotes/A", polls=None, is_paused=True), topic="/quotes/A")
    assert (answer.status, answer.text) == (
        409,
        "/quotes/A is paused; resume the route /quotes/{symbol} or the upstream legacy first\n",
    )
    answer = await refresh(alive("/quotes/A", polls=None), topic="/quotes/A")
    assert (answer.status, answer.text) == (409, "/quotes/A has ended, and is polled no more\n")
