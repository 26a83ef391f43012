// The latest minutes of one route, a drawing for each thing that is counted.

import {el, say} from "./nodes.js";
import {total} from "./routes.js";
import {spark} from "./spark.js";
import {bytes, count, delay, duration} from "./words.js";

const PER_MINUTE = 12; // samples

const CHARTS = [
  ["subscribers", "Subscribers", route => count(total(route.subscribers)), count],
  ["polls", "Polls a minute", route => count(route.polls), value => count(value * PER_MINUTE)],
  ["changes", "Changes a minute", route => count(route.changes), value => count(value * PER_MINUTE)],
  ["delay", "Delivery, p95", route => (route.delay ? delay(route.delay.p95) : "–"), delay],
  ["saved", "Requests saved", route => count(route.totals.saved), value => `${count(value * PER_MINUTE)}/min`],
  ["bytes", "Bytes saved", route => bytes(route.totals.bytes), value => `${bytes(value * PER_MINUTE)}/min`],
];

export function charts(past, name) {
  const all = CHARTS.map(([kind, title, now, scale]) => chart(past, name, kind, title, now, scale));
  return {
    node: el("section", {class: "charts", "aria-label": "The latest minutes"}, all.map(one => one.node)),
    update(route) {
      for (const one of all) one.update(route);
    },
  };
}

function chart(past, name, kind, title, now, scale) {
  const value = el("strong"), top = el("span", {class: "top"}), span = el("span", {class: "span"}), line = spark();
  return {
    node: el("figure", {class: "chart"}, el("figcaption", {}, title), value, line.node,
      el("div", {class: "scale"}, span, top)),
    update(route) {
      const samples = past.of(name, kind), most = Math.max(...samples.map(one => one ?? 0), 0);
      say(value, now(route));
      say(top, most ? `at most ${scale(most)}` : "");
      say(span, samples.length ? `last ${duration(samples.length * past.every)}` : "the first sample comes soon");
      line.update(samples);
    },
  };
}
