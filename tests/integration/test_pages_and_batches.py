"""Pages, batches, accumulation and bodies through a running gateway, against backends that know only these ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from backends import PATIENCE, answering
from gateways import eventually, http_client, route, running_gateway
from pushgate.config.gateway import Gateway as Config
from pushgate.gateway import Gateway
from transports import connected


class Backend:
    """Answers with a function, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.answer: Callable[[web.BaseRequest, bytes], web.Response] = lambda request, body: web.Response(status=500)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.raw_path)
        return self.answer(request, await request.read())


@asynccontextmanager
async def backend_that(answer: Callable[[web.BaseRequest, bytes], web.Response]) -> AsyncIterator[Backend]:
    backend = Backend()
    backend.answer = answer
    async with answering(backend) as backend.url:
        yield backend


async def document(base: str, path: str) -> Any:
    async with http_client() as http:
        answer = await http.get(base + path)
        assert answer.status_code == 200, answer.text
        return answer.json()


ROWS = [{"id": n} for n in range(5)]


def by_link(request: web.BaseRequest, body: bytes) -> web.Response:
    page = int(request.query.get("page", "1"))
    headers = {"Link": f'</rows?page={page + 1}>; rel="next", </rows>; rel="first"'} if page < 3 else {}
    return web.json_response(ROWS[2 * page - 2 : 2 * page], headers=headers)


def by_pointer(request: web.BaseRequest, body: bytes) -> web.Response:
    page = int(request.query.get("page", "1"))
    following = f"http://{request.host}/rows?page={page + 1}" if page < 3 else None
    return web.json_response({"links": {"next": following}, "results": ROWS[2 * page - 2 : 2 * page]})


def by_number(request: web.BaseRequest, body: bytes) -> web.Response:
    page = int(request.query["page"])
    return web.json_response(ROWS[2 * page : 2 * page + 2])


def by_number_with_404(request: web.BaseRequest, body: bytes) -> web.Response:
    page = int(request.query["page"])
    return web.json_response(ROWS[2 * page : 2 * page + 2]) if page < 3 else web.Response(status=404)


def by_token(request: web.BaseRequest, body: bytes) -> web.Response:
    begin = int(request.query.get("after", "0"))
    return web.json_response({"rows": ROWS[begin : begin + 2], "next": str(begin + 2) if begin < 4 else ""})


PAGED = {
    "link header": (by_link, {"next": "link_header"}, None),
    "pointer": (by_pointer, {"next": {"pointer": "/links/next"}, "items": "/results"}, "results"),
    "number": (by_number, {"next": {"param": "page", "start": 0}}, None),
    "number, then 404": (by_number_with_404, {"next": {"param": "page", "start": 0}}, None),
    "token": (by_token, {"next": {"token": "/next", "param": "after"}, "items": "/rows"}, "rows"),
}


@pytest.mark.parametrize("kind", PAGED)
async def test_pages_are_one_document(kind: str) -> None:
    """However the next page is named, clients see all items in one array."""
    answer, pages, select = PAGED[kind]
    async with (
        backend_that(answer) as backend,
        running_gateway(backend.url, {"/rows": route(pages=pages, select=select)}) as gateway,
    ):
        assert await document(gateway.base, "/rows") == ROWS


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda: web.Response(status=500), "http_5xx"),
        (lambda: web.Response(status=404), "protocol"),
        (lambda: web.Response(text="<html>", content_type="text/html"), "decode"),
        (lambda: web.json_response({"results": "none"}), "select"),
        (lambda: web.json_response({"error": "x", "results": []}), "fail_if"),
        (lambda: web.json_response({"results": [], "links": {"next": "http://evil.example/"}}), "protocol"),
        (lambda: web.json_response({"results": [], "links": {"next": "/rows"}}), "protocol"),
    ],
)
async def test_what_is_wrong_with_one_page_is_wrong_with_all(trouble: Callable[[], web.Response], reason: str) -> None:
    """All or nothing: the document before is kept, and no shorter one is ever seen."""
    broken = False

    def answer(request: web.BaseRequest, body: bytes) -> web.Response:
        return trouble() if broken and "page=2" in request.raw_path else by_pointer(request, body)

    pages = {"next": {"pointer": "/links/next"}, "items": "/results"}
    routes = {"/rows": route(pages=pages, select="results", guards={"fail_if": "error"})}
    async with (
        backend_that(answer) as backend,
        running_gateway(backend.url, routes) as gateway,
        connected("sse", gateway.base, "/rows") as link,
    ):
        await link.follow(ROWS)
        broken = True
        assert (await link.hear_state("stale"))["data"]["reason"] == reason
        assert await document(gateway.base, "/rows") == ROWS
        broken = False
        await link.hear_state("live")
        assert link.replica.kinds == ["snapshot"]


async def test_too_many_pages() -> None:
    """An upstream whose pages never end is not followed for ever."""

    def endless(request: web.BaseRequest, body: bytes) -> web.Response:
        return web.json_response([int(request.query["page"])])

    routes = {"/rows": route(pages={"next": {"param": "page"}, "max": 3}, poll={"every": "1h"})}
    async with backend_that(endless) as backend, running_gateway(backend.url, routes) as gateway, http_client() as http:
        assert (await http.get(f"{gateway.base}/rows")).status_code == 502
        assert len(backend.asked) == 3
        assert await gateway.metric("pushgate_poll_failures_total", reason="too_large") == 1


def cities(keyed: bool) -> Callable[[web.BaseRequest, bytes], web.Response]:
    known = {"paris": 1, "lyon": 2, "nice": 3}

    def answer(request: web.BaseRequest, body: bytes) -> web.Response:
        found = {name: known[name] for name in request.query["cities"].split(",") if name in known}
        if keyed:
            return web.json_response({"data": {name: {"n": n} for name, n in found.items()}})
        return web.json_response({"at": "now", "data": [{"city": name, "n": n} for name, n in found.items()]})

    return answer


@pytest.mark.parametrize("keyed", [False, True])
async def test_many_topics_in_one_request(keyed: bool) -> None:
    """Each topic gets its own part, whoever else is asked for with it; what is left out is gone."""
    batch = {"param": "cities", "value": "{city}", "items": "/data", **({} if keyed else {"match": "city"})}
    routes = {
        "/bikes/{city}": route(
            request={"path": "/all"}, batch=batch, select="n", ignore=["/at"], poll={"every": "200ms"}
        )
    }
    names = ["paris", "lyon", "nice"]
    async with backend_that(cities(keyed)) as backend, running_gateway(backend.url, routes) as gateway:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            found = [tasks.create_task(document(gateway.base, f"/bikes/{name}")) for name in names]
            gone = tasks.create_task(status(gateway.base, "/bikes/rome"))
        assert [one.result() for one in found] == [1, 2, 3] and gone.result() == 404
        before = len(backend.asked)

        async def asked() -> list[str]:
            return backend.asked[before:]

        together = await eventually(asked, lambda paths: any(path.count(",") == 3 for path in paths))
        assert all(path.startswith("/all?cities=") for path in together)


async def status(base: str, path: str) -> int:
    async with http_client() as http:
        return (await http.get(base + path)).status_code


async def test_a_full_batch_begins_another() -> None:
    """No request asks for more topics than ``max``."""
    batch = {"param": "cities", "value": "{city}", "items": "/data", "match": "city", "max": 2}
    routes = {"/bikes/{city}": route(request={"path": "/all"}, batch=batch, poll={"every": "1h"})}
    async with backend_that(cities(False)) as backend, running_gateway(backend.url, routes) as gateway:
        await asyncio.gather(*(document(gateway.base, f"/bikes/{name}") for name in ("paris", "lyon", "nice")))
        assert sorted(path.count(",") for path in backend.asked) == [0, 1]


async def test_a_batch_that_fails_fails_for_all() -> None:
    """And each topic keeps what it had."""
    broken = False

    def answer(request: web.BaseRequest, body: bytes) -> web.Response:
        return web.Response(status=404) if broken else cities(False)(request, body)

    batch = {"param": "cities", "value": "{city}", "items": "/data", "match": "city"}
    routes = {"/bikes/{city}": route(request={"path": "/all"}, batch=batch, poll={"every": "50ms"})}
    async with (
        backend_that(answer) as backend,
        running_gateway(backend.url, routes) as gateway,
        connected("sse", gateway.base, "/bikes/paris") as paris,
        connected("sse", gateway.base, "/bikes/lyon") as lyon,
    ):
        await paris.follow({"city": "paris", "n": 1})
        await lyon.follow({"city": "lyon", "n": 2})
        broken = True
        for link in (paris, lyon):
            assert (await link.hear_state("stale"))["data"]["reason"] == "http_4xx"
        broken = False
        await paris.hear_state("live")


async def test_a_backend_that_only_tells_what_is_new() -> None:
    """Clients see the whole list grow, whatever is told at a time."""
    comments = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]

    def answer(request: web.BaseRequest, body: bytes) -> web.Response:
        since = int(request.query.get("since_id", "0"))
        return web.json_response([comment for comment in comments if comment["id"] > since])

    accumulate = {"query": "since_id", "since": "max_by(@, &id).id", "key": "id"}
    routes = {"/comments": route(accumulate=accumulate, key="id")}
    async with (
        backend_that(answer) as backend,
        running_gateway(backend.url, routes) as gateway,
        connected("websocket", gateway.base, "/comments") as link,
    ):
        await link.follow(comments)
        comments.append({"id": 3, "text": "c"})
        await link.follow(comments)
        assert backend.asked[0] == "/comments" and "/comments?since_id=2" in backend.asked
        comments.append({"id": 4, "text": "d"})
        await link.follow(comments)
        assert link.replica.kinds == ["snapshot", "patch", "patch"]


async def test_graphql_and_json_rpc() -> None:
    """A POST whose body is a map, with a value of the topic's name in it."""

    def answer(request: web.BaseRequest, body: bytes) -> web.Response:
        asked = json.loads(body)
        assert request.method == "POST" and request.headers["Content-Type"] == "application/json"
        return web.json_response({"data": {"user": {"name": asked["variables"]["id"], "query": asked["query"]}}})

    query = "query ($id: ID!) { user(id: $id) { name } }"
    request = {"method": "POST", "path": "/graphql", "body": {"query": query, "variables": {"id": "{user}"}}}
    routes = {"/users/{user}": route(request=request, select="data.user")}
    async with backend_that(answer) as backend, running_gateway(backend.url, routes) as gateway:
        assert await document(gateway.base, '/users/a"b') == {"name": 'a"b', "query": query}


async def test_a_device_for_each_value_of_a_parameter() -> None:
    """Identical devices behind one route; a value that is not listed is no topic."""

    def device(name: str) -> Callable[[web.BaseRequest, bytes], web.Response]:
        return lambda request, body: web.json_response({"device": name, "path": request.path})

    async with backend_that(device("a")) as a, backend_that(device("b")) as b:
        config = Config.model_validate(
            {
                "version": 1,
                "server": {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}},
                "upstreams": {"dev-a": {"url": a.url}, "dev-b": {"url": b.url}},
                "routes": {
                    "/devices/{x}": {"upstream": "dev-{x}", "params": {"x": ["a", "b"]}, "request": {"path": "/s"}}
                },
            }
        )
        async with Gateway(config).serving() as gateway:
            assert gateway.address is not None
            base = "http://{}:{}".format(*gateway.address)
            for name in ("a", "b"):
                assert await document(base, f"/devices/{name}") == {"device": name, "path": "/s"}
            assert await status(base, "/devices/c") == 404
