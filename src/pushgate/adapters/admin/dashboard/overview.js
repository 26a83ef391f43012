// The first view: the picture, the routes with a way to find one, and the upstreams.

import {el, kept, say, setAttribute, show} from "./nodes.js";
import {picture} from "./picture.js";
import {routeList} from "./routes.js";
import {STATES, badge, stateOf} from "./state.js";
import {upstreamList} from "./upstreams.js";
import {begin} from "./beginning.js";

const SEARCH_FROM = 6; // with fewer routes, the eye is faster

export function overviewView(past) {
  let state = null, latest = null, now = 0;
  const drawing = picture(), list = routeList(past), backends = upstreamList(), invitation = begin();
  const search = el("input", {type: "search", placeholder: "Find a route", "aria-label": "Find a route", autocomplete: "off"});
  const chips = el("div", {class: "chips", role: "group", "aria-label": "Show only routes that are"});
  const update = kept(chips, name => chip(name, () => { state = state === name ? null : name; draw(); }));
  search.addEventListener("input", draw);
  const tools = el("div", {class: "tools"}, el("h2", {}, "Routes"), chips, search);
  const node = el("div", {class: "view overview"}, drawing.node, invitation.node, tools, list.node, backends.node);

  function draw() {
    if (!latest) return;
    const names = latest.order.filter(name => latest.routes[name]);
    const numbers = new Map();
    for (const name of names) {
      const one = stateOf(latest.routes[name]);
      numbers.set(one, (numbers.get(one) ?? 0) + 1);
    }
    if (!numbers.has(state)) state = null;
    update(STATES.filter(one => numbers.has(one)).map(one => [one, {number: numbers.get(one), isChosen: one === state}]));
    show(search, names.length >= SEARCH_FROM);
    const wanted = search.hidden ? "" : search.value.trim().toLowerCase();
    list.update(latest, names.filter(name => isShown(name, latest.routes[name], state, wanted)), now);
  }

  return {
    node,
    title: "Routes",
    update(overview, time) {
      latest = overview;
      now = time;
      drawing.update(overview);
      invitation.update(overview);
      backends.update(overview);
      draw();
    },
    close() {},
  };
}

function isShown(name, route, state, wanted) {
  if (state && stateOf(route) !== state) return false;
  return !wanted || [name, route.description ?? "", route.upstream].some(text => text.toLowerCase().includes(wanted));
}

function chip(name, onclick) {
  const sign = badge(name), number = el("span", {class: "number"});
  const node = el("button", {type: "button", class: "chip", onclick}, sign.node, number);
  return {
    node,
    update({number: many, isChosen}) {
      say(number, String(many));
      setAttribute(node, "aria-pressed", String(isChosen));
    },
  };
}
