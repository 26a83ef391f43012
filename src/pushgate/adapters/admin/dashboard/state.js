// The states of topics: a word, a shape and a colour each, so that none of the three is needed to tell them apart.

import {el, say, setAttribute, svg} from "./nodes.js";

// In the order in which they matter; "idle" is a route that nobody listens to.
export const STATES = ["stale", "held", "cold", "gone", "paused", "live", "ended", "idle"];

const SHAPES = {
  live: "M8 2a6 6 0 1 1 0 12a6 6 0 0 1 0-12z",
  stale: "M8 1.6l6.8 12.4H1.2z",
  held: "M8 1l7 7l-7 7l-7-7z",
  paused: "M3 2h3.6v12H3zM9.4 2H13v12H9.4z",
  cold: "M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 0 1 0-13zm0 2.4a4.1 4.1 0 1 0 0 8.2a4.1 4.1 0 0 0 0-8.2z",
  gone: "M3.4 1.6L8 6.2l4.6-4.6l1.8 1.8L9.8 8l4.6 4.6l-1.8 1.8L8 9.8l-4.6 4.6l-1.8-1.8L6.2 8L1.6 3.4z",
  ended: "M2 2h12v12H2z",
  idle: "M2 7h12v2H2z",
};

const MEANINGS = {
  live: "polls succeed",
  stale: "polls have been failing; the last good document is still served",
  held: "the last answer is hard to believe and awaits confirmation",
  paused: "outside its active hours, or paused by an operator",
  cold: "there is no document yet",
  gone: "the upstream says that it does not exist",
  ended: "until: came true, there will be no more changes",
  idle: "nobody listens, so nothing is polled",
};

/** Make a state's sign: its shape and its word. */
export function badge(state = "idle") {
  const shape = svg("path"), word = el("span");
  const node = el("span", {class: "badge"}, svg("svg", {viewBox: "0 0 16 16", "aria-hidden": "true"}, shape), word);
  const part = {
    node,
    update(now) {
      setAttribute(node, "data-state", now);
      setAttribute(node, "title", MEANINGS[now]);
      setAttribute(shape, "d", SHAPES[now]);
      say(word, now);
    },
  };
  part.update(state);
  return part;
}

/** Return the state of a route as it is shown. */
export function stateOf(route) {
  return route.is_paused ? "paused" : route.state ?? "idle";
}
