// The backends: where they are, how they are, and what they can bear.

import {el, kept, say, setAttribute, show} from "./nodes.js";
import {pauseButton} from "./actions.js";
import {badge} from "./state.js";
import {count, plural} from "./words.js";

export function upstreamList() {
  const cards = el("ul", {class: "cards"});
  const update = kept(cards, card);
  return {
    node: el("section", {class: "upstreams", "aria-labelledby": "upstreams"},
      el("h2", {id: "upstreams"}, "Upstreams"), cards),
    update(overview) {
      update(Object.entries(overview.upstreams));
    },
  };
}

function card(name) {
  const sign = el("span", {class: "up"}), url = el("span", {class: "url"}), facts = el("p", {class: "facts"});
  const paused = badge("paused"), pause = pauseButton("upstream", name);
  const node = el("li", {class: "card"},
    el("div", {class: "line"}, el("h3", {}, name), sign, paused.node), url, facts, pause.node);
  return {
    node,
    update(upstream) {
      setAttribute(sign, "data-up", condition(upstream));
      say(sign, {up: "up", down: "down", unknown: "not asked yet"}[condition(upstream)]);
      show(sign, !upstream.is_paused);
      show(paused.node, Boolean(upstream.is_paused));
      say(url, upstream.url);
      say(facts, facts_of(upstream).join(" · "));
      pause.update(Boolean(upstream.is_paused));
    },
  };
}

function condition({is_up}) {
  return is_up === undefined ? "unknown" : is_up ? "up" : "down";
}

function facts_of({per_minute, requests, budget, breaker, quota, credentials}) {
  const facts = [`${count(per_minute)} requests/min`, `${plural(requests, "request")} so far`];
  if (budget) facts.push(`budget ${budget}`);
  if (breaker && breaker !== "closed") facts.push(`breaker ${breaker.replace("_", " ")}`);
  if (quota !== undefined) facts.push(`${plural(quota, "request")} left of its own limit`);
  if (credentials) facts.push(`${credentials.replace("_", " ")} credentials`);
  return facts;
}
