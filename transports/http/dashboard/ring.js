// The ring as a ring: each rank in its place, what it does, where it runs; and the same as a list.

import { el, keep, say, svg } from "/dashboard/dom.js";
import { bytes, phaseTone, phaseWords } from "/dashboard/words.js";
import { arc, layoutOf } from "/dashboard/ring_layout.js";

const CENTRE = { ready: "serving", starting: "starting", restarting: "restarting", degraded: "no place",
  failed: "failed", stopping: "stopping", stopped: "stopped" };

const MANY = 8;

export class RingPanel {
  #drawing;
  #list;
  #drawn = "";
  #cluster = null;
  #guilty = null;

  constructor(drawing, list) {
    this.#drawing = drawing;
    this.#list = list;
    new ResizeObserver(() => { this.#drawn = ""; this.#draw(); }).observe(drawing);
  }

  draw(state) {
    this.#cluster = state.cluster;
    const [incident] = state.incidents.values();
    const isDown = state.cluster !== null && ["restarting", "failed"].includes(state.cluster.state);
    this.#guilty = isDown && incident !== undefined ? incident.rank : null;
    this.#draw();
  }

  #draw() {
    const cluster = this.#cluster;
    if (cluster === null) return;
    const rate = cluster.figures === null ? 0 : cluster.figures.tokens_per_s;
    const flows = cluster.state === "ready" && cluster.figures !== null && cluster.figures.running > 0 && rate > 0;
    const isNarrow = this.#drawing.clientWidth < 420;
    const shown = JSON.stringify([cluster.ranks, cluster.state, cluster.generation, flows, Math.round(rate), isNarrow,
      this.#guilty]);
    if (shown === this.#drawn) return;
    this.#drawn = shown;
    this.#drawing.replaceChildren(picture(cluster, { flows, rate, isNarrow, guilty: this.#guilty }));
    this.#list.dataset.many = String(cluster.ranks.length > MANY);
    keep(this.#list, cluster.ranks, (rank) => rank.rank, rankRow, (row, rank) => updateRow(row, rank, this.#guilty));
  }
}

function toneOf(rank, guilty) {
  const tone = phaseTone(rank.state);
  return tone === "bad" && guilty !== null && rank.rank !== guilty ? "hurt" : tone;
}

function picture(cluster, { flows, rate, isNarrow, guilty }) {
  const count = Math.max(1, cluster.ranks.length);
  const layout = layoutOf(count, isNarrow);
  const root = svg("svg", { viewBox: `0 0 ${layout.width} ${layout.height}`, role: "img",
    "aria-label": `A ring of ${count}, ${CENTRE[cluster.state] ?? cluster.state}; the list that follows says the same.` });
  root.append(svg("circle", { class: "track", cx: layout.cx, cy: layout.cy, r: layout.radius }));
  cluster.ranks.forEach((rank, index) => {
    const next = cluster.ranks[(index + 1) % count];
    if (count > 1) root.append(...link(layout, index, toneOf(rank, guilty), toneOf(next, guilty), flows));
  });
  root.append(...nodeArcs(cluster.ranks, layout));
  cluster.ranks.forEach((rank, index) => root.append(place(rank, layout, index, { flows, guilty })));
  root.append(...middle(cluster, layout, flows, rate));
  return root;
}

function link(layout, index, from, to, flows) {
  const tone = ["hurt", "bad", "busy", "off"].find((one) => one === from || one === to) ?? "ok";
  const path = arc(layout, layout.radius, layout.angle(index) + layout.gap, layout.angle(index + 1) - layout.gap);
  const parts = [svg("path", { class: "link", "data-tone": tone, d: path })];
  if (flows && tone === "ok") parts.push(svg("path", { class: "flow", d: path }));
  return parts;
}

/** An arc around the ranks of each node; none while everything runs on one. */
function nodeArcs(ranks, layout) {
  const spans = [];
  ranks.forEach((rank, index) => {
    const last = spans.at(-1);
    if (last !== undefined && last.node === rank.node) last.to = index;
    else spans.push({ node: rank.node, from: index, to: index });
  });
  if (spans.length < 2) return [];
  const reach = Math.min(layout.gap * 1.15, (0.8 * Math.PI) / ranks.length);
  return spans.map(({ from, to }, number) => svg("path", { class: "node-arc", "data-even": number % 2 === 0,
    d: arc(layout, layout.radius + layout.size + 12, layout.angle(from) - reach, layout.angle(to) + reach) }));
}

function place(rank, layout, index, { flows, guilty }) {
  const { x, y, cos, sin } = layout.point(index);
  const tone = toneOf(rank, guilty);
  const group = svg("g", { class: "rank", "data-tone": tone, transform: `translate(${x} ${y})` });
  if (flows && tone === "ok") group.append(svg("circle", { class: "pulse", r: layout.size }));
  group.append(svg("circle", { class: "disc", r: layout.size }));
  if (layout.size > 9) group.append(svg("text", { class: "number", dy: "0.36em", "font-size": layout.size * 0.8 }, String(rank.rank)));
  const progress = fractionOf(rank.progress);
  if (progress !== null) {
    const round = 2 * Math.PI * (layout.size + 5);
    group.append(svg("circle", { class: "progress", r: layout.size + 5, transform: "rotate(-90)",
      "stroke-dasharray": `${progress * round} ${round}` }));
  }
  if (layout.hasLabels) group.append(label(rank, layout, cos, sin));
  return group;
}

function label(rank, layout, cos, sin) {
  const far = layout.size + 28;
  const side = Math.abs(cos) < 0.3 ? "middle" : cos > 0 ? "start" : "end";
  const rise = side === "middle" ? (sin > 0 ? 4 : -16) : -4;
  const where = [rank.node, bytes(rank.footprint_bytes)].filter(Boolean).join(" · ");
  return svg("text", { class: "label", "text-anchor": side, x: cos * far, y: sin * far + rise },
    svg("tspan", { class: "phase" }, `${phaseWords(rank.state)} ${rank.progress ?? ""}`.trim()),
    svg("tspan", { class: "where", x: cos * far, dy: "1.35em" }, where));
}

function middle(cluster, layout, flows, rate) {
  const big = flows ? String(Math.round(rate)) : CENTRE[cluster.state] ?? cluster.state;
  return [
    svg("text", { class: "centre", x: layout.cx, y: layout.cy + 2, "data-long": String(!flows) }, big),
    svg("text", { class: "under", x: layout.cx, y: layout.cy + 24 },
      flows ? "tokens per second" : `generation ${cluster.generation}`),
  ];
}

function fractionOf(progress) {
  const [done, total] = (progress ?? "").split("/").map(Number);
  return total > 0 ? Math.min(1, done / total) : null;
}

function rankRow() {
  return el("li", {}, el("span", { class: "badge" }), el("span", { class: "phase" }), el("span", { class: "where" }),
    el("span", { class: "memory" }));
}

function updateRow(row, rank, guilty) {
  const [badge, phase, where, memory] = row.children;
  row.dataset.tone = toneOf(rank, guilty);
  say(badge, String(rank.rank));
  say(phase, `${phaseWords(rank.state)} ${rank.progress ?? ""}`.trim());
  say(where, rank.pid === null ? rank.node : `${rank.node}, pid ${rank.pid}`);
  say(memory, bytes(rank.footprint_bytes) ?? "");
}
