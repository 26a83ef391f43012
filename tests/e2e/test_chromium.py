"""A page in Debian's Chromium follows a topic in every way that a browser can, and loses nothing in a restart."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from browsers import PATCHING, browser_page

CLIENTS = ["eventsource", "onmessage", "websocket", "longpoll"]

# A client as somebody would write it who has only read the manual.
PAGE = (
    r"""<!doctype html><title>pushgate</title><script>
"use strict";
const BASE = "%s", stories = {}, opened = {}, closes = [], errors = [];
addEventListener("error", e => errors.push(String(e.error ?? e.message)));
addEventListener("unhandledrejection", e => errors.push(String(e.reason)));

"""
    + PATCHING.replace("%", "%%")
    + r"""function hear(name, event, id, data) {
  const story = stories[name] ??= [];
  let held = story.at(-1)?.document;
  if (event === "snapshot") held = data;
  else if (event === "patch") held = patched(held, data);
  story.push({event, id, document: held});
}
const holds = n => %s.every(name => stories[name]?.at(-1)?.document?.n === n);

const opens = name => { opened[name] = (opened[name] ?? 0) + 1; };

function eventSource(name) {
  const source = new EventSource(BASE + "/counter");
  source.onopen = () => opens(name);
  for (const kind of ["snapshot", "patch", "heartbeat", "status", "problem"])
    source.addEventListener(kind, e => hear(name, kind, e.lastEventId, JSON.parse(e.data)));
  source.onmessage = () => errors.push("a named event reached onmessage");
}
function onMessage(name) {
  const source = new EventSource(BASE + "/counter?framing=message");
  source.onopen = () => opens(name);
  source.onmessage = e => {
    const {event, id, data} = JSON.parse(e.data);
    if (id && id !== e.lastEventId) errors.push(`the envelope says ${id}, the stream ${e.lastEventId}`);
    hear(name, event, id, data);
  };
}
function webSocket(name) {
  let last = null;
  const open = () => {
    const query = last ? "?cursor=" + encodeURIComponent(last) : "";
    const socket = new WebSocket(BASE.replace("http", "ws") + "/counter" + query, "pushgate.v1");
    socket.onopen = () => {
      opens(name);
      if (socket.protocol !== "pushgate.v1") errors.push("spoken: " + socket.protocol);
    };
    socket.onmessage = e => {
      const {event, id, data} = JSON.parse(e.data);
      if (id) last = id;
      hear(name, event, id, data);
    };
    socket.onclose = e => { closes.push([e.code, e.reason]); setTimeout(open, 100); };
  };
  open();
}
async function longPoll(name) {
  let cursor = null;
  for (;;) {
    try {
      const query = cursor ? "?cursor=" + encodeURIComponent(cursor) : "?wait=25";
      const answer = await fetch(BASE + "/counter" + query);
      if (answer.status === 200) {
        const body = await answer.json();
        if (body.cursor !== answer.headers.get("Pushgate-Cursor")) errors.push("two cursors");
        for (const {event, id, data} of body.events) hear(name, event, id, data);
        cursor = body.cursor;
        continue;
      }
      if (answer.status === 204) { cursor = answer.headers.get("Pushgate-Cursor"); continue; }
      if (!answer.headers.has("Retry-After")) errors.push("status " + answer.status);
    } catch { /* nobody listens for the moment */ }
    await new Promise(done => setTimeout(done, 100));
  }
}
eventSource("eventsource");
onMessage("onmessage");
webSocket("websocket");
longPoll("longpoll");
</script>"""
)


@pytest.fixture
async def page(chromium: str, tmp_path: Path) -> AsyncIterator[Page]:
    async with browser_page(chromium, tmp_path) as page:
        yield page


class TestRestart:
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
    async def test_no_change_is_lost(self, how: signal.Signals, backend: Any, gateway: Any, page: Page) -> None:
        """Four clients in one page; the gateway goes away while they follow, and the document changes meanwhile."""
        backend.pages["/page"] = PAGE % (gateway.url, json.dumps(CLIENTS))
        await page.goto(f"{backend.url}/page")
        await self._all_hold(page, backend.n)
        await self._all_hold(page, await backend.change(12))

        exit_status = await gateway.end(how)
        assert exit_status == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        backend.change_unseen()
        await gateway.start()
        await self._all_hold(page, backend.n)
        await self._all_hold(page, await backend.change(12))

        stories = await page.evaluate("stories")
        assert await page.evaluate("errors") == []
        for client in CLIENTS:
            backend.check(stories[client], epochs=2)
            kinds = {step["event"] for step in stories[client]}
            assert {"snapshot", "patch"} <= kinds, f"{client} got {kinds}"
        code, reason = (await page.evaluate("closes"))[0]
        if how is signal.SIGTERM:
            assert code == 1012
            assert reason.startswith("retry_after_ms=")
        else:
            assert code == 1006

    async def test_an_unchanged_document_is_not_sent_again(self, backend: Any, gateway: Any, page: Page) -> None:
        """After a restart, the cursor of a document that is still the current one continues without a snapshot."""
        backend.pages["/page"] = PAGE % (gateway.url, json.dumps(CLIENTS))
        await page.goto(f"{backend.url}/page")
        await self._all_hold(page, await backend.change(3))
        await gateway.end()
        before = await page.evaluate("Object.fromEntries(Object.entries(stories).map(([k, s]) => [k, s.length]))")
        await gateway.start()
        await page.wait_for_function("Object.values(opened).every(times => times === 2)")
        await self._all_hold(page, await backend.change(2))
        stories = await page.evaluate("stories")
        for client in CLIENTS[:3]:  # nobody can see from here when the long poll waits again
            since = [step["event"] for step in stories[client][before[client] :]]
            assert "snapshot" not in since, f"{client} got {since}"
            assert since.count("patch") == 2
            backend.check(stories[client], epochs=2)

    async def _all_hold(self, page: Page, n: int) -> None:
        try:
            await page.wait_for_function("n => holds(n)", arg=n, timeout=20_000)
        except Exception as error:
            held = await page.evaluate(
                "Object.fromEntries(Object.entries(stories).map(([k, s]) => [k, s.at(-1).document?.n]))"
            )
            error.add_note(f"wanted {n}, held {held}; errors: {await page.evaluate('errors')}")
            raise


async def test_a_browser_sees_why_a_websocket_is_refused(backend: Any, gateway: Any, page: Page) -> None:
    """A refused handshake would tell a page nothing, so it is accepted and closed with the reason."""
    backend.pages["/empty"] = "<!doctype html><title>empty</title>"
    await page.goto(f"{backend.url}/empty")
    closed = await asyncio.wait_for(
        page.evaluate(
            """url => new Promise(done => {
                new WebSocket(url, "pushgate.v1").onclose = e => done([e.code, e.reason]);
            })""",
            f"{gateway.ws_url}/nothing",
        ),
        20,
    )
    assert closed == [4404, "no_such_topic"]


async def test_a_page_of_another_origin_may_not_read(backend: Any, start_gateway: Any, page: Page) -> None:
    """Only the pages of the listed origins get an answer that their browser lets them read."""
    stranger = await start_gateway(server={"cors": {"origins": ["https://somebody.example"]}})
    backend.pages["/empty"] = "<!doctype html><title>empty</title>"
    await page.goto(f"{backend.url}/empty")
    seen = await page.evaluate("url => fetch(url).then(a => a.status, e => e.name)", f"{stranger.url}/counter")
    assert seen == "TypeError"
