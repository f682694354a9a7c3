// The line to the daemon: streams events, notices silence, and comes back by itself with growing pauses.

import { EventParser } from "/dashboard/sse.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const SILENCE_MS = 15_000;
const KEY = "ringwarden-key";
const UNAUTHORIZED = 401;
const TOO_MANY = 429;

/** What a request needs to be let in. The key stays in this tab. */
export function credentials() {
  const key = sessionStorage.getItem(KEY);
  return key === null ? {} : { authorization: `Bearer ${inBytes(key)}` };
}

/** A header is made of bytes; letters beyond ASCII go as UTF-8, where `fetch` would throw. */
function inBytes(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

export class Connection {
  #tell;
  #onStatus;
  #lastId = "0";
  #pauseMs = FIRST_PAUSE_MS;
  #wake = () => {};

  /**
   * @param {(event: {name: string, data: object}) => void} tell takes each event
   * @param {(status: object) => void} onStatus takes its `kind`: `live`; `waiting` until `retryAt`, because there is no
   * answer or `isFull`; or `locked`, because there is no key or one that `isWrong`
   */
  constructor(tell, onStatus) {
    this.#tell = tell;
    this.#onStatus = onStatus;
  }

  /** Listen for ever. */
  async run() {
    for (;;) {
      const status = await this.#listen().catch(() => null);
      if (status === UNAUTHORIZED) {
        this.#onStatus({ kind: "locked", isWrong: sessionStorage.getItem(KEY) !== null });
        await new Promise((resolve) => { this.#wake = resolve; });
        continue;
      }
      const pauseMs = this.#pauseMs * (0.8 + 0.4 * Math.random());
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
      this.#onStatus({ kind: "waiting", retryAt: Date.now() + pauseMs, isFull: status === TOO_MANY });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  /** Try again with the key that a person entered. */
  unlock(key) {
    sessionStorage.setItem(KEY, key);
    this.#wake();
  }

  /** @returns {Promise<number>} the status of the answer, when it is over or was none that is wanted */
  async #listen() {
    const abort = new AbortController();
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await fetch(`/events?since=${this.#lastId}`, {
        headers: credentials(), cache: "no-store", signal: abort.signal,
      });
      if (!response.ok) return response.status;
      this.#onStatus({ kind: "live" });
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return response.status;
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
