// A group's failure along time: who fell first, who noticed, who was let go. One tile for each rank; it can be replayed.

import { el, movesLittle, svg } from "/dashboard/dom.js";

const WIDTH = 640;
const LEFT = 92;
const RIGHT = 54;
const ROW = 44;
const TOP = 12;
const PLAY_MS = 2_400;
const MAX_ROWS = 12;

/** @returns {HTMLElement} the picture with its words */
export function dominoes(incident) {
  const falls = fallsOf(incident);
  const figure = el("figure", { class: "dominoes" });
  const picture = drawing(falls);
  const replay = el("button", { class: "small", onclick: () => play(picture, falls) }, "Replay");
  figure.append(el("figcaption", {}, el("h3", {}, "Who fell first"), falls.length > 1 && !movesLittle() ? replay : null),
    picture, el("ol", { class: "hidden" }, ...falls.map((fall) => el("li", {}, `${fall.name} ${fall.when}: ${fall.words}`))));
  if (new Set(falls.map((fall) => fall.node)).size > 1) {
    figure.append(el("p", { class: "quiet" }, "Each node has its own clock; times are from the first fall on the same node."));
  }
  return figure;
}

/** In the order in which they fell, as far as clocks can tell: the cause first on its node. */
function fallsOf(incident) {
  const first = new Map();
  for (const one of incident.certificates) first.set(one.node, Math.min(first.get(one.node) ?? Infinity, one.died_at_s));
  const falls = incident.certificates.map((one) => ({
    rank: one.rank, node: one.node, name: `Rank ${one.rank}`, after: Math.max(0, one.died_at_s - first.get(one.node)),
    ...roleOf(one, incident),
  }));
  falls.sort((a, b) => (b.role === "cause") - (a.role === "cause") || a.after - b.after || a.rank - b.rank);
  return falls.slice(0, MAX_ROWS).map((fall) => ({ ...fall, when: fall.after === 0 ? "fell first" : `+${span(fall.after)}` }));
}

function roleOf(one, incident) {
  if (one.rank === incident.rank) return { role: "cause", words: one.diagnosis.message };
  if (one.diagnosis.cause === "killed_by_supervisor") return { role: "released", words: "was let go by Ringwarden" };
  if (one.diagnosis.peer_loss) return { role: "noticed", words: "noticed that its neighbour was gone" };
  return { role: incident.rank === null ? "suspect" : "noticed", words: one.diagnosis.message };
}

function span(seconds) {
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
}

function drawing(falls) {
  const height = TOP + falls.length * ROW + 6;
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, "aria-hidden": "true" });
  const longest = Math.max(...falls.map((fall) => fall.after), 0.001);
  falls.forEach((fall, index) => {
    // Falls that are close together still stand apart: the order is what matters.
    const share = falls.length === 1 ? 0 : 0.5 * (fall.after / longest) + 0.5 * (index / (falls.length - 1));
    fall.x = LEFT + 26 + share * (WIDTH - LEFT - RIGHT - 200);
    root.append(row(fall, TOP + index * ROW + ROW / 2));
  });
  return root;
}

function row(fall, y) {
  const tile = svg("rect", { class: "tile", x: -5, y: -30, width: 10, height: 30, rx: 2 });
  const group = svg("g", { class: "fall fallen", "data-role": fall.role },
    svg("text", { class: "name", x: 0, y: y + 4 }, fall.name),
    svg("line", { class: "lane", x1: LEFT, x2: WIDTH, y1: y + 14, y2: y + 14 }),
    svg("line", { class: "alive", x1: LEFT, x2: fall.x, y1: y + 14, y2: y + 14 }),
    svg("g", { transform: `translate(${fall.x} ${y + 14})` }, tile),
    svg("text", { class: "when", x: fall.x + 38, y: y - 2 }, fall.when),
    svg("text", { class: "words", x: fall.x + 38, y: y + 11 }, short(fall)));
  fall.group = group;
  return group;
}

function short(fall) {
  const words = { cause: "the cause", noticed: "noticed", released: "let go by Ringwarden", suspect: "suspect" }[fall.role];
  return fall.node ? `${words} · ${fall.node}` : words;
}

function play(picture, falls) {
  for (const fall of falls) fall.group.classList.remove("fallen");
  const least = Math.min(...falls.map((fall) => fall.x));
  const most = Math.max(...falls.map((fall) => fall.x));
  for (const fall of falls) {
    const after = most === least ? 0 : (fall.x - least) / (most - least);
    clearTimeout(fall.timer);
    fall.timer = setTimeout(() => fall.group.classList.add("fallen"), 500 + after * PLAY_MS);
  }
}
