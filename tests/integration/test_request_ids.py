"""Every request has an id: the client's own or a new one, in the answer, at the backend, and in the log."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
import websockets
from structlog.testing import capture_logs

from backends import ScriptedBackend
from gateways import Running, eventually, http_client, route, running_gateway
from passages import ask

ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACE = f"00-{ID}-{PARENT}-01"

ROUTES = {
    "/t": route(poll={"every": "1h"}, write={"POST": {"refresh": ["/t"], "wait": "0s"}}),
    "/fast": route(),
    "/mine": route(auth=["partners"]),
}
PROXY = {"/legacy": {"upstream": "u", "auth": "none", "methods": ["GET", "POST"], "credentials": "client"}}
AUTH = {"partners": {"kind": "api_key", "carriers": ["header", "message"], "keys": [{"name": "acme", "key": 32 * "k"}]}}
OPEN = {path: {**section, "auth": section.get("auth", "none")} for path, section in ROUTES.items()}

# What cannot be sent as a header field by a client library, the unit tests have.
INSANE = ["a b", "x" * 129, '"quoted"', "a,b", "<script>", "{}"]


@pytest.fixture
async def gateway(backend: ScriptedBackend) -> AsyncIterator[Running]:
    backend.serve({"n": 0})
    async with running_gateway(backend, OPEN, proxy=PROXY, auth=AUTH) as running:
        yield running


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(base_url=gateway.base) as asking:
        yield asking


REQUESTS = {
    "short poll": ("GET", "/t", {}),
    "not modified": ("GET", "/t", {"If-None-Match": "*"}),
    "head": ("HEAD", "/t", {}),
    "long poll": ("GET", "/t?wait=5", {}),
    "preflight": ("OPTIONS", "/t", {}),
    "write": ("POST", "/t", {}),
    "no such topic": ("GET", "/nothing", {}),
    "method": ("DELETE", "/t", {}),
    "who are you": ("GET", "/mine", {}),
    "passed on": ("GET", "/legacy/a", {}),
    "many": ("GET", "/-/poll?topic=/t", {}),
    "tickets": ("POST", "/-/tickets", {}),
    "a refused handshake": ("GET", "/t", {"Upgrade": "websocket"}),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_answer_has_an_id(client: httpx.AsyncClient, name: str) -> None:
    """The client's own, if it is an id; otherwise a new one each time."""
    method, path, headers = REQUESTS[name]
    told = await client.request(method, path, headers={**headers, "X-Request-Id": "the/client-s.own:1"})
    assert told.headers.get_list("X-Request-Id") == ["the/client-s.own:1"]
    given = [(await client.request(method, path, headers=headers)).headers["X-Request-Id"] for _ in range(3)]
    assert len({*given}) == 3 and all(re.fullmatch(r"[\w-]{11}-[0-9a-f]+", one) for one in given)


@pytest.mark.parametrize("insane", INSANE)
async def test_what_is_no_id_is_replaced(client: httpx.AsyncClient, backend: ScriptedBackend, insane: str) -> None:
    """In the answer and for the backend."""
    answer = await client.get("/legacy/a", headers={"X-Request-Id": insane})
    given = answer.headers["X-Request-Id"]
    assert given != insane and backend.requests[-1].headers["x-request-id"] == given


async def test_a_problem_says_its_id(client: httpx.AsyncClient) -> None:
    """Whoever reports one may copy nothing but the body."""
    answer = await client.get("/nothing", headers={"X-Request-Id": "7f3c"})
    assert answer.json()["request_id"] == "7f3c"


@pytest.mark.parametrize("path", ["/t", "/-/events?topic=/t"])
async def test_streams_say_it_in_their_head(client: httpx.AsyncClient, path: str) -> None:
    headers = {"Accept": "text/event-stream", "X-Request-Id": "7f3c"}
    async with client.stream("GET", path, headers=headers) as answer:
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (200, "7f3c")


@pytest.mark.parametrize("path", ["/t", "/-/ws", "/mine", "/nothing"])
async def test_handshakes_say_it_too(gateway: Running, path: str) -> None:
    """Also those of who has yet to say who it is, and of who is let in only to be told why not."""
    url = gateway.base.replace("http", "ws")
    headers = {"X-Request-Id": "7f3c", "Origin": gateway.base}
    async with websockets.connect(f"{url}{path}", additional_headers=headers, proxy=None) as socket:
        assert socket.response is not None and socket.response.headers["X-Request-Id"] == "7f3c"


async def test_who_waited_is_told_it_with_the_answer(gateway: Running, backend: ScriptedBackend) -> None:
    """Each its own, although all get the same bytes; and on a connection that goes on, a new one for each answer."""
    async with http_client(base_url=gateway.base, limits=httpx.Limits(max_connections=10)) as client:
        cursor = (await client.get("/fast")).headers["Pushgate-Cursor"]
        told = [{"X-Request-Id": "mine-1"}, {"X-Request-Id": "mine-2"}, {}, {}, {}]
        for turn in range(1, 4):
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    tasks.create_task(client.get(f"/fast?wait=55&cursor={cursor}", headers=headers)) for headers in told
                ]
                await eventually(lambda: subscribers(gateway), lambda count: count == len(told))
                backend.serve({"n": turn})
            answers = [task.result() for task in asked]
            ids = [answer.headers["X-Request-Id"] for answer in answers]
            assert ids[:2] == ["mine-1", "mine-2"] and len({*ids}) == 5
            assert len({answer.content for answer in answers}) == 1
            assert all(len(answer.headers.get_list("X-Request-Id")) == 1 for answer in answers)
            cursor = answers[0].headers["Pushgate-Cursor"]


async def subscribers(gateway: Running) -> float:
    return await gateway.metric("pushgate_subscribers", transport="long_poll")


async def test_a_head_that_cannot_be_read_gets_an_id(gateway: Running) -> None:
    """Nothing of it is repeated, not even what may have been one."""
    answer = await ask(gateway, b"GET / HTTP/1.1\r\nX-Request-Id: 7f3c\r\nX: \x00\r\n\r\n")
    head, _, body = answer.decode().partition("\r\n\r\n")
    found = re.search(r"X-Request-Id: (\S+)", head)
    assert "400 Bad Request" in head and found is not None and found[1] != "7f3c"
    assert json.loads(body)["request_id"] == found[1]


@pytest.mark.parametrize(("method", "path"), [("POST", "/t"), ("POST", "/legacy/a")])
class TestTheBackend:
    """What it is told of a client's request, whether that is written or passed on."""

    async def told(self, client: httpx.AsyncClient, backend: ScriptedBackend, method: str, path: str,
                   fields: list[tuple[str, str]]) -> Mapping[str, str]:  # fmt: skip
        await client.request(method, path, headers=fields)
        asked = [one for one in backend.requests if "x-request-id" in one.headers]
        return asked[-1].headers

    async def test_it_hears_the_id(
        self, client: httpx.AsyncClient, backend: ScriptedBackend, method: str, path: str
    ) -> None:
        told = await self.told(client, backend, method, path, [("X-Request-Id", "7f3c")])
        assert told["x-request-id"] == "7f3c" and "traceparent" not in told

    async def test_the_clients_trace_goes_on(
        self, client: httpx.AsyncClient, backend: ScriptedBackend, method: str, path: str
    ) -> None:
        told = await self.told(client, backend, method, path, [("traceparent", TRACE), ("tracestate", "a=1, b=2")])
        assert (told["traceparent"], told["tracestate"]) == (TRACE, "a=1,b=2")

    @pytest.mark.parametrize("malformed", ["", "00-1-2-3", TRACE.upper(), f"{TRACE}-x", f"00-{'0' * 32}-{PARENT}-01"])
    async def test_a_malformed_trace_ends_here(
        self, client: httpx.AsyncClient, backend: ScriptedBackend, method: str, path: str, malformed: str
    ) -> None:
        told = await self.told(client, backend, method, path, [("traceparent", malformed), ("tracestate", "a=1")])
        assert not {"traceparent", "tracestate"} & told.keys()


async def test_a_write_over_a_websocket_has_an_id_of_its_own(gateway: Running, backend: ScriptedBackend) -> None:
    """A connection may write a thousand times."""
    url = gateway.base.replace("http", "ws")
    async with websockets.connect(f"{url}/t", proxy=None) as socket:
        for ref in ("1", "2"):
            await socket.send(json.dumps({"op": "send", "topic": "/t", "data": {}, "ref": ref}))
            while json.loads(await socket.recv())["event"] != "ack":
                pass
    told = [one.headers["x-request-id"] for one in backend.requests if "x-request-id" in one.headers]
    assert len({*told}) == 2


async def test_the_log_has_it_with_what_is_about_the_request(
    client: httpx.AsyncClient, backend: ScriptedBackend
) -> None:
    """And the trace, by which it is found in the other systems that the client's request went through."""
    backend.crime = "hangs up"
    with capture_logs() as lines:
        for path in ("/t", "/legacy/a"):
            await client.post(path, headers={"X-Request-Id": "7f3c", "traceparent": TRACE})
    failed = {line["event"]: line for line in lines if line["event"] in ("write.failed", "proxy.failed")}
    assert len(failed) == 2
    assert all((line["request_id"], line["trace_id"]) == ("7f3c", ID) for line in failed.values())


async def test_an_id_of_the_backends_own_is_not_told(client: httpx.AsyncClient, backend: ScriptedBackend) -> None:
    """There is one id, and it is the one that pushgate's log has."""
    backend.say(b"ok", X_Request_Id="the-backends")
    answer = await client.get("/legacy/a", headers={"X-Request-Id": "7f3c"})
    assert answer.headers.get_list("X-Request-Id") == ["7f3c"]
