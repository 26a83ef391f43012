// What pushgate does, in one picture, with today's numbers: few polls go in, and what changed goes out to many.

import {el, say, setAttribute, show, svg} from "./nodes.js";
import {TRANSPORTS, bytes, count, plural} from "./words.js";

const FAN = [4, 15, 26, 37, 48]; // where lines end, in a drawing that is 52 high

export function picture() {
  const backends = station("Backends");
  const house = station("pushgate");
  const clients = station("Clients");
  const inlet = svg("svg", {class: "pipe", viewBox: "0 0 100 52", preserveAspectRatio: "none", "aria-hidden": "true"},
    svg("path", {d: "M0 26H100"}));
  const outlet = svg("svg", {class: "pipe", viewBox: "0 0 100 52", preserveAspectRatio: "none", "aria-hidden": "true"},
    FAN.map(y => svg("path", {d: `M0 26C55 26 45 ${y} 100 ${y}`})));
  const saved = el("p", {class: "gain"});
  const node = el("section", {class: "picture", "aria-label": "What pushgate does"},
    el("p", {class: "creed"}, "pushgate polls backends that nobody can change, works out what changed, ",
      "and pushes it to everyone who listens."),
    el("div", {class: "stations"}, backends.node, inlet, house.node, outlet, clients.node), saved);
  return {
    node,
    update(overview) {
      const sums = sum(overview);
      const {words, isBad} = upstreams(overview);
      backends.update(count(sums.polls), "polls a minute", words);
      setAttribute(backends.node, "data-bad", isBad);
      house.update(count(sums.changes), "changes a minute", plural(overview.gateway.topics, "topic"));
      clients.update(count(sums.subscribers), sums.subscribers === 1 ? "subscriber" : "subscribers", transports(sums.by));
      setAttribute(inlet, "data-flows", sums.polls > 0);
      setAttribute(outlet, "data-flows", sums.changes > 0 && sums.subscribers > 0);
      show(saved, sums.saved > 0);
      say(saved, `Had each client polled by itself, the backends would have had ${plural(sums.saved, "request")} more `
        + `to answer by now${sums.bytes ? `: ${bytes(sums.bytes)}` : ""}.`);
    },
  };
}

function station(title) {
  const number = el("strong"), unit = el("span", {class: "unit"}), note = el("span", {class: "note"});
  return {
    node: el("div", {class: "station"}, el("span", {class: "title"}, title),
      el("span", {class: "reading"}, number, unit), note),
    update(value, words, more) {
      say(number, value);
      say(unit, words);
      say(note, more);
    },
  };
}

function sum({routes}) {
  const sums = {polls: 0, changes: 0, subscribers: 0, saved: 0, bytes: 0, by: {}};
  for (const route of Object.values(routes)) {
    sums.polls += route.from ? 0 : route.polls;
    sums.changes += route.changes;
    sums.saved += route.totals.saved;
    sums.bytes += route.totals.bytes;
    for (const [transport, number] of Object.entries(route.subscribers)) {
      sums.by[transport] = (sums.by[transport] ?? 0) + number;
      sums.subscribers += number;
    }
  }
  return sums;
}

function upstreams({upstreams: all}) {
  const down = Object.values(all).filter(one => one.is_up === false).length;
  const number = Object.keys(all).length;
  return {words: down ? `${down} of ${number} down` : plural(number, "upstream"), isBad: down > 0};
}

function transports(by) {
  const told = Object.keys(TRANSPORTS).filter(name => by[name]).map(name => `${count(by[name])} ${TRANSPORTS[name]}`);
  return told.join(", ") || "nobody listens";
}
