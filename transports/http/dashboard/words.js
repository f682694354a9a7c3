// Sentences and units. No document here.

const PHASES = {
  idle: "starting", connecting: "connecting", connected: "connected", loading: "loading", loaded: "loaded",
  warming_up: "warming up", ready: "ready", running: "computing", shutting_down: "leaving", shutdown: "gone",
  failed: "down",
};
const TONES = {
  idle: "busy", connecting: "busy", connected: "busy", loading: "busy", loaded: "busy", warming_up: "busy",
  ready: "ok", running: "ok", shutting_down: "off", shutdown: "off", failed: "bad",
};

export const phaseWords = (phase) => PHASES[phase] ?? phase;
export const phaseTone = (phase) => TONES[phase] ?? "off";

export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export function bytes(count) {
  if (count === null || count === undefined) return null;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const value = count / 1000 ** step;
  return `${value >= 100 || step === 0 ? Math.round(value) : value.toFixed(1)} ${units[step]}`;
}

export function milliseconds(seconds) {
  const ms = seconds * 1000;
  if (ms >= 10_000) return `${(ms / 1000).toFixed(0)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 0.1) return "< 0.1 ms";
  return `${ms >= 10 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

export function age(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return counted(Math.floor(seconds / 86_400), "day");
}

export function clock(at, { exact = false } = {}) {
  const moment = new Date(at * 1000);
  const text = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  return exact ? `${text}.${String(moment.getMilliseconds()).padStart(3, "0")}` : text;
}

/** Like the cause's name, for people: `killed_no_stderr` is "killed, no stderr". */
export function causeWords(cause) {
  return cause.replaceAll("_", " ");
}

export function exitWords(status) {
  if (status === null) return "not seen to end";
  if (status.signal !== null) return `signal ${status.signal}`;
  return `exit code ${status.code}`;
}

/** @returns {{tone: string, headline: string, detail: string, what: string, until: number | null}} `what` is at `until` */
export function bannerOf(state, incident) {
  const link = state.link;
  if (link.kind === "locked") {
    const detail = link.isWrong ? "The key that was entered is not the right one." : "It stays in this tab.";
    return banner("warn", "This service asks for its API key.", detail);
  }
  if (link.kind === "waiting" && link.isFull) {
    return banner("warn", "Too many pages and programs listen already.", "Close one of them. Trying again by itself.",
      "next try", link.retryAt);
  }
  if (link.kind === "waiting") {
    return banner("off", "Ringwarden does not answer.", "What is shown below is from before. Trying again by itself.",
      "next try", link.retryAt);
  }
  const cluster = state.cluster;
  if (cluster === null) return banner("off", "Connecting to Ringwarden.", "");
  const ranks = counted(cluster.world_size, "rank");
  switch (cluster.state) {
    case "ready":
      return banner("ok", `Serving ${cluster.model} on ${ranks}.`, servingDetail(cluster, incident));
    case "starting":
      return banner("busy", `Starting ${cluster.model} on ${ranks}.`, startingDetail(cluster));
    case "restarting":
      return restartingBanner(cluster, incident);
    case "degraded":
      return banner("warn", "Not serving: the model has no place on the nodes that are there.", cluster.reason ?? "");
    case "failed":
      return banner("bad", `Not serving. ${incident ? gist(incident.message) : ""}`.trim(),
        incident?.next_step ?? cluster.reason ?? "An operator has to act.");
    case "stopping":
      return banner("off", "Stopping.", "Requests in flight are being ended.");
    default:
      return banner("off", "Stopped.", "");
  }
}

function restartingBanner(cluster, incident) {
  const wait = cluster.restart_in_s;
  const why = incident === undefined ? "" : gist(incident.message);
  const detail = cluster.ranks.some((rank) => phaseTone(rank.state) === "busy") ? startingDetail(cluster) : "";
  const until = wait ? cluster.seenAt + wait * 1000 : null;
  return banner("warn", `Restarting. ${why}`.trim(), detail || (incident?.next_step ?? ""), "next start", until);
}

/** What a verdict says before it goes into details; the whole of it is with the incident. */
function gist(sentence) {
  const [head] = sentence.split("; ");
  return head.endsWith(".") ? head : `${head}.`;
}

function servingDetail(cluster, incident) {
  const figures = cluster.figures;
  const parts = [];
  if (figures !== null && (figures.running > 0 || figures.queued > 0)) {
    parts.push(`${counted(figures.running, "request")} running, ${figures.queued} waiting.`);
  }
  const recovered = incident?.recovered_after_s;
  if (recovered && incident.generation === cluster.generation - 1) {
    parts.push(`Back after ${recovered.toFixed(1)} s; the last incident is below.`);
  }
  return parts.join(" ") || "Idle.";
}

function startingDetail(cluster) {
  const words = cluster.ranks.map((rank) => `rank ${rank.rank} ${phaseWords(rank.state)} ${rank.progress ?? ""}`.trim());
  if (cluster.ranks.length <= 4) return `${words.join(", ")}.`;
  const ready = cluster.ranks.filter((rank) => phaseTone(rank.state) === "ok").length;
  return `${ready} of ${cluster.ranks.length} ranks are ready.`;
}

function banner(tone, headline, detail, what = "", until = null) {
  return { tone, headline, detail, what, until };
}
