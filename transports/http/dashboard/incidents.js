// Incidents: the verdict in words, who fell first, and what it was read from.

import { el, keep, say } from "/dashboard/dom.js";
import { dominoes } from "/dashboard/domino.js";
import { plain } from "/dashboard/output_text.js";
import { age, causeWords, clock, counted, exitWords } from "/dashboard/words.js";

const DAY_S = 86_400;
const FRESH_S = 10;
const MAX_SHOWN = 10;
const MAX_CERTIFICATES = 16;

export class IncidentsPanel {
  #none = el("p", { class: "quiet" }, "None. Nothing has failed.");
  #list = el("div", { class: "incidents" });

  constructor(holder) {
    holder.append(this.#none, this.#list);
  }

  draw(state) {
    const shown = [...state.incidents.values()].slice(0, MAX_SHOWN);
    this.#none.hidden = shown.length > 0;
    const generation = state.cluster?.state === "ready" ? state.cluster.generation : 0;
    keep(this.#list, shown, (incident) => incident.incident_id, story,
      (node, incident) => updateStory(node, incident, incident.generation < generation));
    const [newest] = this.#list.children;
    if (newest !== undefined && newest.dataset.opened === undefined) {
      newest.dataset.opened = "true";
      for (const other of this.#list.children) other.open = other === newest;
    }
  }
}

function story() {
  return el("details", { class: "incident" },
    el("summary", {}, el("span", { class: "sentence" }), el("span", { class: "when" })),
    el("div", { class: "body" }));
}

function updateStory(node, incident, isPast) {
  const shape = JSON.stringify([isPast, incident.certificates.length, incident.recovered_after_s, incident.message,
    incident.next_step, incident.task_ids.length,
    incident.certificates.map((one) => one.diagnosis.message)]);
  say(node.querySelector(".sentence"), incident.message);
  say(node.querySelector(".when"), whenWords(incident.occurred_at));
  if (node.dataset.shape === shape) return;
  node.dataset.shape = shape;
  const isFresh = Date.now() / 1000 - incident.occurred_at < FRESH_S;
  const plays = isFresh && incident.certificates.length > 1 && node.dataset.played === undefined;
  if (plays) node.dataset.played = "true";
  node.querySelector(".body").replaceChildren(...body(incident, isPast, plays));
}

function whenWords(at) {
  const seconds = Math.max(0, Date.now() / 1000 - at);
  const moment = seconds < DAY_S ? clock(at) : new Date(at * 1000).toLocaleDateString();
  return `${moment} · ${age(seconds)} ago`;
}

function body(incident, isPast, plays) {
  const recovered = incident.recovered_after_s;
  const then = recovered === null ? incident.next_step : `The group served again after ${recovered.toFixed(1)} s.`;
  const hit = incident.task_ids.length;
  return [
    el("p", { class: "chips" },
      el("span", { class: "pill", "data-tone": "bad" }, causeWords(incident.cause)),
      el("span", { class: "pill", "data-tone": "off" }, incident.confidence),
      el("span", { class: "pill", "data-tone": recovered !== null ? "ok" : isPast ? "off" : "warn" },
        recovered !== null ? "recovered" : isPast ? "past" : "not over"),
      el("span", { class: "id" }, incident.incident_id)),
    el("dl", { class: "facts" },
      ...fact("What to do", incident.advice),
      ...fact("What follows", then),
      ...fact("Requests", hit === 0 ? "None was open." : `${counted(hit, "request")} ended with this error.`)),
    incident.certificates.length > 0 ? dominoes(incident, plays) : null,
    ...evidence(incident),
    ...certificates(incident),
  ].filter((part) => part !== null);
}

function fact(name, text) {
  return text ? [el("dt", {}, name), el("dd", {}, text)] : [];
}

function evidence(incident) {
  const root = incident.certificates.find((one) => one.rank === incident.rank);
  const lines = root?.diagnosis.evidence ?? incident.evidence;
  if (lines.length === 0) {
    return [el("h3", {}, "Evidence"), el("p", { class: "quiet" }, "It wrote nothing that explains its end.")];
  }
  const decisive = root?.diagnosis.decisive ?? null;
  const rows = lines.map((line, index) => el("li", { class: index === decisive ? "guilty" : null },
    index === decisive ? el("span", { class: "hidden" }, "The line that told it: ") : null, plain(line)));
  return [el("h3", {}, `Evidence from rank ${root?.rank ?? "?"}`), el("ol", { class: "evidence" }, ...rows)];
}

function certificates(incident) {
  const rows = incident.certificates.slice(0, MAX_CERTIFICATES).map((one) => el("tr",
    { class: one.rank === incident.rank ? "guilty" : null },
    el("th", { scope: "row" }, String(one.rank)),
    el("td", {}, one.node),
    el("td", {}, causeWords(one.diagnosis.cause)),
    el("td", {}, exitWords(one.exit_status)),
    el("td", {}, causeWords(one.phase))));
  if (rows.length === 0) return [];
  const head = ["Rank", "Node", "Cause", "End", "While"].map((name) => el("th", { scope: "col" }, name));
  return [el("details", { class: "certificates" },
    el("summary", {}, `${counted(incident.certificates.length, "death certificate")}`),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Death certificates" },
      el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows))))];
}
