// A group's failure along time: who fell first, who noticed, who was let go. One tile for each rank; it can be replayed.

import { el, movesLittle, svg } from "/dashboard/dom.js";

const ROW = 52;
const TOP = 4;
const WIDE = { width: 640, left: 78, words: 220 };
const NARROW = { width: 330, left: 62, words: 168 };
const PLAY_MS = 2_400;
const MAX_ROWS = 12;

/**
 * @param {boolean} plays whether it falls before the eyes of who looks; else it lies there, and can be replayed
 * @returns {HTMLElement} the picture with its words
 */
export function dominoes(incident, plays) {
  const falls = fallsOf(incident);
  const isOverNodes = new Set(falls.map((fall) => fall.node)).size > 1;
  const figure = el("figure", { class: "dominoes" });
  const picture = drawing(falls, matchMedia("(max-width: 520px)").matches ? NARROW : WIDE, isOverNodes);
  const replay = el("button", { class: "small", onclick: () => play(falls) }, "Replay");
  figure.append(el("figcaption", {}, el("h3", {}, "Who fell first"), falls.length > 1 && !movesLittle() ? replay : null),
    picture, el("ol", { class: "hidden" }, ...falls.map((fall) => el("li", {}, `${fall.name} ${fall.when}: ${fall.words}`))));
  if (isOverNodes) {
    figure.append(el("p", { class: "quiet" }, "Each node has its own clock; times are from the first fall on the same node."));
  }
  if (plays && falls.length > 1 && !movesLittle()) play(falls);
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
  return falls.slice(0, MAX_ROWS).map((fall) => ({ ...fall, when: fall.after > 0 ? `+${span(fall.after)}` : fall.role === "cause" || first.size < 2 ? "fell first" : `first on ${fall.node}` }));
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

function drawing(falls, size, isOverNodes) {
  const height = TOP + falls.length * ROW + 6;
  const root = svg("svg", { viewBox: `0 0 ${size.width} ${height}`, "aria-hidden": "true" });
  const longest = Math.max(...falls.map((fall) => fall.after), 0.001);
  falls.forEach((fall, index) => {
    // Falls that are close together still stand apart: the order is what matters.
    const share = falls.length === 1 ? 0 : 0.5 * (fall.after / longest) + 0.5 * (index / (falls.length - 1));
    fall.x = size.left + 20 + share * (size.width - size.left - size.words - 20);
    root.append(row(fall, TOP + index * ROW + ROW / 2, size, isOverNodes));
  });
  return root;
}

function row(fall, y, size, isOverNodes) {
  const tile = svg("rect", { class: "tile", x: -6, y: -36, width: 12, height: 36, rx: 2.5 });
  const group = svg("g", { class: "fall fallen", "data-role": fall.role },
    svg("text", { class: "name", x: 0, y: y + 9 }, fall.name),
    svg("line", { class: "lane", x1: size.left, x2: size.width, y1: y + 18, y2: y + 18 }),
    svg("line", { class: "alive", x1: size.left, x2: fall.x, y1: y + 18, y2: y + 18 }),
    svg("g", { transform: `translate(${fall.x} ${y + 18})` }, tile),
    svg("text", { class: "when", x: fall.x + 46, y: y - 7 }, fall.when),
    svg("text", { class: "words", x: fall.x + 46, y: y + 8 }, short(fall, isOverNodes)));
  fall.group = group;
  return group;
}

function short(fall, isOverNodes) {
  const words = { cause: "the cause", noticed: "noticed", released: "let go", suspect: "suspect" }[fall.role];
  return isOverNodes && !fall.when.includes(fall.node) ? `${words} · ${fall.node}` : words;
}

function play(falls) {
  for (const fall of falls) fall.group.classList.remove("fallen");
  const least = Math.min(...falls.map((fall) => fall.x));
  const most = Math.max(...falls.map((fall) => fall.x));
  for (const fall of falls) {
    const after = most === least ? 0 : (fall.x - least) / (most - least);
    clearTimeout(fall.timer);
    fall.timer = setTimeout(() => fall.group.classList.add("fallen"), 500 + after * PLAY_MS);
  }
}
