// The document of a topic as it is now, or why there is none to show.

import {el, say, show} from "./nodes.js";
import {bytes} from "./words.js";

export function currentDocument() {
  const text = el("pre", {class: "json", tabindex: "0", "aria-label": "The document"}), note = el("p", {class: "note"});
  const none = el("p", {class: "empty small"});
  const node = el("section", {class: "panel published", "aria-label": "The document"}, el("h2", {}, "Document"), none, text, note);
  return {
    node,
    update({shown, is_public: isPublic}) {
      show(node, Boolean(shown) && isPublic);
      if (!shown || !isPublic) return;
      const {document: published, is_absent: isAbsent} = shown;
      show(none, !published);
      say(none, isAbsent ? "The upstream says that there is none." : "There is no document yet.");
      show(text, Boolean(published));
      show(note, Boolean(published));
      if (!published) return;
      say(text, published.text + (published.is_cut ? "\n…" : ""));
      say(note, `${bytes(published.bytes)}${published.is_cut ? "; only its beginning is shown" : ""}`);
    },
  };
}
