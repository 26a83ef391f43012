"""Writes over a WebSocket: in order, as the caller, and acknowledged after whatever they changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from boards import SELDOM, board, document, writable
from gateways import Running, eventually, route
from links import Heard, WebSocket
from pushgate.adapters.downstream.sending import MAX_SHOWN_BYTES
from pushgate.hub import Hub
from pushgate.subscriber import Subscriber
from replicas import Replica
from sharedlinks import SharedWebSocket, replicas_of
from slowclients import UPGRADE, RawClient, client_frame, raw_client, read_frames

ROUTES = {"/n/{id}": writable()}

# A topic's own WebSocket, and the one for many topics.
EITHER = pytest.mark.parametrize("is_shared", [False, True], ids=["own", "shared"])


class Writer:
    """A client that follows one topic over either WebSocket, and writes."""

    def __init__(self, link: WebSocket | SharedWebSocket, topic: str) -> None:
        self._link = link
        self._topic = topic

    @property
    def replica(self) -> Replica:
        return self._link.replica if isinstance(self._link, WebSocket) else self._link.replicas[self._topic]

    @property
    def document(self) -> Any:
        return self.replica.document

    async def send(self, ref: Any = None, *, topic: str | None = None, **more: Any) -> None:
        await self._link.say(op="send", topic=topic or self._topic, ref=ref, **more)

    async def say(self, **message: Any) -> None:
        await self._link.say(**message)

    async def answer(self) -> Heard:
        """Follow until a message is answered."""
        while (heard := await self._link.receive())["event"] not in ("ack", "problem"):
            pass
        return heard

    async def follow(self, notes: list[str]) -> None:
        while not self.replica.holds({"notes": notes, "of": None}):
            await self._link.receive()

    async def begin(self) -> None:
        """Connect, and hear how it is."""
        await self._link.connect()
        while not self.replica.kinds:
            await self._link.receive()


@asynccontextmanager
async def writer(
    gateway: Running, topic: str = "/n/1", *, is_shared: bool, headers: dict[str, str] | None = None, throttle: str = ""
) -> AsyncIterator[Writer]:
    link: WebSocket | SharedWebSocket
    if is_shared:
        link = SharedWebSocket(gateway.base, replicas_of([topic]))
        link.extra = {"throttle": throttle} if throttle else {}
    else:
        link = WebSocket(gateway.base, topic)
        link.params = {"throttle": throttle} if throttle else {}
    link.headers = headers or {}
    async with link:
        here = Writer(link, topic)
        await here.begin()
        yield here


def told(note: Any) -> str:
    """What the backend got, who was sent a JSON value."""
    return json.dumps(note, separators=(",", ":"))


@EITHER
class TestTheAck:
    async def test_it_comes_after_the_change(self, is_shared: bool) -> None:
        """With the upstream's status and body; what was sent came there as JSON."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            for number in range(5):
                await client.send(number, data={"a": number})
                ack = await client.answer()
                assert client.document["notes"] == [told({"a": n}) for n in range(number + 1)]
                assert (ack["event"], ack["ref"], ack["settled"]) == ("ack", number, True)
                assert (ack["status"], ack["data"]) == (201, {"id": 1})
            assert {asked.headers["content-type"] for asked in double.writes} == {"application/json"}
            assert len(double.polls) == 6

    async def test_also_to_whoever_is_told_last(self, is_shared: bool) -> None:
        """A thousand others are told in steps, and this one comes after them."""
        async with board(ROUTES) as (_, gateway, _), writer(gateway, is_shared=is_shared):
            [first] = hub_of(gateway).subscribers()
            for _ in range(1000):
                first.channel.join(Idle(first), "now", opening=b"")
            async with writer(gateway, is_shared=is_shared) as client:
                await client.send(1, data="a")
                assert (await client.answer())["settled"] is True
                assert client.document["notes"] == ['"a"']

    async def test_it_need_not_be_held(self, is_shared: bool) -> None:
        """``wait: 0s``: the ack says what the upstream said, and that this is all there is to say."""
        routes = {"/n/{id}": writable({"wait": "0s"})}
        async with board(routes) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            double.gate = asyncio.Event()
            await client.send(1, data="a")
            assert (await client.answer())["settled"] is False
            double.gate.set()
            await client.follow(['"a"'])

    async def test_a_poll_that_fails_settles_nothing(self, is_shared: bool) -> None:
        routes = {"/n/{id}": writable({"wait": "100ms"})}
        async with board(routes) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            double.status = 500
            await client.send(1, data="a")
            ack = await client.answer()
            assert (ack["status"], ack["settled"], client.document["notes"]) == (201, False, [])

    async def test_who_wants_to_be_told_less_often_is_not_told_more(self, is_shared: bool) -> None:
        """So the ack does not claim that the change came before it."""
        async with (
            board(ROUTES) as (_, gateway, http),
            writer(gateway, is_shared=is_shared, throttle="1h") as client,
        ):
            await client.send(1, data="a")
            ack = await client.answer()
            assert (ack["status"], ack["settled"], client.document["notes"]) == (201, False, [])
            assert await document(http, "/n/1") == ['"a"']

    @pytest.mark.parametrize(
        ("answer", "shown"),
        [
            ({"status": 204}, {"status": 204, "data": None}),
            ({"text": "done"}, {"status": 200, "data": "done"}),
            ({"body": "fünf".encode("cp1252"), "content_type": "text/plain", "charset": "cp1252"}, {"data": "fünf"}),
            ({"body": b"\xff\x00", "content_type": "image/png"}, {"data": "/wA=", "encoding": "base64"}),
            ({"text": "{", "content_type": "application/json"}, {"data": "{"}),
            ({"text": '{"n": 1e2}', "content_type": "application/hal+json"}, {"data": {"n": 100.0}}),
            ({"body": b"x" * (MAX_SHOWN_BYTES + 1)}, {"data": None, "omitted": MAX_SHOWN_BYTES + 1}),
            ({"status": 500, "text": "oops"}, {"status": 500, "data": "oops", "settled": True}),
        ],
        ids=["nothing", "text", "charset", "bytes", "no json", "json", "too much", "error"],
    )
    async def test_it_shows_what_the_upstream_said(
        self, is_shared: bool, answer: dict[str, Any], shown: dict[str, Any]
    ) -> None:
        """JSON if its type says so, otherwise text, otherwise bytes, unless it is too much; also a server's error."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            double.answer_to_writes = answer
            await client.send(1, data="a")
            ack = await client.answer()
            assert ack["event"] == "ack" and shown.items() <= ack.items(), ack
            assert ("encoding" in ack, "omitted" in ack) == ("encoding" in shown, "omitted" in shown)


@EITHER
class TestOrder:
    async def test_one_after_the_other(self, is_shared: bool) -> None:
        """The second is not sent before the first has its answer, however long that takes; nor is a ping answered."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            gate = asyncio.Event()
            double.gates = [gate]
            await client.send("first", data=1)
            await client.send("second", data=2)
            await client.say(op="ping", ref="third")
            await double.until(lambda: len(double.writes) == 1)
            gate.set()
            answers = [(await client.answer())["ref"] for _ in range(3)]
            assert [asked.body for asked in double.writes] == [b"1", b"2"]
            assert answers.index("first") < answers.index("second")

    async def test_what_settles_holds_nobody_up(self, is_shared: bool) -> None:
        """The next write goes out as soon as the upstream has answered, although nobody has seen the first yet."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            double.gate = asyncio.Event()
            for number in range(3):
                await client.send(number, data=number)
            await double.until(lambda: len(double.writes) == 3)
            await client.say(op="ping", ref="ping")
            assert (await client.answer())["ref"] == "ping"
            double.gate.set()
            assert [(await client.answer())["settled"] for _ in range(3)] == [True] * 3
            assert client.document["notes"] == ["0", "1", "2"]

    async def test_a_burst_shares_its_polls(self, is_shared: bool) -> None:
        """Many writes at once are all done, in order, and cost a few polls."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            double.delay = 0.1
            for number in range(50):
                await client.send(number, data=number)
            acks = [await client.answer() for _ in range(50)]
            assert {ack["settled"] for ack in acks} == {True}
            assert sorted(ack["ref"] for ack in acks) == [*range(50)]
            assert client.document["notes"] == [str(number) for number in range(50)]
            assert len(double.polls) < 12

    async def test_who_leaves_has_written(self, is_shared: bool) -> None:
        """What was sent may have changed something, so it is polled for although nobody waits for the answer."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as other:
            double.gates = [asyncio.Event()]
            async with writer(gateway, is_shared=is_shared) as client:
                await client.send(1, data="a")
                await double.until(lambda: len(double.writes) == 1)
                double.notes["/n/1"] = ["changed"]
            await other.follow(["changed"])


async def test_the_ack_comes_after_the_change_of_a_part() -> None:
    """A view is told with its parent, and is as good as that."""
    routes = ROUTES | {"/n/{id}/{index}": {"from": "/n/{id}", "pointer": "/notes/{index}"}}
    async with board(routes) as (_, gateway, _), writer(gateway, "/n/1/0", is_shared=True) as client:
        await client.send(1, topic="/n/1", data="a")
        ack = await client.answer()
        assert (ack["ref"], ack["settled"], client.document) == (1, True, '"a"')


class TestSlowClients:
    @pytest.mark.parametrize("path", ["/n/1?emit=snapshot", "/-/ws?topic=/n/1&emit=snapshot"], ids=["own", "shared"])
    async def test_who_does_not_read_is_caught_up_before_the_ack(self, path: str) -> None:
        """While the socket takes nothing, the ack waits with the news, and comes after them."""
        async with board(ROUTES) as (double, gateway, http), raw_client(gateway.port) as client:
            await client.ask(path, UPGRADE)
            await client.read_until(b'"snapshot"')
            double.gates = [held := asyncio.Event()]
            await client.send(client_frame(b'{"op":"send","topic":"/n/1","data":"mine","ref":7}'))
            await double.until(lambda: len(double.writes) == 1)
            for _ in range(3):  # more than the kernel takes for somebody who does not read
                await http.post("/n/1", content=b"x" * 900_000)
            assert subscriber(gateway, path).is_paused
            held.set()
            await published(http, '"mine"')
            while not heard(client, "ack"):
                await client.read()
            seen = heard(client, "snapshot", "ack")
            assert seen[-1]["event"] == "ack" and seen[-1]["settled"] is True
            assert '"mine"' in seen[-2]["data"]["notes"]


@EITHER
class TestRefusals:
    async def test_what_the_upstream_refuses(self, is_shared: bool) -> None:
        """Its status and what it says are passed on; nothing has changed, so nothing is polled."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            double.answer_to_writes = {"status": 409, "text": '{"why": "taken"}', "content_type": "application/json"}
            await client.send("r", data="a")
            problem = await client.answer()
            assert (problem["event"], problem["ref"], problem["code"]) == ("problem", "r", "upstream_refused")
            assert (problem["status"], problem["data"]) == (409, {"why": "taken"})
            assert problem.get("topic") == ("/n/1" if is_shared else None)
            assert len(double.polls) == 1

    async def test_what_the_upstream_does_not_answer(self, is_shared: bool) -> None:
        """It may have done it, so it is told so, and polled for."""
        impatient = {"timeout": {"total": "200ms"}}
        async with (
            board(ROUTES, upstream=impatient) as (double, gateway, _),
            writer(gateway, is_shared=is_shared) as client,
        ):
            double.gates = [asyncio.Event()]
            await client.send(1, data="a")
            problem = await client.answer()
            assert (problem["code"], "may have done it" in problem["message"]) == ("upstream_timed_out", True)
            await double.until(lambda: len(double.polls) == 2)

    async def test_where_nothing_can_be_written(self, is_shared: bool) -> None:
        routes = {"/r": route(poll=SELDOM), "/r/{index}": {"from": "/r", "pointer": "/notes/{index}"}}
        async with board(routes) as (double, gateway, _):
            double.notes["/r"] = ["a"]
            for topic in ("/r", "/r/0"):
                async with writer(gateway, topic, is_shared=is_shared) as client:
                    await client.send(1, data="a")
                    assert (await client.answer())["code"] == "method_not_allowed"
            assert double.writes == []

    @pytest.mark.parametrize("topic", ["/n/2", "/none", "/n/1?cursor=x", "/n/%2e%2e", "/n/1/"])
    async def test_other_topics(self, is_shared: bool, topic: str) -> None:
        """A topic's own WebSocket is for that topic; the other writes to any that there is, followed or not."""
        async with board(ROUTES) as (double, gateway, http), writer(gateway, is_shared=is_shared) as client:
            await client.send(1, topic=topic, data="a")
            answer = await client.answer()
            if is_shared and topic == "/n/2":
                assert (answer["status"], await document(http, "/n/2")) == (201, ['"a"'])
            else:
                assert answer["code"] in ("bad_request", "no_such_topic")
                assert double.writes == []
            await client.say(op="ping", ref="still here")
            assert (await client.answer())["ref"] == "still here"

    async def test_too_many_at_once(self, is_shared: bool) -> None:
        """As many as are under way are enough; who is refused knows that nothing was sent."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            assert gateway.gateway.departures is not None
            desk = subscriber_desk(gateway, is_shared=is_shared)
            desk.writer._under_way = 200
            await client.send(1, data="a")
            assert (await client.answer())["code"] == "overloaded"
            assert double.writes == []

    async def test_what_this_client_may_not(self, is_shared: bool) -> None:
        """Each write is looked at by itself; on the topic's own WebSocket it is the topic that it may have."""
        keys = [{"name": "acme", "key": "a-key-that-is-long-enough", "claims": {"notes": ["1"]}}]
        guarded = writable(auth=["partners"], allow=[{"claim": "notes", "contains": "{id}"}])
        headers = {"Authorization": "Bearer a-key-that-is-long-enough"}
        async with (
            board({"/n/{id}": guarded}, auth={"partners": {"kind": "api_key", "keys": keys}}) as (double, gateway, _),
            writer(gateway, is_shared=is_shared, headers=headers) as client,
        ):
            await client.send(1, topic="/n/2", data="a")
            assert (await client.answer())["code"] == ("forbidden" if is_shared else "bad_request")
            assert double.writes == []
            await client.send(2, data="a")
            assert (await client.answer())["settled"] is True


@EITHER
class TestWhatGoesUpstream:
    async def test_as_the_caller(self, is_shared: bool) -> None:
        """What the handshake carried and the route forwards, and nothing else of it."""
        shared = {"share": "identity", "forward": {"headers": ["Authorization"]}}
        async with (
            board({"/me": writable(**shared)}) as (double, gateway, _),
            writer(gateway, "/me", is_shared=is_shared, headers={"Authorization": "ann", "X-Other": "o"}) as client,
        ):
            await client.send(1, data="a")
            assert (await client.answer())["settled"] is True
            [asked] = double.writes
            assert asked.headers["authorization"] == "ann" and "x-other" not in asked.headers

    async def test_in_another_form_by_the_first_method(self, is_shared: bool) -> None:
        """As ``write:`` says; with ``{data.x}`` from what was sent."""
        write = {
            "PUT": {"path": "/rent.cgi", "form": {"station": "{data.station}"}, "wait": "5s"},
            "POST": {"path": "/other"},
        }
        async with (
            board({"/n/{id}": route(poll=SELDOM, write=write)}) as (double, gateway, _),
            writer(gateway, is_shared=is_shared) as client,
        ):
            await client.send(1, data={"station": "a&b"})
            assert (await client.answer())["event"] == "ack"
            await client.send(2, data={})
            assert (await client.answer())["code"] == "bad_request"
            [asked] = double.writes
            assert (asked.method, asked.path, asked.body) == ("PUT", "/rent.cgi", b"station=a%26b")

    async def test_without_data_without_a_body(self, is_shared: bool) -> None:
        """``"data": null`` is a body, no data is none."""
        async with board(ROUTES) as (double, gateway, _), writer(gateway, is_shared=is_shared) as client:
            await client.send(1)
            await client.send(2, data=None)
            for _ in range(2):
                assert (await client.answer())["event"] == "ack"
            first, second = double.writes
            assert (first.body, "content-type" in first.headers) == (b"", False)
            assert (second.body, second.headers["content-type"]) == (b"null", "application/json")


def heard(client: RawClient, *kinds: str) -> list[Heard]:
    """Whole messages of these kinds, of all that was read."""
    messages = [json.loads(data) for opcode, data in read_frames(client.body) if opcode == 1]
    return [message for message in messages if message["event"] in kinds]


class Idle(Subscriber):
    """Somebody who is told the same as another one, and does not care."""

    transport_name = "websocket"

    def __init__(self, like: Subscriber) -> None:
        super().__init__(like.channel, mode=like.mode, form=like.form, send=lambda data: None)


def hub_of(gateway: Running) -> Hub:
    assert gateway.gateway.departures is not None
    return gateway.gateway.departures._hub


def subscriber(gateway: Running, path: str) -> Subscriber:
    [found] = hub_of(gateway).subscribers()
    return found


def subscriber_desk(gateway: Running, *, is_shared: bool) -> Any:
    [stream] = hub_of(gateway).everyone()
    return stream._desk  # type: ignore[attr-defined]  # both WebSockets have one


async def published(http: httpx.AsyncClient, note: str) -> None:
    await eventually(lambda: document(http, "/n/1"), lambda notes: note in notes)
