// Open requests with a way to end them, and how the last ones ended.

import { credentials } from "/dashboard/connection.js";
import { el, keep, say } from "/dashboard/dom.js";
import { clock, counted, milliseconds } from "/dashboard/words.js";

const MAX_SHOWN = 8;

export class RequestsPanel {
  #open = el("ul", { class: "rows", "aria-label": "Open requests" });
  #more = el("p", { class: "quiet" });
  #ended = el("ul", { class: "rows ended", "aria-label": "Ended requests" });
  #totals = el("p", { class: "quiet totals" });
  #endedTitle = el("h3", {}, "Ended last");
  #failures = new Map();

  constructor(holder) {
    holder.append(this.#open, this.#more, this.#endedTitle, this.#ended, this.#totals);
  }

  draw(state) {
    const shown = state.requests.slice(0, MAX_SHOWN);
    keep(this.#open, shown, (request) => request.id, (request) => this.#row(request), (row, request) => this.#update(row, request));
    const rest = state.openRequests - shown.length;
    say(this.#more, shown.length === 0 ? "None is open." : rest > 0 ? `and ${rest} more` : "");
    say(this.#totals, totalsOf(state.cluster?.figures ?? null));
    this.#endedTitle.hidden = state.ended.length === 0;
    keep(this.#ended, state.ended, (one) => `${one.task_id} ${one.at}`, endedRow, () => {});
  }

  #row(request) {
    const button = el("button", { class: "small", "aria-label": `Cancel request ${request.id}`,
      onclick: () => this.#cancel(request.id, button) }, "Cancel");
    return el("li", {}, el("div", {}, el("span", { class: "id" }, request.id), el("span", { class: "what" })),
      el("span", { class: "bar" }, el("span", {})), button);
  }

  #update(row, request) {
    say(row.querySelector(".what"), `${whatOf(request)} · ${milliseconds(request.age_s)}${this.#failures.get(request.id) ?? ""}`);
    const known = request.state === "prefill" && request.total;
    row.querySelector(".bar").hidden = !known;
    if (known) row.querySelector(".bar > span").style.width = `${(100 * request.done) / request.total}%`;
  }

  async #cancel(id, button) {
    button.disabled = true;
    say(button, "Cancelling");
    const response = await fetch(`/v1/requests/${encodeURIComponent(id)}`, { method: "DELETE", headers: credentials() })
      .catch(() => null);
    if (response !== null && (response.ok || response.status === 404)) return;
    this.#failures.set(id, " · could not be cancelled");
    button.disabled = false;
    say(button, "Cancel");
  }
}

function totalsOf(figures) {
  if (figures === null) return "";
  const counts = ["finished", "failed", "cancelled", "rejected"].map((name) => [figures[name], name])
    .filter(([count, name]) => count > 0 || name === "finished");
  return `Since the start: ${counts.map(([count, name]) => `${count.toLocaleString()} ${name}`).join(", ")}.`;
}

function whatOf(request) {
  switch (request.state) {
    case "queued":
      return request.position ? `waiting, number ${request.position} of ${request.waiting ?? request.position}` : "waiting";
    case "prefill":
      return request.total ? `reading the prompt, ${request.done} of ${request.total}` : "reading the prompt";
    default:
      return counted(request.tokens, "token");
  }
}

const OUTCOMES = { finished: "ok", cancelled: "off", rejected: "warn", failed: "bad" };

function endedRow(one) {
  const took = milliseconds(Math.max(0, one.at - one.started_at));
  const tokens = one.completion_tokens === null ? "" : ` · ${counted(one.completion_tokens, "token")}`;
  return el("li", { "data-tone": OUTCOMES[one.outcome] ?? "off" },
    el("div", {}, el("span", { class: "id" }, one.task_id),
      el("span", { class: "what" }, `${clock(one.at)} · ${took}${tokens}`)),
    el("span", { class: "pill", "data-tone": OUTCOMES[one.outcome] ?? "off" }, one.outcome));
}
