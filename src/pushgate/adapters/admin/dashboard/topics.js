// The topics of a route: how each is doing, when it is polled next, and why then.

import {el, kept, say, setAttribute, show} from "./nodes.js";
import {breakable, routeLink} from "./routes.js";
import {badge} from "./state.js";
import {count, duration, plural, reason, since} from "./words.js";

export function topicList(route) {
  const rows = el("ul", {class: "topics"}), more = el("p", {class: "note"});
  const nobody = el("p", {class: "empty small"},
    "No topic is live: nobody listens, so nothing is polled. A topic begins with its first client.");
  const heading = el("h2", {}, "Topics");
  const update = kept(rows, key => topic(route, key));
  return {
    node: el("section", {class: "panel"}, heading, nobody, rows, more),
    update(told, now) {
      show(nobody, !told.topics.length);
      say(heading, told.count ? `Topics (${count(told.count)})` : "Topics");
      const left = told.count - told.topics.length;
      show(more, left > 0);
      say(more, `and ${count(left)} more; pushgate topics, or GET /-/topics, has them all`);
      update(told.topics.map(one => [`${one.topic}\n${one.identity ?? ""}`, {one, now, shown: told.shown?.topic}]));
    },
  };
}

function topic(route, key) {
  const name = key.split("\n")[0];
  const sign = badge(), who = el("span", {class: "identity"}), facts = el("p", {class: "note"});
  const next = el("p", {class: "next"}), failed = el("p", {class: "trouble"}), cursor = el("code", {class: "cursor"});
  const link = el("a", {class: "name", href: `${routeLink(route)}&look=${encodeURIComponent(name)}`}, ...breakable(name));
  const position = el("p", {class: "position"}, "cursor ", cursor);
  const node = el("li", {class: "topic"}, el("div", {class: "line"}, link, sign.node), who, facts, next, failed, position);
  return {
    node,
    update({one, now, shown}) {
      sign.update(one.state);
      setAttribute(node, "aria-current", shown === name ? "true" : null);
      say(who, one.identity ? `for ${one.identity}` : "");
      show(who, Boolean(one.identity));
      say(facts, [plural(one.subscribers, "subscriber"), `${one.state} for ${since(one.since, now)}`,
        one.confirmed_at ? `confirmed ${since(one.confirmed_at, now)} ago` : "never confirmed",
        one.views ? plural(one.views, "view") : ""].filter(Boolean).join(" · "));
      say(next, nextPoll(one.next_poll, now));
      say(failed, one.last_failure ? `${plural(one.failures, "poll")} in a row failed: ${reason(one.last_failure)}` : "");
      show(failed, Boolean(one.last_failure));
      say(cursor, one.cursor ?? "");
      show(position, Boolean(one.cursor));
    },
  };
}

function nextPoll({at, why}, now) {
  if (!at) return why;
  const wait = (Date.parse(at) - now) / 1000;
  return `${wait > 0.5 ? `next poll in ${duration(wait)}` : "next poll now"}: ${why}`;
}
