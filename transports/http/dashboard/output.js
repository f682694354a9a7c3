// The tail of what the ranks write, by rank and by task; it can be held still.

import { el, keep, say } from "/dashboard/dom.js";
import { plain } from "/dashboard/output_text.js";
import { clock } from "/dashboard/words.js";

const MAX_SHOWN = 400;

export class OutputPanel {
  #ranks = el("div", { class: "choices", role: "group", "aria-label": "Rank" });
  #task = el("input", { id: "task", type: "search", placeholder: "any", spellcheck: "false", autocomplete: "off", list: "tasks" });
  #tasks = el("datalist", { id: "tasks" });
  #pause = el("button", { class: "small", "aria-pressed": "false", onclick: () => this.#toggle() }, "Pause");
  #log = el("div", { class: "log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Output of the ranks" });
  #quiet = el("p", { class: "quiet" });
  #rank = null;
  #frozen = null;
  #state = null;
  #drawn = "";

  constructor(holder) {
    this.#task.addEventListener("input", () => this.#redraw());
    holder.append(el("div", { class: "filters" }, this.#ranks,
      el("label", { for: "task" }, "Task ", this.#task), this.#tasks, this.#pause), this.#log, this.#quiet);
  }

  draw(state) {
    this.#state = state;
    const count = state.cluster?.ranks.length ?? 0;
    const ranks = [null, ...Array(Math.min(count, 64)).keys()];
    keep(this.#ranks, ranks.map((rank) => ({ rank })), ({ rank }) => rank ?? "all", ({ rank }) =>
      el("button", { class: "small", onclick: () => { this.#rank = rank; this.#redraw(); } }, rank === null ? "All" : String(rank)),
    (button, { rank }) => {
      button.setAttribute("aria-pressed", String(rank === this.#rank));
      button.setAttribute("aria-label", rank === null ? "All ranks" : `Rank ${rank}`);
    });
    const shape = `${state.linesSeen} ${this.#rank} ${this.#task.value} ${this.#frozen?.seen}`;
    if (shape === this.#drawn) return;
    this.#drawn = shape;
    this.#drawLines(state);
  }

  #drawLines(state) {
    const wanted = this.#task.value.trim();
    const lines = this.#frozen?.lines ?? state.lines;
    const fits = (line) => (this.#rank === null || line.rank === this.#rank || line.rank === null) &&
      (wanted === "" || line.tasks.some((task) => task.includes(wanted)));
    const shown = lines.filter(fits).slice(-MAX_SHOWN);
    const follows = this.#log.hidden || this.#log.scrollTop + this.#log.clientHeight >= this.#log.scrollHeight - 24;
    this.#log.hidden = shown.length === 0;
    keep(this.#log, shown, (line) => line.number, lineRow, () => {});
    if (follows && this.#frozen === null) this.#log.scrollTop = this.#log.scrollHeight;
    const held = this.#frozen === null ? 0 : state.linesSeen - this.#frozen.seen;
    say(this.#pause, this.#frozen === null ? "Pause" : held > 0 ? `Go on (${held} new)` : "Go on");
    say(this.#quiet, shown.length > 0 ? "" : state.lines.length === 0 ? "Nothing was written yet." : "No line fits these filters.");
    const known = [...new Set(state.lines.slice(-500).flatMap((line) => line.tasks))].slice(-20);
    keep(this.#tasks, known.map((task) => ({ task })), ({ task }) => task, ({ task }) => el("option", { value: task }), () => {});
  }

  #toggle() {
    const state = this.#state;
    if (state === null) return;
    // Lines of their own: the state forgets its oldest while somebody reads them here.
    this.#frozen = this.#frozen === null ? { lines: [...state.lines], seen: state.linesSeen } : null;
    this.#pause.setAttribute("aria-pressed", String(this.#frozen !== null));
    if (this.#frozen === null) this.#log.scrollTop = this.#log.scrollHeight;
    this.#redraw();
  }

  #redraw() {
    if (this.#state !== null) this.draw(this.#state);
  }
}

function lineRow(line) {
  if (line.note) return el("div", { class: "line note" }, el("time", {}, clock(line.at, { exact: true })), line.text);
  const [task] = line.tasks;
  const whose = task === undefined ? null : el("span", { class: "task", title: line.tasks.join(", ") },
    line.attribution === "shared" ? `one of ${line.tasks.length}` : task);
  return el("div", { class: "line", "data-stream": line.stream },
    el("time", {}, clock(line.at, { exact: true })),
    el("span", { class: "of", title: line.stream }, String(line.rank)), whose,
    el("span", { class: "text" }, plain(line.text)));
}
