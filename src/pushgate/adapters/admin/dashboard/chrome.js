// What frames every view: the tabs, the sign of life, light or dark, and what the gateway is.

import {el, say, setAttribute} from "./nodes.js";
import {bytes, clockTime, count, duration} from "./words.js";

const THEME = "pushgate.theme";
const NEXT = {auto: "light", light: "dark", dark: "auto"};
const SAID = {auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark"};
const FELT = {connecting: "connecting", live: "live", lost: "lost, reconnecting", denied: "not signed in"};

export function chrome() {
  const pulse = document.getElementById("pulse"), foot = document.getElementById("foot");
  const facts = el("p"), more = el("p");
  foot.append(facts, more);
  theme(document.getElementById("theme"));
  state("connecting");

  function state(now) {
    setAttribute(pulse, "data-state", now);
    say(pulse, FELT[now]);
  }

  return {
    state,
    update({gateway}, now) {
      const {config, limits, clients} = gateway;
      say(facts, [`pushgate ${gateway.version}`, `up for ${duration((now - Date.parse(gateway.since)) / 1000)}`,
        config.file ?? "", `read at ${clockTime(config.taken_over_at)}`, `clients at port ${clients.port}`]
        .filter(Boolean).join(" · "));
      say(more, [of("connections", gateway.connections, limits.connections, count),
        of("topics", gateway.topics, limits.topics, count),
        of("in documents and histories", gateway.memory, limits.memory, bytes)].join(" · "));
    },
    chosen(view) {
      for (const tab of document.querySelectorAll("[data-view]")) {
        setAttribute(tab, "aria-current", tab.dataset.view === view ? "page" : null);
      }
    },
  };
}

function of(noun, number, limit, text) {
  return limit === undefined ? `${text(number)} ${noun}` : `${text(number)} of ${text(limit)} ${noun}`;
}

function theme(button) {
  let chosen = localStorage.getItem(THEME) ?? "auto";
  const wear = () => {
    setAttribute(document.documentElement, "data-theme", chosen === "auto" ? null : chosen);
    setAttribute(button, "data-theme", chosen);
    setAttribute(button, "aria-label", `${SAID[chosen]}; change it`);
    setAttribute(button, "title", SAID[chosen]);
    say(button, {auto: "◐ Auto", light: "○ Light", dark: "● Dark"}[chosen]);
  };
  button.addEventListener("click", () => {
    chosen = NEXT[chosen];
    localStorage.setItem(THEME, chosen);
    wear();
  });
  wear();
}
