// The console: follow a topic over any transport, see what arrives, and hold the document as a client does.

import {clientAddress, copyText, quoted} from "./beginning.js";
import {el, say, show} from "./nodes.js";
import {subscribe} from "./subscription.js";
import {wire} from "./wire.js";
import {TRANSPORTS} from "./words.js";

export function consoleView(asked) {
  let cut = null, overview = null, firstTopic = asked.get("topic");
  const form = wishForm(), seen = wire(), command = el("code");
  const begin = el("button", {class: "button", type: "submit"}, "Subscribe");
  const stop = el("button", {class: "button", type: "button", hidden: true, onclick: () => cut?.()}, "Cut");
  const resume = el("button", {class: "button", type: "button", hidden: true, onclick: () => start(seen.cursor)},
    "Resume from the cursor");
  const copy = el("button", {type: "button", class: "small", onclick: () => copyText(command.textContent, copy)}, "Copy");
  form.node.append(el("div", {class: "buttons"}, begin, stop, resume));
  form.node.addEventListener("submit", event => { event.preventDefault(); start(null); });
  const same = el("p", {class: "command"}, command, copy);
  const node = el("div", {class: "view console"}, el("h1", {}, "Console"),
    el("p", {class: "lead"}, "Follow a topic as any client does, through this page: what arrives, and the document that ",
      "a client holds after it."),
    form.node, el("p", {class: "note"}, "The same without this page:"), same, seen.node);
  form.onChange = draw;

  function start(cursor) {
    const wish = form.wish();
    if (!wish) return;
    cut?.();
    seen.begin({isNew: !cursor, key: form.key()});
    const own = subscribe({...wish, cursor}, {
      arrived: seen.arrived,
      answered: seen.answered,
      ended: () => { if (cut === own) { cut = null; buttons(); } },
    });
    cut = own;
    buttons();
  }

  function buttons() {
    show(stop, cut !== null);
    show(resume, cut === null && seen.cursor !== null);
    say(begin, seen.isEmpty ? "Subscribe" : "Start over");
  }

  function draw() {
    const wish = form.wish({quietly: true});
    show(same, Boolean(wish && overview));
    if (wish && overview) say(command, commandOf(clientAddress(overview, wish.topic), wish));
  }

  return {
    node,
    title: "Console",
    update(now) {
      overview = now;
      form.update(now);
      if (firstTopic) { form.choose(firstTopic); firstTopic = null; }
      draw();
    },
    look(other) {
      const topic = other.get("topic");
      if (topic) form.choose(topic);
    },
    close() {
      cut?.();
    },
  };
}

function wishForm() {
  const topic = el("input", {id: "topic", list: "topics", placeholder: "/departures", required: true, autocomplete: "off", spellcheck: "false"});
  const names = el("datalist", {id: "topics"}), problem = el("p", {class: "trouble", role: "status"});
  const transport = choice("transport", "Transport", Object.entries(TRANSPORTS), "sse");
  const emit = el("select", {id: "emit"}), fields = el("textarea", {id: "fields", rows: "3", placeholder: "Authorization: Bearer …", spellcheck: "false"});
  const node = el("form", {class: "wish"},
    el("div", {class: "field wide"}, el("label", {for: "topic"}, "Topic"), topic, names),
    transport.node,
    el("div", {class: "field"}, el("label", {for: "emit"}, "Emit"), emit),
    el("details", {class: "field wide"}, el("summary", {}, "Header fields, such as credentials of the client"), fields),
    problem);
  let latest = null, drawn = "";
  const part = {node, onChange: () => {}, update, choose, wish, key: () => routeOf(latest, topic.value.trim())?.key ?? "id"};
  node.addEventListener("input", () => { draw(); part.onChange(); });

  function update(overview) {
    latest = overview;
    const text = overview.order.join();
    if (text !== drawn) names.replaceChildren(...overview.order.map(name => el("option", {value: name})));
    drawn = text;
    draw();
  }

  function draw() {
    const route = routeOf(latest, topic.value.trim());
    const modes = ["", ...(route?.emit ?? ["patch", "merge", "items", "snapshot"])];
    if (emit.dataset.modes === modes.join()) return;
    emit.dataset.modes = modes.join();
    emit.replaceChildren(...modes.map(mode => el("option", {value: mode}, mode || "as the route says")));
  }

  function choose(name) {
    topic.value = name;
    draw();
    part.onChange();
    if (!name.includes("{")) return;
    topic.focus();
    topic.setSelectionRange(name.indexOf("{"), name.indexOf("}") + 1);
  }

  function wish({quietly = false} = {}) {
    const name = topic.value.trim();
    const bad = !name.startsWith("/") ? "A topic begins with a slash: /departures" : name.includes("{")
      ? "Put a value in the place of each {parameter}" : "";
    if (!quietly || !bad) say(problem, bad);
    return bad ? null : {topic: name, transport: transport.value(), emit: emit.value, headers: headersOf(fields.value)};
  }

  return part;
}

function choice(name, title, pairs, first) {
  const inputs = pairs.map(([value]) => el("input", {type: "radio", name, value, id: `${name}-${value}`, checked: value === first}));
  return {
    node: el("fieldset", {class: "choice"}, el("legend", {}, title),
      pairs.map(([value, text], at) => [inputs[at], el("label", {for: `${name}-${value}`}, text)])),
    value: () => inputs.find(one => one.checked).value,
  };
}

/** Return the route that a topic is of, as far as that can be told from here. */
function routeOf(overview, topic) {
  const path = topic.split("?")[0].split("/");
  const fits = name => {
    const own = name.split("/");
    return own.length === path.length && own.every((part, at) => part.includes("{") || part === path[at]);
  };
  const name = overview?.order.find(one => one === topic) ?? overview?.order.find(fits);
  return name && overview.routes[name];
}

function headersOf(text) {
  return text.split("\n").map(line => line.split(/:(.*)/s, 2).map(part => part.trim())).filter(([name, value]) => name && value);
}

function commandOf(url, {transport, emit, headers}) {
  const full = new URL(url);
  if (emit) full.searchParams.set("emit", emit);
  if (transport === "long_poll") full.searchParams.set("wait", "25");
  const fields = headers.map(([name]) => ` -H ${quoted(`${name}: …`)}`).join("");
  if (transport === "websocket") return `curl -N${fields} ${quoted(full.href.replace(/^http/, "ws"))}`;
  return `curl ${transport === "sse" ? "-N -H 'Accept: text/event-stream'" : "-i"}${fields} ${quoted(full.href)}`;
}

