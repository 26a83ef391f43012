// All routes at a glance: one row each, or a card where there is little room.

import {el, kept, say, setAttribute, show} from "./nodes.js";
import {spark} from "./spark.js";
import {badge, stateOf} from "./state.js";
import {TRANSPORTS, bytes, count, delay, reason, since} from "./words.js";

export const routeLink = name => `#/route?route=${encodeURIComponent(name)}`;

/** Make the list; update(overview, names, now) shows the routes of these names. */
export function routeList(past) {
  const rows = el("ul", {class: "rows"});
  const head = el("div", {class: "row head", "aria-hidden": "true"},
    ["State", "Route", "Topics", "Subscribers", "Polls/min", "Changes/min", "Delivery", "Requests saved"]
      .map(text => el("span", {}, text)));
  const nothing = el("p", {class: "empty small"}, "No route is like that.");
  const update = kept(rows, name => row(name, past));
  return {
    node: el("section", {class: "routes", "aria-label": "Routes"}, head, rows, nothing),
    update(overview, names, now) {
      show(nothing, !names.length);
      update(names.map(name => [name, {route: overview.routes[name], now}]));
    },
  };
}

function row(name, past) {
  const sign = badge();
  const link = el("a", {class: "name", href: routeLink(name)}, ...breakable(name));
  const about = el("span", {class: "about"}), trouble = el("span", {class: "trouble"});
  const topics = metric("Topics"), subscribers = metric("Subscribers", "subscribers"), polls = metric("Polls/min", "polls");
  const changes = metric("Changes/min", "changes"), pace = metric("Delivery", "delay"), saved = metric("Saved", "saved");
  const all = [topics, subscribers, polls, changes, pace, saved];
  const node = el("li", {class: "row"}, el("div", {class: "sign"}, sign.node),
    el("div", {class: "what"}, link, trouble, about), all.map(one => one.node));
  return {
    node,
    update({route, now}) {
      const state = stateOf(route);
      sign.update(state);
      setAttribute(node, "data-state", state);
      say(about, route.description ?? (route.from ? `part of ${route.from}` : `${route.pace} from ${route.upstream}`));
      const words = troubles(route, state, now);
      show(trouble, Boolean(words));
      say(trouble, words);
      topics.update(count(route.topics), others(route));
      subscribers.update(count(total(route.subscribers)), byTransport(route.subscribers));
      polls.update(route.from ? "–" : count(route.polls), route.failures ? `${count(route.failures)} failed` : "");
      changes.update(count(route.changes), "");
      pace.update(route.delay ? delay(route.delay.p50) : "–", route.delay ? `p95 ${delay(route.delay.p95)}` : "");
      saved.update(count(route.totals.saved), route.totals.bytes ? bytes(route.totals.bytes) : "");
      for (const one of all) one.draw(past, name);
    },
  };
}

/** Let a long path break behind its slashes. */
export function breakable(path) {
  return path.split(/(?<=[/=&?])/).flatMap(part => [part, el("wbr")]).slice(0, -1);
}

function metric(label, kind) {
  const value = el("span", {class: "value"}), note = el("span", {class: "note"}), line = kind ? spark() : null;
  return {
    node: el("div", {class: "metric"}, el("span", {class: "label"}, label), value, line?.node, note),
    update(text, more) {
      say(value, text);
      say(note, more);
    },
    draw(past, name) {
      line?.update(past.of(name, kind));
    },
  };
}

export function total(subscribers) {
  return Object.values(subscribers).reduce((sum, number) => sum + number, 0);
}

function byTransport(subscribers) {
  return Object.keys(TRANSPORTS).filter(name => subscribers[name])
    .map(name => `${count(subscribers[name])} ${TRANSPORTS[name]}`).join(", ");
}

function others({states}) {
  const told = Object.entries(states);
  return told.length > 1 ? told.map(([name, number]) => `${number} ${name}`).join(" · ") : "";
}

/** Say what is wrong with a route, or what it waits for; nothing if it is well. */
export function troubles(route, state, now) {
  const lasting = route.since ? since(route.since, now) : "";
  switch (state) {
    case "stale": return `for ${lasting}: ${reason(route.reason ?? "")}; the last good document is served`;
    case "cold": return route.reason ? `no document yet: ${reason(route.reason)}` : "";
    case "held": return `for ${lasting}: the last answer must be confirmed`;
    case "gone": return `for ${lasting}: the upstream says that it does not exist`;
    case "paused": return route.is_paused || route.by_operator ? "by an operator" : `for ${lasting}: outside its hours`;
    default: return "";
  }
}

