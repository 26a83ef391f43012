"""The dashboard's console in Debian's Chromium, and whom the page shows anything."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from doubles.server import serving
from gateways import http_client, running_gateway
from layouts import untidiness
from pushgate.documents.diffing import INEXPRESSIBLE, compare, merge_patch
from pushgate.documents.keys import Keys
from reloads import reloadable_gateway
from windows import ROUTES, Backend, Window, arrival, house, of, row

TOKEN = "a-token-of-many-characters"
ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend()
    async with serving(backend):
        yield backend


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


async def test_whoever_comes_from_elsewhere_shows_a_token(backend: Backend, window: Window) -> None:
    """The page is there, and nothing on it until then; a wrong token is said to be wrong."""
    async with house(backend, token=TOKEN) as gateway:
        page = window.page
        await page.set_extra_http_headers(ELSEWHERE)
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


async def test_what_is_copied_is_one_word_of_a_shell(backend: Backend, window: Window) -> None:
    """Whatever a client has called its topic."""
    async with running_gateway(backend.url, {"/of/{name}": {**ROUTES["/live"], "auth": None}}) as gateway:
        await window.look(gateway, "/console?topic=" + quote("/of/it's;ls", safe=""))
        command = await window.page.locator(".command code").inner_text()
    assert shlex.split(command)[-1] == f"{gateway.base}/of/it's;ls"


async def test_the_console_says_how_it_ended(backend: Backend, window: Window) -> None:
    """A stream that the gateway ends, and a field that no browser can send; who resumes what is over asks once."""
    over = {"/over": {**ROUTES["/live"], "poll": {"every": "50ms", "linger": "60s", "until": "[1].n > `5`"}}}
    routes = {**ROUTES, **over}
    async with house(backend, routes=routes) as gateway, http_client(base_url=gateway.admin) as operator:
        page = window.page
        await window.look(gateway, "/console?topic=/kept")
        await page.locator("summary", has_text="Header fields").click()
        await page.locator("#fields").fill("Authorization: Bearer my-key")
        await page.get_by_role("button", name="Subscribe").click()
        await expect(arrival(page, "snapshot")).to_be_visible()
        await operator.post("/-/disconnect?subject=me", headers={"Pushgate-Admin": "1"})
        await expect(page.locator(".answer").first).to_contain_text("the gateway has ended the stream")
        await page.locator("#fields").fill("X-Price: 3 €")
        await page.get_by_text("WebSocket", exact=True).click()
        await page.get_by_role("button", name="Start over").click()
        await expect(page.locator(".answer[data-bad]")).to_be_visible()
        assert window.complaints == []
        backend.n = 9
        await page.goto("about:blank")
        await window.look(gateway, "/console?topic=/over")
        await page.get_by_text("long poll", exact=True).click()
        await page.get_by_role("button", name="Subscribe").click()
        resume = page.get_by_role("button", name="Resume")
        await expect(resume).to_be_visible()
        await resume.click()
        await expect(page.locator(".answer").first).to_contain_text("there will be no more")
        await expect(resume).to_be_visible()


async def test_another_token_is_asked_for_and_the_view_goes_on(
    backend: Backend, window: Window, tmp_path: Path
) -> None:
    """All of what is on the screen is fed again."""
    server = {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0", "token": TOKEN}}
    poll = {"poll": {"every": "50ms", "linger": "60s", "while": "always"}}
    routes = {"/live": {**ROUTES["/live"], "auth": None, **poll}}
    async with reloadable_gateway(backend.url, routes, tmp_path, server=server) as gateway:
        page = window.page
        await page.goto(gateway.admin)
        await page.set_extra_http_headers(ELSEWHERE)
        await page.goto(f"{gateway.admin}/#{of('/live')}")
        await page.reload()
        await page.get_by_label("Token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.locator(".published .json")).to_contain_text('"n": 8')
        another = "another-token-of-many"
        await gateway.rewrite(server={**server, "admin": {"listen": "127.0.0.1:0", "token": another}})
        await expect(page.locator(".why")).to_contain_text("That did not do")
        backend.n = 7
        await page.get_by_label("Token").fill(another)
        await page.keyboard.press("Enter")
        await expect(page.locator(".published .json")).to_contain_text('"n": 56')


async def test_a_token_that_is_needed_no_more_is_forgotten(backend: Backend, window: Window) -> None:
    """By showing an empty one: whoever is on the gateway's own machine needs none."""
    async with house(backend) as gateway:
        page = window.page
        await page.goto(f"{gateway.admin}/dashboard/icon.svg")
        await page.evaluate("sessionStorage.setItem('pushgate.token', 'one-of-another-gateway')")
        await page.goto(gateway.admin)
        await expect(page.get_by_label("Token")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(row(page, "/live").locator(".badge")).to_have_text("live")
