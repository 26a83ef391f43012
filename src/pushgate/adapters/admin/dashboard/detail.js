// One route from near: what it is, the last ten minutes, its topics, and one of them with its changes and its document.

import {pauseButton} from "./actions.js";
import {charts} from "./charts.js";
import {closeup} from "./closeup.js";
import {currentDocument} from "./published.js";
import {Feed} from "./feed.js";
import {el, say, setAttribute, show} from "./nodes.js";
import {breakable, routeLink, troubles} from "./routes.js";
import {badge, stateOf} from "./state.js";
import {topicList} from "./topics.js";
import {TRANSPORTS} from "./words.js";

export function detailView(asked, past) {
  const name = asked.get("route") ?? "";
  let looked = asked.get("look"), told = null, now = Date.now(), feed = null;
  const sign = badge(), about = el("p", {class: "lead"}), trouble = el("p", {class: "trouble"}), facts = el("dl", {class: "facts"});
  const pause = pauseButton("route", name);
  const drawn = charts(past, name), topics = topicList(name), near = closeup(), published = currentDocument();
  const missing = el("p", {class: "empty", hidden: true}, "There is no such route in the configuration that is in force.");
  const body = el("div", {class: "columns route"}, topics.node, near.node, published.node);
  const node = el("div", {class: "view detail"},
    el("p", {class: "crumb"}, el("a", {href: "#/"}, "All routes")),
    el("div", {class: "heading"}, el("h1", {class: "name"}, ...breakable(name)), sign.node, pause.node),
    trouble, about, facts, drawn.node, missing, body);
  follow();

  function follow() {
    feed?.close();
    const look = looked ? `&look=${encodeURIComponent(looked)}` : "";
    feed = new Feed(`-/live/route?route=${encodeURIComponent(name)}${look}`, {
      onDocument(document) {
        told = document;
        draw();
      },
    });
  }

  function draw() {
    if (!told) return;
    topics.update(told, now);
    near.update(told);
    published.update(told);
  }

  return {
    node,
    title: name,
    update(overview, time) {
      const route = overview.routes[name];
      now = time;
      show(missing, !route);
      for (const part of [body, drawn.node, facts, pause.node]) show(part, Boolean(route));
      if (!route) return;
      const state = stateOf(route);
      sign.update(state);
      pause.update(Boolean(route.is_paused));
      say(about, route.description ?? "");
      show(about, Boolean(route.description));
      const words = troubles(route, state, now);
      setAttribute(trouble, "data-state", state);
      say(trouble, /^(for|by) /.test(words) ? `${state} ${words}` : words);
      show(trouble, Boolean(words));
      list(facts, factsOf(route));
      drawn.update(route);
      draw();
    },
    look(other) {
      looked = other.get("look");
      follow();
    },
    again() {
      feed.again();
    },
    close() {
      feed.close();
    },
  };
}

function factsOf(route) {
  return [
    ["Polled", route.from ? null : `${route.pace} from ${route.upstream}`],
    ["Part of", route.from ? el("a", {href: routeLink(route.from)}, route.from) : null],
    ["Shows", route.part],
    ["Tells changes as", route.emit.join(", ")],
    ["Over", route.transports.map(one => TRANSPORTS[one]).join(", ")],
    ["Document", route.share === "public" ? "the same for everybody" : `one for each ${route.share === "identity" ? "client" : route.share.slice(3)}`],
    ["Who may", route.auth ? route.auth.join(", ") : "everybody"],
  ].filter(([, value]) => value);
}

function list(node, pairs) {
  const text = JSON.stringify(pairs.map(([term, value]) => [term, value.textContent ?? value]));
  if (node.dataset.drawn === text) return;
  node.dataset.drawn = text;
  node.replaceChildren(...pairs.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))));
}

