// What to do first: shown while nobody listens to anything, because then nothing is polled and nothing can be seen.

import {el, say, setAttribute, show} from "./nodes.js";

/** Return the URL of a topic for clients, as far as it can be known from here. */
export function clientAddress(overview, topic) {
  const {scheme, port, base_path: base} = overview.gateway.clients;
  return `${scheme}://${location.hostname}:${port}${base ?? ""}${topic}`;
}

export function consoleLink(topic) {
  return `#/console?topic=${encodeURIComponent(topic)}`;
}

export function begin() {
  const command = el("code"), link = el("a", {class: "button"}, "Follow it here");
  const copy = el("button", {type: "button", class: "small", onclick: () => copyText(command.textContent, copy)}, "Copy");
  const node = el("section", {class: "begin", "aria-label": "How to begin"},
    el("p", {}, el("strong", {}, "Nobody listens, so nothing is polled. "), "Follow a topic and watch this page:"),
    el("p", {class: "command"}, command, copy), el("p", {}, link));
  return {
    node,
    update(overview) {
      const name = overview.order.find(one => !one.includes("{") && !overview.routes[one].auth) ?? overview.order[0];
      const isQuiet = overview.gateway.topics === 0 && name !== undefined;
      show(node, isQuiet);
      if (!isQuiet) return;
      say(command, `curl -N -H 'Accept: text/event-stream' ${quoted(clientAddress(overview, name))}`);
      setAttribute(link, "href", consoleLink(name));
      say(link, `Follow ${name} in the console`);
    },
  };
}

/** Return a text as one word of a shell, whatever is in it: the names of topics are the clients' choice. */
export function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Put a text on the clipboard, and say so on the button. */
export async function copyText(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    say(button, "Copied");
  } catch {
    say(button, "Select it and copy");
  }
  setTimeout(() => say(button, before), 1500);
}
