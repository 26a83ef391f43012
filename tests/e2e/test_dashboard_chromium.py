"""The dashboard in Debian's Chromium, in front of a gateway with routes in every state."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from browsers import browser_page
from doubles.server import Asked, Double, serving
from gateways import Running, http_client, running_gateway
from layouts import untidiness
from pushgate.documents.diffing import INEXPRESSIBLE, compare, merge_patch
from pushgate.documents.keys import Keys

SIZES = [(1440, 900), (1024, 768), (768, 1024), (360, 740)]
TOKEN = "a-token-of-many-characters"
LONG = "/stations/{city}/{operator}/bikes-and-docks-at-every-station-of-the-city"


class Backend(Double):
    """Answers each path in its own way, from good to bad; ``n`` is what the good ones say."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 1
        self.is_broken = False

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if request.path == "/broken" and self.is_broken:
            return web.Response(status=502)
        if request.path == "/silent":
            return web.Response(status=503)
        text = "of some length, so that patches are shorter"
        rows = [{"id": f"R{k}", "n": self.n * k, "text": text} for k in range(9)]
        return web.json_response([] if request.path == "/shrinking" and self.is_broken else rows)


def route(path: str, **more: Any) -> dict[str, Any]:
    poll = {"every": "50ms", "linger": "60s", "jitter": "0%", **more.pop("poll", {})}
    settings = {"upstream": "u", "request": {"path": path}, "poll": poll, "key": "id", "auth": "none"}
    return {**settings, "emit": ["patch", "items", "merge", "snapshot"], **more}


ROUTES = {
    "/live": route("/live", description="What leaves soon, in the order in which it is expected"),
    "/live/first": {"from": "/live", "pointer": "/0"},
    LONG: route("/broken", poll={"every": "200ms"}),
    "/held": route("/shrinking", guards={"confirm_after": "1h"}),
    "/paused": route("/live", poll={"active": "Mon 03:00-03:01 UTC"}),
    "/cold": route("/silent", poll={"every": "200ms"}),
    "/idle": route("/live"),
    "/kept": route("/live", auth=["keys"]),
}
STALE = "/stations/paris/velib/bikes-and-docks-at-every-station-of-the-city"
AUTH = {"keys": {"kind": "api_key", "keys": [{"name": "me", "key": "my-key"}]}}


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend()
    async with serving(backend):
        yield backend


@asynccontextmanager
async def house(backend: Backend, **admin: str) -> AsyncIterator[Running]:
    """A gateway that clients follow; the backend has been well, and then not."""
    server = {"admin": {"listen": "127.0.0.1:0", **admin}}
    routes = {name: dict(one) for name, one in ROUTES.items()}
    async with running_gateway(backend.url, routes, auth=AUTH, server=server) as gateway, http_client() as client:
        for topic in ("/live", "/live/first", STALE, "/held", "/paused", "/cold"):
            await client.get(f"{gateway.base}{topic}")
        backend.is_broken = True
        yield gateway


class Window:
    """A browser's window; ``complaints`` are the errors of its console, and ``hosts`` whom it has asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    async def look(self, gateway: Running, view: str = "/") -> None:
        await self.page.goto(f"{gateway.admin}/#{view}")
        await expect(self.page.locator(".view")).to_be_visible()


@pytest.fixture
async def window(chromium: str, tmp_path: Path) -> AsyncIterator[Window]:
    async with browser_page(chromium, tmp_path) as page:
        page.set_default_timeout(15_000)
        expect.set_options(timeout=15_000)
        yield Window(page)


def of(name: str) -> str:
    return f"/route?route={quote(name, safe='')}"


def arrival(page: Page, event: str) -> Any:
    return page.locator(f".arrival[data-event={event}]").first


def row(page: Page, name: str) -> Any:
    return page.locator(".rows .row").filter(has=page.get_by_role("link", name=name, exact=True))


@pytest.mark.timeout(120)
async def test_it_fits_every_screen_by_day_and_by_night(backend: Backend, window: Window) -> None:
    """Nothing overlaps, nothing scrolls sideways, nothing is complained about, and nobody else is asked."""
    async with house(backend) as gateway:
        page = window.page
        await window.look(gateway)
        for name, state in {"/live": "live", LONG: "stale", "/held": "held", "/paused": "paused"}.items():
            await expect(row(page, name).locator(".badge")).to_have_text(state)
        await expect(row(page, "/cold").locator(".trouble")).to_contain_text("http_5xx")
        for view in ("/", of("/live"), of("/held"), of(LONG), of("/idle"), "/console?topic=/live"):
            await window.look(gateway, view)
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                for width, height in SIZES:
                    await page.set_viewport_size({"width": width, "height": height})
                    assert await untidiness(page) == [], f"{view} at {width}, {scheme}"
        assert window.complaints == []
        assert window.hosts == {urlsplit(gateway.admin).netloc}


async def test_a_route_is_found_and_seen_from_near(backend: Backend, window: Window) -> None:
    """Its topics, why the next poll is when it is, and what a change has changed; a state or a word finds routes."""
    async with house(backend) as gateway:
        page = window.page
        await window.look(gateway)
        await page.get_by_role("link", name="/live", exact=True).press("Enter")
        topic = page.locator(".topic")
        await expect(topic.locator(".next")).to_contain_text("every 50ms")
        await expect(topic.locator(".cursor")).not_to_be_empty()
        backend.n = 7
        change = page.locator(".change").first
        await expect(change.locator("li").first).to_contain_text("[R1].n")
        await expect(change.locator("del").first).to_have_text("1")
        await expect(change.locator("ins").first).to_have_text("7")
        await expect(page.locator(".published .json")).to_contain_text('"n": 56')
        await page.get_by_role("link", name="All routes").click()
        await page.get_by_role("link", name="/held", exact=True).click()
        await expect(page.locator(".held")).to_contain_text("an empty array, where there was an array of 9")
        await expect(page.locator(".held .json")).to_have_text("[]")
        await page.get_by_role("link", name="All routes").click()
        await page.locator(".chip", has_text="held").click()
        await expect(page.locator(".rows .row .name")).to_have_text(["/held"])
        await page.locator(".chip", has_text="held").click()
        await page.get_by_role("searchbox").fill("leaves soon")
        await expect(page.locator(".rows .row .name")).to_have_text(["/live"])
        await page.get_by_role("searchbox").fill("nothing like that")
        await expect(page.locator(".rows + .empty")).to_be_visible()
        assert window.complaints == []


async def test_the_console_follows_a_topic(backend: Backend, window: Window) -> None:
    """Over any transport, every event as it comes; cut and resumed, the document has missed nothing."""
    async with house(backend) as gateway:
        page = window.page
        held = page.locator(".wire > .panel:last-child .json")
        for transport in ("SSE", "WebSocket", "long poll"):
            backend.n = 1
            await window.look(gateway, "/console?topic=/live")
            await page.get_by_text(transport, exact=True).click()
            await page.get_by_label("Emit").select_option("patch")
            await page.get_by_role("button", name="Subscribe").click()
            await expect(held).to_contain_text('"n": 8')
            backend.n = 7
            await expect(held).to_contain_text('"n": 56')
            await expect(arrival(page, "patch")).to_be_visible()
            await page.get_by_role("button", name="Cut").click()
            backend.n = 11
            await page.get_by_role("button", name="Resume").click()
            await expect(held).to_contain_text('"n": 88')
            assert await page.locator(".arrival[data-event=snapshot]").count() == 1
            assert json.loads(await held.inner_text())[1]["n"] == 11
            assert await untidiness(page) == []
            await page.goto("about:blank")
        assert window.complaints == []


async def test_the_page_holds_what_a_client_holds(backend: Backend, window: Window) -> None:
    """After patches, merges and items, with numbers as they are written and names that mean something to JavaScript."""
    olds: list[Any] = [
        {"a": [1, {"b~/c": 2}], "gone": 1},
        {"__proto__": {"x": 1}, "n": 2**70},
        [{"id": 1}, {"id": 2, "n": 1}],
    ]
    news: list[Any] = [
        {"a": [{"b~/c": 3}, 1, []], "new": None},
        {"__proto__": {"x": {"__proto__": 2}}, "n": 2**70 + 1},
        [{"id": 2, "n": 2}, {"id": 3}],
    ]
    steps = []
    for old, new in zip(olds, news, strict=True):
        difference = compare(old, new, keys=Keys.of("id"))
        assert difference is not None
        steps.append((old, new, "patch", difference.patch))
        if (merged := merge_patch(old, new)) is not INEXPRESSIBLE:
            steps.append((old, new, "merge", merged))
    items = {"created": [{"id": 3}], "updated": [{"id": 2, "n": 2}], "deleted": [1]}
    steps.append((olds[2], news[2], "items", items))
    async with running_gateway(backend.url, {"/live": {**ROUTES["/live"], "auth": None}}) as gateway:
        await window.look(gateway)
        fold = """async steps => {
            const {advance, parse} = await import("./dashboard/documents.js");
            return parse(steps).map(([old, , event, data]) => JSON.stringify(advance(old, event, data, "id")));
        }"""
        held = await window.page.evaluate(fold, json.dumps(steps))
    assert [json.loads(text) for text in held] == [new for _, new, *_ in steps]
    assert {event for _, _, event, _ in steps} == {"patch", "merge", "items"}


async def test_the_console_shows_what_the_client_is_told_to_show(backend: Backend, window: Window) -> None:
    """And says why it is refused without."""
    async with house(backend) as gateway:
        page = window.page
        await window.look(gateway, "/console?topic=/kept")
        await page.get_by_text("short poll", exact=True).click()
        await page.get_by_role("button", name="Subscribe").click()
        await expect(page.locator(".answer[data-bad]")).to_contain_text("401")
        await page.locator("summary", has_text="Header fields").click()
        await page.locator("#fields").fill("Authorization: Bearer my-key")
        await page.get_by_text("WebSocket", exact=True).click()
        await page.get_by_role("button", name="Start over").click()
        await expect(arrival(page, "snapshot")).to_be_visible()


async def test_an_upstream_is_paused_only_by_who_is_sure(backend: Backend, window: Window) -> None:
    """A route at once; and whatever an operator does elsewhere, such as a drain, is said."""
    async with house(backend) as gateway, http_client(base_url=gateway.admin) as operator:
        page = window.page
        await window.look(gateway)
        await page.get_by_role("button", name="Pause upstream").click()
        assert await paused(operator) == []
        await page.get_by_role("button", name="Yes, pause").click()
        await expect(page.locator(".card .badge")).to_have_text("paused")
        await expect(row(page, "/live").locator(".trouble")).to_have_text("by an operator")
        assert await paused(operator) == ["u"]
        await page.get_by_role("button", name="Resume upstream").click()
        await expect(page.locator(".card .badge")).to_be_hidden()
        assert await paused(operator) == []
        await window.look(gateway, of("/live"))
        await page.get_by_role("button", name="Pause route").click()
        await expect(page.locator(".heading > .badge")).to_have_text("paused")
        await page.get_by_role("button", name="Resume route").click()
        await expect(page.locator(".heading > .badge")).to_have_text("live")
        await page.get_by_role("button", name="Poll now").click()
        await expect(page.locator(".near .said")).to_have_text("polled")
        await operator.post("/-/drain", headers={"Pushgate-Admin": "1"})
        await expect(page.locator(".notice.warn").first).to_contain_text("Draining")
        await operator.delete("/-/drain", headers={"Pushgate-Admin": "1"})
        await expect(page.locator(".notice.warn").first).to_be_hidden()


async def paused(operator: httpx.AsyncClient) -> list[str]:
    found: list[str] = (await operator.get("/-/pause")).json()["paused"]["upstreams"]
    return found


async def test_whoever_comes_from_elsewhere_shows_a_token(backend: Backend, window: Window) -> None:
    """The page is there, and nothing on it until then; a wrong token is said to be wrong."""
    async with house(backend, token=TOKEN) as gateway:
        page = window.page
        await page.set_extra_http_headers({"X-Forwarded-For": "192.0.2.7"})
        await page.goto(gateway.admin)
        await expect(page.get_by_label("Token")).to_be_focused()
        assert await page.locator(".view").count() == 0
        assert await untidiness(page) == []
        await page.get_by_label("Token").fill("another-token-of-many")
        await page.keyboard.press("Enter")
        await expect(page.locator(".why")).to_contain_text("That did not do")
        await page.get_by_label("Token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(row(page, "/live").locator(".badge")).to_have_text("live")
        await expect(page.locator(".signin")).to_be_hidden()
        await page.goto(f"{gateway.admin}/#/console?topic=/live")
        await page.get_by_text("WebSocket", exact=True).click()
        await page.get_by_role("button", name="Subscribe").click()
        await expect(arrival(page, "snapshot")).to_be_visible()


async def test_where_nobody_listens_it_says_how_to_begin(backend: Backend, window: Window) -> None:
    """With a line that works."""
    async with running_gateway(backend.url, {"/live": {**ROUTES["/live"], "auth": None}}) as gateway:
        page = window.page
        await window.look(gateway)
        command = page.locator(".begin code")
        await expect(command).to_have_text(f"curl -N -H 'Accept: text/event-stream' '{gateway.base}/live'")
        assert await untidiness(page) == []
        await page.get_by_role("link", name="Follow /live in the console").click()
        await page.get_by_role("button", name="Subscribe").click()
        await expect(arrival(page, "snapshot")).to_be_visible()
        await page.get_by_role("link", name="Routes").click()
        await expect(page.locator(".picture")).to_be_visible()


async def test_a_gateway_that_goes_away_is_missed_and_found_again(gateway: Any, window: Window) -> None:
    """What was seen last stays, greyed, with its time; what comes back is followed without a reload."""
    page = window.page
    await page.goto(gateway.admin_url)
    await expect(row(page, "/counter").locator(".badge")).to_have_text("idle")
    await gateway.end(signal.SIGKILL)
    await expect(page.locator(".notice.bad")).to_contain_text("does not answer")
    await expect(page.locator(".notice.bad")).to_contain_text("how it was at")
    # What is shown is drawn anew each second, and this has to stay.
    assert await page.evaluate("new Promise(done => setTimeout(done, 1200, true))")
    await expect(page.locator(".notice.bad")).to_be_visible()
    assert await untidiness(page) == []
    await gateway.start()
    await expect(page.locator(".notice.bad")).to_be_hidden()
    await expect(page.locator("#pulse")).to_have_text("live")
