// Puts the page together: one line to the daemon, one state, one drawing for each animation frame at the most.

import { Connection, credentials } from "/dashboard/connection.js";
import { say } from "/dashboard/dom.js";
import { FiguresPanel } from "/dashboard/figures.js";
import { IncidentsPanel } from "/dashboard/incidents.js";
import { OutputPanel } from "/dashboard/output.js";
import { RequestsPanel } from "/dashboard/requests.js";
import { RingPanel } from "/dashboard/ring.js";
import { addIncident, apply, emptyState, incidentsOf } from "/dashboard/state.js";
import { bannerOf } from "/dashboard/words.js";

const LINK_WORDS = { connecting: "connecting", live: "live", waiting: "disconnected", locked: "locked" };
const LINK_TONES = { connecting: "off", live: "ok", waiting: "bad", locked: "warn" };
const at = (id) => document.getElementById(id);

const state = emptyState();
const panels = [
  new RingPanel(at("ring"), at("ranks")),
  new FiguresPanel(at("tiles"), at("plots")),
  new IncidentsPanel(at("incidents")),
  new RequestsPanel(at("requests")),
  new OutputPanel(at("output")),
];

let isDue = false;

function draw() {
  isDue = false;
  drawBanner();
  for (const panel of panels) panel.draw(state);
}

function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(draw);
}

function drawBanner() {
  const [incident] = incidentsOf(state);
  const banner = bannerOf(state, incident);
  at("banner").dataset.tone = banner.tone;
  say(at("headline"), banner.headline);
  say(at("detail"), banner.detail);
  at("key-form").hidden = state.link.kind !== "locked";
  say(at("link"), LINK_WORDS[state.link.kind]);
  at("link").dataset.tone = LINK_TONES[state.link.kind];
  say(at("model"), state.cluster === null ? "" : `${state.cluster.model} · generation ${state.cluster.generation}`);
  document.title = state.link.kind === "live" && banner.tone === "ok" ? "Ringwarden" : `${banner.headline} · Ringwarden`;
  document.body.classList.toggle("stale", state.link.kind === "waiting");
  countDown(banner);
}

function countDown({ what, until }) {
  const left = until === null ? 0 : Math.ceil((until - Date.now()) / 1000);
  say(at("countdown"), left > 0 ? `${what} in ${left} s` : "");
}

/** Incidents from before this daemon's start are not among the events; nor is the end of one that was missed. */
async function readIncidents() {
  const response = await fetch("/incidents", { headers: credentials(), cache: "no-store" });
  if (!response.ok) return;
  for (const incident of (await response.json()).incidents) {
    const known = state.incidents.get(incident.incident_id);
    const isNews = known === undefined || (known.recovered_after_s === null && incident.recovered_after_s !== null);
    if (isNews) addIncident(state, incident);
  }
  redraw();
}

const connection = new Connection(
  (event) => {
    apply(state, event);
    if (event.name === "Snapshot") state.cluster.seenAt = Date.now();
    redraw();
  },
  (link) => {
    state.link = link;
    if (link.kind === "live") readIncidents().catch(() => {});
    redraw();
  },
);

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  connection.unlock(at("key").value);
  at("key").value = "";
});

setInterval(drawBanner, 500);
redraw();
connection.run();
