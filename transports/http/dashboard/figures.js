// The numbers of now as tiles, and those of the last minutes as curves.

import { el, say } from "/dashboard/dom.js";
import { clock, milliseconds } from "/dashboard/words.js";
import uPlot from "/dashboard/vendor/uPlot.esm.js";

const HEIGHT_PX = 160;
const HALF_TIME_PX = 26;
const LONGEST_SPAN_S = 300;
const SHORTEST_SPAN_S = 60;
const TILES = [
  ["tokens", "Tokens per second"],
  ["first", "To the first token"],
  ["gap", "Between tokens"],
  ["load", "Requests"],
];
const PLOTS = [
  { title: "Tokens per second", unit: "", series: [["tokens", "tokens/s", "--ok"]] },
  { title: "To the first token, ms", unit: " ms", series: [["first50", "median", "--busy"], ["first95", "95 %", "--warn"]] },
  { title: "Between tokens, ms", unit: " ms", series: [["gap50", "median", "--busy"], ["gap95", "95 %", "--warn"]] },
];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The newest is always at the right edge. */
function rangeOf(least, most) {
  if (least === null || most === null) return [0, SHORTEST_SPAN_S];
  return [most - Math.min(LONGEST_SPAN_S, Math.max(SHORTEST_SPAN_S, most - least)), most];
}

/** Whether there is no room for a time below its tick: it would reach over the right edge. */
function isCutOff(plot, at) {
  const { min, max } = plot.scales.x;
  return ((max - at) / (max - min)) * plot.width < HALF_TIME_PX;
}

export class FiguresPanel {
  #tiles = new Map();
  #plots;
  #drawnAt = 0;

  constructor(tiles, plots) {
    for (const [name, title] of TILES) {
      const value = el("dd", { class: "value" }, "–");
      const note = el("dd", { class: "note" }, "\u00a0");
      tiles.append(el("div", { class: "tile" }, el("dt", {}, title), value, note));
      this.#tiles.set(name, [value, note]);
    }
    this.#plots = PLOTS.map((plan) => new Plot(plots, plan));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const plot of this.#plots) plot.repaint();
    });
  }

  draw(state) {
    const figures = state.cluster?.figures ?? null;
    if (figures === null) return;
    this.#tile("tokens", figures.tokens_per_s.toFixed(figures.tokens_per_s < 10 ? 1 : 0),
      `${figures.tokens_total.toLocaleString()} in all`);
    this.#percentiles("first", figures.time_to_first_token_s);
    this.#percentiles("gap", figures.inter_token_latency_s);
    this.#tile("load", `${figures.running} running`, `${figures.queued} waiting`);
    const newest = state.history.at.at(-1) ?? 0;
    if (newest === this.#drawnAt) return;
    this.#drawnAt = newest;
    const falls = [...state.incidents.values()].map((incident) => incident.occurred_at);
    for (const plot of this.#plots) plot.draw(state.history, falls);
  }

  #percentiles(name, of) {
    if (of === null) this.#tile(name, "–", "no sample yet");
    else this.#tile(name, milliseconds(of.p50), `95 % < ${milliseconds(of.p95)}`);
  }

  #tile(name, value, note) {
    const [first, second] = this.#tiles.get(name);
    say(first, value);
    say(second, note);
  }
}

/** One chart. Incidents are red lines in it. */
class Plot {
  #plan;
  #falls = [];
  #plot;
  #holder;

  constructor(parent, plan) {
    this.#plan = plan;
    this.#holder = el("div", { class: "canvas", "aria-hidden": "true" });
    const legend = plan.series.length < 2 ? [] : plan.series.map(([, name, tone]) =>
      el("span", { class: "key-of", "data-tone": tone.slice(2) }, name));
    parent.append(el("figure", {}, el("figcaption", {}, plan.title, ...legend), this.#holder));
    this.#plot = new uPlot(this.#options(), [[], ...plan.series.map(() => [])], this.#holder);
    new ResizeObserver(() => this.#plot.setSize({ width: this.#width(), height: HEIGHT_PX })).observe(this.#holder);
  }

  draw(history, falls) {
    this.#falls = falls;
    this.#plot.setData([history.at, ...this.#plan.series.map(([name]) => history[name])]);
  }

  repaint() {
    this.#plot.redraw();
  }

  #width() {
    return Math.max(120, this.#holder.clientWidth);
  }

  #options() {
    const axis = {
      stroke: () => colour("--muted"), font: "11px system-ui, sans-serif",
      grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false },
    };
    return {
      width: this.#width(), height: HEIGHT_PX, legend: { show: false }, cursor: { show: false }, padding: [8, 8, 0, 0],
      scales: {
        x: { time: true, range: (_, least, most) => rangeOf(least, most) },
        y: { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.15)] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 24, space: 90, values: (plot, ticks) => ticks.map((at) => (isCutOff(plot, at) ? "" : clock(at))), incrs: [15, 30, 60, 120] },
        { ...axis, size: 44, space: 34, values: (_, ticks) => ticks.map((tick) => (tick >= 1000 ? `${tick / 1000}k` : String(tick))) },
      ],
      series: [{}, ...this.#plan.series.map(([, , tone], index) => ({
        stroke: () => colour(tone), width: 2, points: { show: false },
        fill: index === 0 ? () => `color-mix(in srgb, ${colour(tone)} 12%, transparent)` : undefined,
      }))],
      hooks: { draw: [(plot) => this.#markFalls(plot)] },
    };
  }

  #markFalls(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--bad");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const at of this.#falls) {
      const x = plot.valToPos(at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }
}
