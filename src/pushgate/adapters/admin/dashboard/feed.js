// Following one of the gateway's own topics by its own SSE: the document as of now, resumed by its cursor.

import {ask} from "./access.js";
import {blocks} from "./blocks.js";
import {advance} from "./documents.js";

const RETRY = 1000, MAX_RETRY = 15_000;
const SILENCE = 12_000; // two heartbeats and a little: a connection that says nothing for so long is dead
const REST_AFTER = 30_000;

/**
 * Follows a topic until it is closed. onDocument(document) is called with each version, and onState with one of
 * "connecting", "live", "lost" and "denied" (and why).
 */
export class Feed {
  #path; #onDocument; #onState; #cursor = null; #held; #retry = RETRY; #failures = 0; #abort = null; #timer = null; #watch = null;
  #rest = null;

  constructor(path, {onDocument, onState = () => {}}) {
    this.#path = path;
    this.#onDocument = onDocument;
    this.#onState = onState;
    document.addEventListener("visibilitychange", this.#looked);
    this.#run();
  }

  /** Rest while nobody sees the page: what nobody follows is not polled. */
  #looked = () => {
    clearTimeout(this.#rest);
    if (document.hidden) this.#rest = setTimeout(() => this.#stop(), REST_AFTER);
    else if (!this.#abort) this.#run();
  };

  #stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    this.#abort?.abort();
    this.#abort = null;
  }

  close() {
    document.removeEventListener("visibilitychange", this.#looked);
    clearTimeout(this.#rest);
    this.#stop();
    this.#onDocument = this.#onState = () => {};
  }

  /** Ask again now: somebody is back, or has another token. */
  again() {
    this.#stop();
    this.#run();
  }

  async #run() {
    const abort = this.#abort = new AbortController();
    try {
      const headers = {Accept: "text/event-stream", ...(this.#cursor ? {"Last-Event-ID": this.#cursor} : {})};
      this.#listen(abort);
      const answer = await ask(this.#path, {headers, signal: abort.signal});
      if (answer.status === 401 || answer.status === 403) {
        this.#onState("denied", {status: answer.status, message: (await answer.text()).trim()});
        clearTimeout(this.#watch);
        return;
      }
      if (answer.ok) for await (const block of blocks(answer.body)) this.#take(block, abort);
    } catch { /* nobody answers, or not any more */ }
    if (abort === this.#abort) this.#lose();
  }

  #listen(abort) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => abort.abort(), SILENCE);
  }

  #take({event, id, data, retry}, abort) {
    if (abort !== this.#abort) return;
    this.#listen(abort);
    if (retry) this.#retry = retry;
    if (id) this.#cursor = id;
    this.#failures = 0;
    this.#onState("live");
    const held = advance(this.#held, event, JSON.parse(data));
    if (held === this.#held) return;
    this.#held = held;
    this.#onDocument(held);
  }

  #lose() {
    clearTimeout(this.#watch);
    this.#failures += 1;
    if (this.#failures > 1) this.#onState("lost");
    const wait = Math.min(MAX_RETRY, this.#retry * 2 ** (this.#failures - 1));
    this.#timer = setTimeout(() => this.#run(), this.#failures === 1 ? 200 : wait);
  }
}
