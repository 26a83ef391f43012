"""Pages in a browser that follow topics in every way that a page can show who it is, and what a test asks them."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Page, Request

from browsers import PATCHING

# What a browser does after a busy machine let it wait.
DEADLINE = 20_000.0  # milliseconds

# What somebody would write who has read docs/security.md, and what tells a test how it went.
SCRIPT = (
    r"""
"use strict";
const heard = {}, held = {}, ends = {}, sources = {}, errors = [];
addEventListener("error", e => errors.push(String(e.error ?? e.message)));
addEventListener("unhandledrejection", e => errors.push(String(e.reason)));
"""
    + PATCHING
    + r"""
function hear(name, event, data) {
  heard[name].push([event, data]);
  if (event === "snapshot") held[name] = data;
  else if (event === "patch") held[name] = patched(held[name], data);
}
function follow(name, url, withCredentials, topics) {
  const nameOf = topic => topics ? `${name} ${topic}` : name;
  for (const topic of topics ?? [""]) heard[nameOf(topic)] = [];
  const source = sources[name] = new EventSource(url, {withCredentials});
  for (const kind of ["snapshot", "patch", "expiring", "problem"])
    source.addEventListener(kind, e => {
      const event = JSON.parse(e.data);
      hear(nameOf(event.topic), kind, topics ? event.data : event);
    });
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) ends[name] = "closed"; };
}
function speak(name, url, {protocols = "pushgate.v1", first, next} = {}) {
  heard[name] = [];
  const socket = new WebSocket(url, protocols), prove = token => socket.send(JSON.stringify({op: "auth", token}));
  socket.onopen = () => {
    if (socket.protocol !== "pushgate.v1") errors.push("spoken: " + socket.protocol);
    if (first) prove(first);
  };
  socket.onmessage = e => {
    const {event, data} = JSON.parse(e.data);
    hear(name, event, data);
    if (event === "expiring" && next) prove(next);
  };
  socket.onclose = e => { ends[name] = [e.code, e.reason]; };
}
const patiently = () => new Promise(done => setTimeout(done, 100));
async function poll(name, url, token) {
  heard[name] = [];
  for (let cursor = null; !(name in ends);) {
    try {
      const query = cursor ? "?cursor=" + encodeURIComponent(cursor) : "?wait=25";
      const answer = await fetch(url + query, {headers: {Authorization: "Bearer " + token}});
      if (answer.status === 401) ends[name] = (await answer.json()).code;
      else cursor = answer.headers.get("Pushgate-Cursor") ?? cursor;
      if (answer.status === 200) for (const {event, data} of (await answer.json()).events) hear(name, event, data);
    } catch { await patiently(); }
  }
}
async function read(name, url, token) {
  heard[name] = [];
  let last = null;
  for (;;) {
    try {
      const headers = {Authorization: "Bearer " + token, Accept: "text/event-stream"};
      if (last) headers["Last-Event-ID"] = last;
      const answer = await fetch(url, {headers});
      const lines = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "";;) {
        const {value, done} = await lines.read();
        if (done) break;
        text += value;
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
          const block = Object.fromEntries(text.slice(0, end).split("\n").map(line => line.split(/: (.*)/s)));
          last = block.id ?? last;
          hear(name, block.event, JSON.parse(block.data));
        }
      }
    } catch { await patiently(); }
  }
}
async function ask(url, options = {}) {
  try {
    const answer = await fetch(url, options);
    const text = await answer.text();
    return {status: answer.status, fields: Object.fromEntries(answer.headers), body: text && JSON.parse(text)};
  } catch (error) { return {error: error.name}; }
}
async function ticket(base, token, topics) {
  const headers = {Authorization: "Bearer " + token, "Content-Type": "application/json"};
  const answer = await ask(base + "/-/tickets", {method: "POST", headers, body: JSON.stringify({topics})});
  return answer.body.ticket;
}
function send(url) {
  const form = document.createElement("form");
  Object.assign(form, {method: "POST", action: url});
  document.body.append(form);
  form.submit();
}
"""
)


class Tab:
    """A page that is open, what it has heard, and what its browser has asked for it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._requests: list[Request] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        self._requests.append(request)

    async def asked(self, kind: str) -> list[dict[str, str]]:
        """Return the header fields of all requests of a kind, as they were sent; names in lower case."""
        return [await one.all_headers() for one in self._requests if one.resource_type == kind]

    async def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the script."""
        return await self.page.evaluate(f"arguments => {function}(...arguments)", list(arguments))

    async def begin(self, function: str, name: str, *arguments: Any) -> None:
        """Call a function of the script that goes on for as long as the page is open."""
        await self.page.evaluate(f"arguments => {{ {function}(...arguments); }}", [name, *arguments])

    async def look(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def until(self, condition: str, *arguments: Any) -> None:
        """Wait until a condition of JavaScript holds."""
        try:
            await self.page.wait_for_function(
                f"arguments => ({condition})(...arguments)", arg=list(arguments), polling=20, timeout=DEADLINE
            )
        except Exception as error:
            error.add_note(json.dumps(await self.look("({heard, ends, errors})"))[:4000])
            raise

    async def all_hold(self, document: Any, *names: str) -> None:
        """Wait until all of these, or all that the page follows, hold this document and no other."""
        wanted = [*names] or await self.look("Object.keys(heard)")
        await self.until("(n, names) => names.every(name => held[name]?.n === n)", document["n"], wanted)
        held = await self.look("held")
        for name in wanted:
            assert held[name] == document, name
        assert await self.look("errors") == []

    async def ended(self, name: str) -> Any:
        """Wait until it is over, and return how."""
        await self.until("name => name in ends", name)
        return await self.look(f"ends[{name!r}]")

    async def kinds(self, name: str, *, since: int = 0) -> list[str]:
        """Return the kinds of what it has heard, from a position on."""
        return [kind for kind, _ in (await self.look("heard"))[name][since:]]

    async def counts(self) -> dict[str, int]:
        """Return how much each has heard."""
        heard: dict[str, list[Any]] = await self.look("heard")
        return {name: len(events) for name, events in heard.items()}
