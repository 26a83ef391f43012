"""A page in Debian's Chromium follows fifty topics on one connection, in each way there is, and loses nothing."""

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
from processes import GatewayProcess

TOPICS = 50
CLIENTS = ["eventsource", "onmessage", "websocket", "longpoll"]

# A client as somebody would write it who has only read the manual.
PAGE = (
    """<!doctype html><title>pushgate</title><script>
"use strict";
const BASE = "%s", TOPICS = %s, CLIENTS = %s, stories = {}, opened = {}, errors = [];
addEventListener("error", e => errors.push(String(e.error ?? e.message)));
addEventListener("unhandledrejection", e => errors.push(String(e.reason)));
"""
    + PATCHING.replace("%", "%%")
    + r"""
const QUERY = TOPICS.map(topic => "topic=" + encodeURIComponent(topic)).join("&");
const opens = name => { opened[name] = (opened[name] ?? 0) + 1; };

function hear(name, {event, topic, id, data}) {
  if (event === "problem") { errors.push(`${topic}: ${data.code}`); return; }
  if (!id) return;
  const story = (stories[name] ??= {})[topic] ??= [];
  let held = story.at(-1)?.document;
  if (event === "snapshot") held = data;
  else if (event === "patch") held = patched(held, data);
  story.push({event, id, document: held});
}
const holds = n => CLIENTS.every(name => TOPICS.every(topic => stories[name]?.[topic]?.at(-1)?.document?.n === n));

// What has come since the last position counts when the next one comes, and not at all if the connection breaks.
function follow(name, source, kinds) {
  let pending = [], position = "";
  source.onopen = () => { opens(name); pending = []; };
  const take = e => {
    pending.push(JSON.parse(e.data));
    if (e.lastEventId === position) return;
    position = e.lastEventId;
    for (const event of pending) hear(name, event);
    pending = [];
  };
  for (const kind of kinds) source.addEventListener(kind, take);
}
follow("eventsource", new EventSource(`${BASE}/-/events?${QUERY}`),
       ["snapshot", "patch", "status", "heartbeat", "problem"]);
follow("onmessage", new EventSource(`${BASE}/-/events?${QUERY}&framing=message`), ["message"]);

function webSocket(name) {
  const cursors = {};
  const open = () => {
    const socket = new WebSocket(BASE.replace("http", "ws") + "/-/ws", "pushgate.v1"), refs = new Set();
    socket.onopen = () => {
      opens(name);
      TOPICS.forEach((topic, ref) => {
        refs.add(ref);
        socket.send(JSON.stringify({op: "subscribe", topic, cursor: cursors[topic], ref}));
      });
    };
    socket.onmessage = e => {
      const event = JSON.parse(e.data);
      if (event.event === "ack" && !refs.delete(event.ref)) errors.push("acknowledged twice: " + event.ref);
      if (event.topic && event.id) cursors[event.topic] = event.id;
      if (event.topic) hear(name, event);
    };
    socket.onclose = () => setTimeout(open, 100);
  };
  open();
}
webSocket("websocket");

async function longPoll(name) {
  let cursor = null;
  for (;;) {
    try {
      const body = JSON.stringify({topics: TOPICS.map(topic => ({topic})), ...(cursor ? {cursor} : {})});
      const answer = await fetch(`${BASE}/-/poll?wait=25`,
                                 {method: "POST", body, headers: {"Content-Type": "application/json"}});
      if (answer.status === 200) for (const event of (await answer.json()).events) hear(name, event);
      if (answer.status === 200 || answer.status === 204) {
        cursor = answer.headers.get("Pushgate-Cursor") ?? cursor;
        continue;
      }
      if (!answer.headers.has("Retry-After")) errors.push("status " + answer.status);
    } catch { /* nobody listens for the moment */ }
    await new Promise(done => setTimeout(done, 100));
  }
}
longPoll("longpoll");
</script>"""
)


@pytest.fixture
async def page(chromium: str, tmp_path: Path) -> AsyncIterator[Page]:
    async with browser_page(chromium, tmp_path) as page:
        yield page


async def all_hold(page: Page, n: int) -> None:
    try:
        await page.wait_for_function("n => holds(n)", arg=n, timeout=30_000)
    except Exception as error:
        held = await page.evaluate(
            "Object.fromEntries(Object.entries(stories).map("
            "([k, s]) => [k, Object.values(s).map(t => t.at(-1).document?.n)]))"
        )
        error.add_note(f"wanted {n}, held {held}; errors: {await page.evaluate('errors')}")
        raise


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
async def test_no_change_of_any_topic_is_lost(how: signal.Signals, backend: Any, page: Page, tmp_path: Path) -> None:
    """Four clients of fifty topics in one page; the gateway goes away, and all documents change meanwhile."""
    config = {
        "server": {"cors": {"origins": [backend.url]}, "drain": {"window": "100ms"}},
        "upstreams": {"legacy": {"url": backend.url}},
        "routes": {
            "/counters/{n}": {
                "upstream": "legacy",
                "request": {"path": "/document"},
                "poll": {"every": "200ms"},
                "params": {"n": "[0-9]+"},
                "key": "id",
            }
        },
    }
    topics = [f"/counters/{n}" for n in range(TOPICS)]
    with GatewayProcess(tmp_path, config) as gateway:
        backend.pages["/page"] = PAGE % (gateway.url, json.dumps(topics), json.dumps(CLIENTS))
        await page.goto(f"{backend.url}/page")
        await all_hold(page, backend.n)
        for _ in range(3):
            backend.change_unseen()
            await all_hold(page, backend.n)

        await asyncio.to_thread(gateway.end, how)
        backend.change_unseen()
        await asyncio.to_thread(gateway.start)
        await all_hold(page, backend.n)
        for _ in range(2):
            backend.change_unseen()
            await all_hold(page, backend.n)

    stories = await page.evaluate("stories")
    assert await page.evaluate("errors") == []
    for client in CLIENTS:
        assert list(stories[client]) == topics or sorted(stories[client]) == sorted(topics)
        for story in stories[client].values():
            backend.check(story, epochs=2)
            assert {step["event"] for step in story} == {"snapshot", "patch"}
