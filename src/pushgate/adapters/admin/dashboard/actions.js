// What an operator can have done from the page: pause, resume, poll now. Each says what came of it where it was asked.

import {order} from "./access.js";
import {el, say, setAttribute, show} from "./nodes.js";

const SURE_FOR = 6000; // how long a question stands before it is taken back

const STOPS = {
  route: "No topic of the route is polled then; clients keep what they have.",
  upstream: "No request of any kind reaches this backend then: no poll, no write, no login.",
};

/** Make a button that pauses or resumes a route or an upstream; pausing an upstream has to be confirmed. */
export function pauseButton(kind, name) {
  let isPaused = false;
  const said = el("span", {class: "said", role: "status"});
  const button = el("button", {type: "button", class: "small", title: STOPS[kind]}, "Pause");
  const sure = confirmation(`Pause ${name}?`, () => run("pause"));
  button.addEventListener("click", () => (kind === "upstream" && !isPaused ? sure.ask() : run(isPaused ? "resume" : "pause")));
  const run = verb => act(button, said, () => order(`-/${verb}?${kind}=${encodeURIComponent(name)}`));
  return {
    node: el("span", {class: "action"}, button, sure.node, said),
    update(paused) {
      isPaused = paused;
      say(button, isPaused ? `Resume ${kind === "upstream" ? "upstream" : "route"}` : `Pause ${kind}`);
    },
  };
}

/** Make a button that has a topic polled now. */
export function refreshButton(topic) {
  const said = el("span", {class: "said", role: "status"});
  const button = el("button", {type: "button", class: "small"}, "Poll now");
  button.addEventListener("click", () =>
    act(button, said, () => order(`-/refresh?topic=${encodeURIComponent(topic())}`), "polled"));
  return {node: el("span", {class: "action"}, button, said)};
}

async function act(button, said, run, done = "") {
  setAttribute(button, "disabled", true);
  try {
    await run();
    setAttribute(said, "data-bad", null);
    say(said, done);
  } catch (error) {
    setAttribute(said, "data-bad", true);
    say(said, error.message);
  } finally {
    setAttribute(button, "disabled", null);
    if (done) setTimeout(() => say(said, ""), SURE_FOR);
  }
}

function confirmation(question, run) {
  let timer = null;
  const end = () => { clearTimeout(timer); show(node, false); };
  const yes = el("button", {type: "button", class: "small danger", onclick: () => { end(); run(); }}, "Yes, pause");
  const no = el("button", {type: "button", class: "small", onclick: end}, "No");
  const node = el("span", {class: "sure", role: "alertdialog", "aria-label": question, hidden: true}, question, yes, no);
  return {
    node,
    ask() {
      show(node, true);
      yes.focus();
      clearTimeout(timer);
      timer = setTimeout(end, SURE_FOR);
    },
  };
}
