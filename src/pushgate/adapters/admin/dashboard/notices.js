// What concerns the whole page: the feed is lost, a token is needed, clients are asked to leave, a reload was refused.

import {keepToken, token} from "./access.js";
import {el, say, show} from "./nodes.js";
import {clockTime} from "./words.js";

export function notices(again) {
  const place = document.getElementById("notices");
  const lost = notice("bad"), drain = notice("warn"), refused = notice("warn"), gate = signIn(again);
  const waiting = el("div", {class: "waiting", role: "status"}, el("span", {class: "spinner", "aria-hidden": "true"}),
    "Asking the gateway how it is doing…");
  place.append(lost.node, drain.node, refused.node, gate.node);
  return {
    waiting,
    update(state, overview, why) {
      if (state === "connecting") return;
      show(waiting, state !== "denied");
      gate.update(state === "denied" ? why : null);
      lost.update(state === "lost" ? lostWords(overview) : "");
      const gateway = overview?.gateway;
      drain.update(state === "live" && gateway?.is_draining ? "Draining: clients are asked to leave, and new streams are refused." : "");
      refused.update(gateway && !gateway.config.is_good
        ? `${gateway.config.file ?? "The configuration"} was read again and refused; the one of `
          + `${clockTime(gateway.config.taken_over_at)} is still in force. The log says what is wrong.` : "");
    },
  };
}

function lostWords(overview) {
  const at = overview ? ` This is how it was at ${clockTime(overview.gateway.at)}.` : "";
  return `The gateway does not answer.${at} Trying again…`;
}

function notice(kind) {
  const node = el("p", {class: `notice ${kind}`, hidden: true});
  return {
    node,
    update(text) {
      say(node, text);
      show(node, Boolean(text));
    },
  };
}

function signIn(again) {
  const why = el("p", {class: "why"});
  const field = el("input", {type: "password", id: "token", autocomplete: "current-password", size: 32});
  const form = el("form", {class: "signin", hidden: true},
    el("h1", {}, "This dashboard is for operators"),
    el("p", {}, "Open it on the gateway's own machine, through a port-forward, or show the token of the admin listener (",
      el("code", {}, "server.admin.token"), "). It is kept until this tab is closed."),
    el("label", {for: "token"}, "Token"),
    el("div", {class: "line"}, field, el("button", {class: "button"}, "Show me")), why);
  form.addEventListener("submit", event => {
    event.preventDefault();
    keepToken(field.value.trim());
    field.value = "";
    again();
  });
  return {
    node: form,
    update(denial) {
      const wasShown = !form.hidden;
      show(form, Boolean(denial));
      if (!denial) return;
      say(why, token() ? `That did not do: ${denial.message}. An empty one is forgotten.` : denial.status === 403 ? denial.message : "");
      if (!wasShown) field.focus();
    },
  };
}
