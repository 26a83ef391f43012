// What has arrived, event by event with the newest first, beside the document that a client holds after it.

import {advance} from "./documents.js";
import {el, say, setAttribute, show} from "./nodes.js";
import {bytes, clockTime, duration, plural} from "./words.js";

const KEPT = 200; // events on the page
const SHOWN = 20_000; // characters of one of them, and of the document

export function wire() {
  let held, key = "id", cursor = null, number = 0, last = null, size = 0;
  const list = el("ol", {class: "arrivals"}), document_ = el("pre", {class: "json", tabindex: "0", "aria-label": "The document"});
  const told = el("p", {class: "note"}), position = el("code", {class: "cursor"});
  const where = el("p", {class: "position"}, "cursor ", position);
  const nothing = el("p", {class: "empty small"}, "Nothing has arrived yet.");
  const empty = el("p", {class: "empty small"}, "No document is held yet.");
  const node = el("div", {class: "columns wire"},
    el("section", {class: "panel"}, el("h2", {}, "On the wire"), told, nothing, list),
    el("section", {class: "panel"}, el("h2", {}, "What the client holds"), where, empty, document_));
  draw();

  function add(item) {
    list.prepend(item);
    while (list.children.length > KEPT) list.lastChild.remove();
  }

  function draw() {
    show(nothing, !list.children.length);
    show(told, number > 0);
    say(told, `${plural(number, "event")}, ${bytes(size)}`);
    show(where, cursor !== null);
    say(position, cursor ?? "");
    show(empty, held === undefined);
    show(document_, held !== undefined);
    if (held !== undefined) say(document_, cutOff(JSON.stringify(held, null, 2)));
  }

  return {
    node,
    get cursor() { return cursor; },
    get isEmpty() { return !list.children.length; },
    begin({isNew, key: own}) {
      last = null;
      key = own;
      if (isNew) {
        held = undefined;
        cursor = null;
        number = size = 0;
        list.replaceChildren();
      }
      draw();
    },
    answered(line, isBad = false) {
      add(el("li", {class: "answer", "data-bad": isBad}, el("time", {}, clockTime(Date.now())), el("span", {}, line)));
      draw();
    },
    arrived({event, id, data, bytes: length}) {
      const now = Date.now();
      number += 1;
      size += length;
      if (id && event !== "heartbeat") cursor = id;
      held = advance(held, event, data, key);
      add(arrival(event, id, data, length, now, last));
      last = now;
      draw();
    },
  };
}

function arrival(event, id, data, length, now, last) {
  const after = last === null ? "" : `+${interval((now - last) / 1000)}`;
  const short = JSON.stringify(data) ?? "", text = short.length < 60 ? short : JSON.stringify(data, null, 2);
  const head = el("summary", {}, el("strong", {}, event), el("span", {class: "note"}, bytes(length)),
    el("span", {class: "preview"}, short.slice(0, 200)), el("span", {class: "note", title: "since the event before"}, after),
    el("time", {}, clockTime(now)));
  const item = el("li", {class: "arrival"}, el("details", {open: event !== "heartbeat" && text.length < 500}, head,
    id ? el("p", {class: "position"}, "id ", el("code", {class: "cursor"}, id)) : null,
    el("pre", {class: "json"}, cutOff(text))));
  setAttribute(item, "data-event", event);
  return item;
}

function interval(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

function cutOff(text) {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}\n… ${plural(text.length - SHOWN, "character")} more` : text;
}
