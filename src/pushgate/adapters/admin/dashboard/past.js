// What has happened on each route in the last minutes: fetched once, then continued by what the overview brings.

import {ask} from "./access.js";

const KINDS = ["polls", "changes", "failures", "saved", "bytes", "delay", "subscribers"];

export class Past {
  #number = 0; #length = 120; #isFetching = false; #routes = new Map();
  every = 5;

  /** Take the overview's latest sample in; fetches what is missing before it. */
  take(overview) {
    const number = overview.sample;
    if (number === this.#number || this.#isFetching) return;
    if (number !== this.#number + 1) { this.#fetch(); return; }
    this.#number = number;
    for (const [name, {now}] of Object.entries(overview.routes)) if (now) this.#append(name, now);
  }

  #append(name, now) {
    const series = this.#routes.get(name) ?? {};
    this.#routes.set(name, series);
    for (const kind of KINDS) {
      const samples = series[kind] ??= [];
      samples.push(now[kind] ?? null);
      if (samples.length > this.#length) samples.shift();
    }
  }

  async #fetch() {
    this.#isFetching = true;
    try {
      const answer = await ask("-/live/history");
      if (!answer.ok) return;
      const past = await answer.json();
      this.#number = past.number;
      this.#length = past.length;
      this.every = past.every;
      this.#routes = new Map(Object.entries(past.routes));
    } catch { /* the next overview asks again */ } finally {
      this.#isFetching = false;
    }
  }

  /** Return the samples of a route, oldest first; null where there is nothing to tell. */
  of(route, kind) {
    return this.#routes.get(route)?.[kind] ?? [];
  }
}
