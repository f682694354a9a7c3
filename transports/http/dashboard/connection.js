// The line to the daemon: streams events, notices silence, and comes back by itself with growing pauses.

import { EventParser } from "/dashboard/sse.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const SILENCE_MS = 15_000;
const KEY = "ringwarden-key";

/** What a request needs to be let in. The key stays in this tab. */
export function credentials() {
  const key = sessionStorage.getItem(KEY);
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

export class Connection {
  #tell;
  #onStatus;
  #lastId = "0";
  #pauseMs = FIRST_PAUSE_MS;
  #wake = () => {};

  /**
   * @param {(event: {name: string, data: object}) => void} tell takes each event
   * @param {(status: {kind: string, retryAt?: number}) => void} onStatus `live`, `waiting` until `retryAt`, or `locked`
   */
  constructor(tell, onStatus) {
    this.#tell = tell;
    this.#onStatus = onStatus;
  }

  /** Listen for ever. */
  async run() {
    for (;;) {
      const wasLocked = await this.#listen().catch(() => false);
      if (wasLocked) {
        this.#onStatus({ kind: "locked" });
        await new Promise((resolve) => { this.#wake = resolve; });
        continue;
      }
      const pauseMs = this.#pauseMs * (0.8 + 0.4 * Math.random());
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
      this.#onStatus({ kind: "waiting", retryAt: Date.now() + pauseMs });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  /** Try again with the key that a person entered. */
  unlock(key) {
    sessionStorage.setItem(KEY, key);
    this.#wake();
  }

  /** @returns {Promise<boolean>} true when a key is asked for; else the line was lost */
  async #listen() {
    const abort = new AbortController();
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await fetch(`/events?since=${this.#lastId}`, {
        headers: credentials(), cache: "no-store", signal: abort.signal,
      });
      if (response.status === 401) return true;
      if (!response.ok) return false;
      this.#onStatus({ kind: "live" });
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return false;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
        this.#pauseMs = FIRST_PAUSE_MS;
        for (const event of parser.feed(value)) this.#pass(event);
      }
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
  }

  #pass(event) {
    if (event.id !== null) this.#lastId = event.id;
    this.#tell({ name: event.name, data: JSON.parse(event.data) });
  }
}
