"""A page in Debian's Chromium opens fifty streams through Caddy: over HTTP/2 they are one connection."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from browsers import PATCHING, browser_page
from gateways import eventually
from processes import GatewayProcess
from proxies import Proxy, behind

# Over HTTP/1.1 a browser has no more than six connections to a host, so forty-four of them would never open.
STREAMS = 50

PAGE = (
    """<!doctype html><title>pushgate</title><script>
"use strict";
const BASE = "%s", TOPICS = %s, stories = {}, errors = [];
addEventListener("error", e => errors.push(String(e.error ?? e.message)));
"""
    + PATCHING.replace("%", "%%")
    + r"""
for (const topic of TOPICS) {
  const source = new EventSource(BASE + topic), story = stories[topic] = [];
  const hear = (event, id, document) => story.push({event, id, document});
  source.addEventListener("snapshot", e => hear("snapshot", e.lastEventId, JSON.parse(e.data)));
  source.addEventListener("patch", e =>
    hear("patch", e.lastEventId, patched(story.at(-1).document, JSON.parse(e.data))));
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) errors.push(topic + " is closed for good"); };
}
const holds = n => TOPICS.every(topic => stories[topic].at(-1)?.document?.n === n);
</script>"""
)


@dataclass(frozen=True, slots=True)
class Listeners:
    base: str
    admin: str


@pytest.fixture
async def page(chromium: str, tmp_path: Path) -> AsyncIterator[Page]:
    async with browser_page(chromium, tmp_path, ignore_https_errors=True) as page:
        yield page


@pytest.fixture
async def served(backend: Any, page: Page, tmp_path: Path) -> AsyncIterator[tuple[GatewayProcess, Proxy, list[Any]]]:
    """Caddy in front of the gateway, the page with its fifty streams, and what the browser knows of each answer."""
    answers: list[Any] = []
    session = await page.context.new_cdp_session(page)
    session.on("Network.responseReceived", lambda event: answers.append(event["response"]))
    await session.send("Network.enable")
    config = {
        "server": {"cors": {"origins": [backend.url]}},
        "upstreams": {"legacy": {"url": backend.url}},
        "routes": {
            "/counters/{n}": {
                "upstream": "legacy",
                "request": {"path": "/document"},
                "poll": {"every": "200ms"},
                "params": {"n": "[0-9]+"},
                "query": {"lang": "[a-z]+"},
                "key": "id",
            }
        },
    }
    with GatewayProcess(tmp_path, config) as gateway:
        async with behind("caddy", Listeners(gateway.url, gateway.admin_url)) as proxy:
            topics = [f"/counters/{n}" for n in range(STREAMS)]
            backend.pages["/page"] = PAGE % (proxy.url, json.dumps(topics))
            await page.goto(f"{backend.url}/page")
            yield gateway, proxy, answers


async def all_hold(page: Page, n: int) -> None:
    """Wait until each of the streams has brought the n-th document."""
    try:
        await page.wait_for_function("n => holds(n)", arg=n, timeout=30_000)
    except Exception as error:
        held = await page.evaluate("Object.values(stories).map(story => story.at(-1)?.document?.n ?? null)")
        error.add_note(f"wanted {n}, held {held}; errors: {await page.evaluate('errors')}")
        raise


async def see_changes(page: Page, backend: Any, *, times: int = 3) -> None:
    for _ in range(times):
        backend.change_unseen()
        await all_hold(page, backend.n)


async def test_fifty_streams_are_one_connection(
    backend: Any, page: Page, served: tuple[GatewayProcess, Proxy, list[Any]]
) -> None:
    """All are live, and get every change."""
    gateway, _, answers = served
    await all_hold(page, backend.n)
    await see_changes(page, backend)
    streams = [answer for answer in answers if "/counters/" in answer["url"]]
    assert len(streams) == STREAMS
    assert {answer["protocol"] for answer in streams} == {"h2"}
    assert len({answer["connectionId"] for answer in streams}) == 1
    assert f'pushgate_connections{{transport="sse"}} {STREAMS}.0' in await asyncio.to_thread(gateway.metrics)
    for story in (await page.evaluate("stories")).values():
        backend.check(story, epochs=1)
    assert await page.evaluate("errors") == []


async def test_they_outlive_a_reload_of_the_proxy(
    backend: Any, page: Page, served: tuple[GatewayProcess, Proxy, list[Any]]
) -> None:
    """The browser is told to open no more streams on that connection; those that are open go on."""
    gateway, proxy, _ = served
    await all_hold(page, backend.n)
    proxy.also = {"stream_close_delay 10m": "stream_close_delay 11m"}
    await proxy.reload()
    await see_changes(page, backend)
    assert f'pushgate_connections_total{{transport="sse"}} {STREAMS}.0' in await asyncio.to_thread(gateway.metrics)


async def test_they_come_back_after_a_restart_of_the_gateway(
    backend: Any, page: Page, served: tuple[GatewayProcess, Proxy, list[Any]]
) -> None:
    """Whoever asks while it is away is not answered 502, from which no EventSource comes back; nothing is lost."""
    gateway, _, answers = served
    await all_hold(page, backend.n)
    await asyncio.to_thread(gateway.end, signal.SIGKILL)
    before = len(answers)

    async def come_back_in_vain() -> int:
        return len(answers) - before

    await eventually(come_back_in_vain, lambda number: number > STREAMS // 2)
    backend.change_unseen()
    await asyncio.to_thread(gateway.start)
    await see_changes(page, backend)
    for story in (await page.evaluate("stories")).values():
        backend.check(story, epochs=2)
    assert await page.evaluate("errors") == []
