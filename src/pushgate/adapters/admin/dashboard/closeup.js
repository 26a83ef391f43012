// One topic as it is seen from near: what is held back, why polls failed, and what changed.

import {refreshButton} from "./actions.js";
import {consoleLink} from "./beginning.js";
import {el, kept, say, setAttribute, show} from "./nodes.js";
import {breakable} from "./routes.js";
import {bytes, clockTime, plural, reason} from "./words.js";

export function closeup() {
  let topic = "";
  const name = el("h2", {class: "name"}), follow = el("a", {class: "button small"}, "Follow in the console");
  const refresh = refreshButton(() => topic), secret = el("p", {class: "empty small"});
  const held = heldSample(), failures = failureList(), changes = changeList();
  const tools = el("div", {class: "actions"}, refresh.node, follow);
  const node = el("section", {class: "panel near", "aria-label": "The topic from near"},
    el("div", {class: "heading"}, name, tools), secret, held.node, failures.node, changes.node);
  return {
    node,
    update(told) {
      const shown = told.shown;
      show(node, Boolean(shown));
      if (!shown) return;
      if (topic !== shown.topic) name.replaceChildren(...breakable(shown.topic));
      topic = shown.topic;
      setAttribute(follow, "href", consoleLink(topic));
      const account = told.topics.find(one => one.topic === topic);
      show(secret, !told.is_public);
      say(secret, "Documents, changes and samples of this route are not shown: they are not the same for everybody.");
      held.update(told.is_public ? shown.held : null, account?.held);
      failures.update(account?.last_failures ?? []);
      changes.update(shown.changes ?? [], told.is_public && Boolean(account?.cursor));
    },
  };
}

function heldSample() {
  const why = el("p", {class: "trouble", "data-state": "held"}), text = el("pre", {class: "json"});
  const node = el("div", {class: "held"}, el("h3", {}, "Held back"), why, text);
  return {
    node,
    update(held, account) {
      show(node, Boolean(account));
      if (!account) return;
      say(why, `The guard ${account.guard} wants this confirmed: ${account.detail}.`);
      show(text, Boolean(held?.text));
      say(text, held ? held.text + (held.is_cut ? "\n…" : "") : "");
    },
  };
}

function failureList() {
  const list = el("ul", {class: "failures"}), node = el("div", {}, el("h3", {}, "Last failures"), list);
  let drawn = "";
  return {
    node,
    update(failures) {
      show(node, failures.length > 0);
      const text = JSON.stringify(failures);
      if (text === drawn) return;
      drawn = text;
      list.replaceChildren(...failures.map(one => el("li", {}, el("time", {}, clockTime(one.at)), ` ${reason(one.reason)}`,
        one.detail ? el("span", {class: "note"}, ` ${one.detail}`) : null)));
    },
  };
}

function changeList() {
  const list = el("ol", {class: "changes"}), none = el("p", {class: "empty small"}, "It has not changed since the first poll.");
  const node = el("div", {}, el("h3", {}, "Last changes"), none, list);
  const update = kept(list, () => change());
  return {
    node,
    update(changes, isShown) {
      show(node, isShown);
      show(none, !changes.length);
      update(changes.map((one, place) => [one.number, {one, place}]));
    },
  };
}

const OPEN = 3; // of the changes, the newest are told in full at once

const SAYS = {
  end: () => "until: came true; there will be no more changes.",
  gone: () => "The upstream says that it does not exist.",
  first: one => `A document is there again, of ${bytes(one.bytes)}.`,
  big: one => `A large document changed; it has ${bytes(one.bytes)} now.`,
};

function change() {
  const time = el("time"), said = el("span"), lines = el("ul", {class: "diff"}), more = el("p", {class: "note"});
  const body = el("details", {}, el("summary", {}, time, said), lines, more);
  const node = el("li", {class: "change"}, body);
  let isDrawn = false, isMine = false;
  body.addEventListener("click", () => { isMine = true; });
  return {
    node,
    update({one, place}) {
      if (!isMine) setAttribute(body, "open", place < OPEN && one.told?.length);
      if (isDrawn) return; // a change does not change
      isDrawn = true;
      say(time, clockTime(one.at));
      say(said, SAYS[one.kind]?.(one) ?? plural(one.told.length + one.more, "difference"));
      lines.append(...(one.told ?? []).map(line));
      show(more, Boolean(one.more));
      say(more, `and ${plural(one.more ?? 0, "difference")} more`);
    },
  };
}

const MARKS = {added: "+", removed: "−", changed: "~", moved: "↕"};

function line({kind, where, was, now}) {
  return el("li", {"data-kind": kind},
    el("span", {class: "mark", title: kind, "aria-label": kind}, MARKS[kind]),
    el("span", {class: "where"}, where || "(the document)"),
    kind === "moved" ? el("span", {class: "note"}, " in another order") : null,
    was === undefined ? null : el("del", {}, was),
    was !== undefined && now !== undefined ? el("span", {class: "arrow", "aria-hidden": "true"}, "→") : null,
    now === undefined ? null : el("ins", {}, now));
}
