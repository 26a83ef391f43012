// The page: which view is shown, what it is fed with, and what is said when it is fed no more.

import {Feed} from "./feed.js";
import {Past} from "./past.js";
import {chrome} from "./chrome.js";
import {consoleView} from "./console.js";
import {detailView} from "./detail.js";
import {notices} from "./notices.js";
import {overviewView} from "./overview.js";

const main = document.getElementById("main");
const past = new Past(), frame = chrome(), told = notices(() => { feed.again(); view?.again?.(); });
let view = null, overview = null, skew = 0, felt = "connecting", refusal = null;

const feed = new Feed("-/live/overview", {
  onDocument(document) {
    overview = document;
    skew = Date.parse(document.gateway.at) - Date.now();
    past.take(document);
    frame.update(document, time());
    draw();
  },
  onState(state, why) {
    felt = state;
    refusal = why;
    frame.state(state);
    told.update(felt, overview, refusal);
    main.dataset.feed = state;
  },
});

/** The gateway's time: this machine's clock may be wrong. */
function time() {
  return Date.now() + skew;
}

function draw() {
  if (!overview) return;
  if (!view) go();
  view.update(overview, time());
  told.update(felt, overview, refusal);
}

/** Show what the address says: #/, #/route?route=…, #/console?topic=… */
function go() {
  if (!overview) return;
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const asked = new URLSearchParams(query ?? "");
  const known = `${path}?${asked.get("route") ?? ""}`;
  if (view?.address === known) {
    view.look?.(asked);
    return;
  }
  view?.close();
  view = open(path, asked);
  view.address = known;
  main.replaceChildren(view.node);
  frame.chosen(path === "/console" ? "console" : "overview");
  document.title = `${view.title} · pushgate`;
  scrollTo(0, 0);
  view.update(overview, time());
}

function open(path, asked) {
  switch (path) {
    case "/console": return consoleView(asked);
    case "/route": return detailView(asked, past);
    default: return overviewView(past);
  }
}

addEventListener("hashchange", go);
setInterval(draw, 1000); // what is told as "for 5 s" goes on
main.replaceChildren(told.waiting);
