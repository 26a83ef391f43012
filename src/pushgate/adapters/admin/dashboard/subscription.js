// Following a topic as a client does, over any transport, and telling each thing that arrives as it is on the wire.

import {address, ask, token} from "./access.js";
import {blocks} from "./blocks.js";
import {parse} from "./documents.js";

/**
 * Follow a topic. wish: {topic, transport, emit, headers: [[name, value]], cursor}. hear.arrived({event, id, data, bytes})
 * is called for each event, hear.answered(line) for what is no event (a status line, a close), hear.ended() at the end.
 * Returns how to cut it.
 */
export function subscribe(wish, hear) {
  const abort = new AbortController();
  const run = {sse, long_poll: longPoll, short_poll: shortPoll, websocket}[wish.transport];
  run(wish, hear, abort.signal).catch(error => {
    if (!abort.signal.aborted) hear.answered(`the connection ended: ${error.message}`, true);
  }).finally(() => hear.ended());
  return () => abort.abort();
}

function target({topic, emit}, more = {}) {
  const url = address(`-/console${topic}`);
  const query = {...(emit ? {emit} : {}), ...more};
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
}

function shown(headers) {
  return Object.fromEntries(headers.map(([name, value]) => [`Pushgate-As-${name}`, value]));
}

async function sse(wish, hear, signal) {
  const headers = {Accept: "text/event-stream", ...shown(wish.headers)};
  if (wish.cursor) headers["Last-Event-ID"] = wish.cursor;
  const answer = await ask(target(wish), {headers, signal});
  if (!await isGood(answer, hear)) return;
  hear.answered(`${answer.status}, text/event-stream`);
  for await (const {event, id, data, bytes} of blocks(answer.body)) {
    if (data) hear.arrived({event, id, data: parse(data), bytes});
  }
  hear.answered("the gateway has ended the stream");
}

async function shortPoll(wish, hear, signal) {
  const answer = await ask(target(wish), {headers: shown(wish.headers), signal});
  if (!await isGood(answer, hear)) return;
  const text = await answer.text();
  hear.answered(`${answer.status}, ${answer.headers.get("Pushgate-State") ?? ""}, Age ${answer.headers.get("Age") ?? "–"}`);
  const isJson = /json/.test(answer.headers.get("Content-Type") ?? "");
  const data = isJson ? parse(text) : text;
  hear.arrived({event: "snapshot", id: answer.headers.get("Pushgate-Cursor"), data, bytes: text.length});
}

async function longPoll(wish, hear, signal) {
  let cursor = wish.cursor;
  while (!signal.aborted) {
    const answer = await ask(target(wish, cursor ? {cursor} : {wait: "25"}), {headers: shown(wish.headers), signal});
    if (answer.status === 204 && answer.headers.get("Pushgate-State") !== "ended") {
      hear.answered("204, nothing has happened; asked again");
      cursor = answer.headers.get("Pushgate-Cursor") ?? cursor;
      continue;
    }
    if (!await isGood(answer, hear)) return;
    const text = await answer.text(), body = parse(text);
    cursor = body.cursor;
    hear.answered(`200, ${body.events.length} of ${text.length} bytes`);
    for (const one of body.events) hear.arrived({...one, bytes: JSON.stringify(one).length});
    if (body.events.some(one => one.event === "end")) return;
  }
}

async function websocket(wish, hear, signal) {
  const url = target(wish, wish.cursor ? {cursor: wish.cursor} : {});
  url.protocol = url.protocol.replace("http", "ws");
  const protocols = ["pushgate.v1", ...wish.headers.map(([name, value]) => `pushgate.as.${encoded(`${name}: ${value}`)}`)];
  if (token()) protocols.push(`pushgate.operator.${encoded(token())}`);
  return new Promise(done => {
    const socket = new WebSocket(url, protocols);
    signal.addEventListener("abort", () => socket.close());
    socket.onopen = () => hear.answered(`101, ${socket.protocol || "no subprotocol"}`);
    socket.onmessage = ({data}) => {
      const {event, id, data: content, ...rest} = parse(data);
      hear.arrived({event, id: id ?? null, data: content ?? rest, bytes: data.length});
    };
    socket.onclose = ({code, reason}) => {
      if (!signal.aborted) hear.answered(`closed: ${code} ${reason}`, code !== 1000);
      done();
    };
  });
}

function encoded(text) {
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Whether an answer is one; says what it is otherwise. */
async function isGood(answer, hear) {
  if (answer.status === 204) {
    hear.answered("204, there will be no more");
    return false;
  }
  if (answer.ok) return true;
  const text = await answer.text();
  hear.answered(`${answer.status}: ${detailOf(text) || answer.statusText}`, true);
  return false;
}

function detailOf(text) {
  try {
    const {code, detail} = JSON.parse(text);
    return `${code}, ${detail}`;
  } catch {
    return text.trim();
  }
}
