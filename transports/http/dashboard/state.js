// What the page knows, and what each event changes about it. No document here.

const HISTORY_POINTS = 300;
const MAX_INCIDENTS = 30;
const MAX_LINES = 2_000;
const MAX_ENDED = 6;

export function emptyState() {
  return {
    link: { kind: "connecting" },
    asOf: 0,
    cluster: null,
    requests: [],
    openRequests: 0,
    history: { at: [], tokens: [], gap50: [], gap95: [], first50: [], first95: [] },
    incidents: new Map(),
    deaths: [],
    ended: [],
    lines: [],
    linesSeen: 0,
  };
}

/** Takes one event. Unknown ones are ignored: the daemon may be newer than a page that is open for long. */
export function apply(state, { name, data }) {
  const change = CHANGES[name];
  if (change !== undefined) change(state, data);
}

const CHANGES = {
  Snapshot(state, data) {
    state.asOf = data.at;
    state.cluster = data.cluster;
    state.requests = data.requests;
    state.openRequests = data.open_requests;
    remember(state.history, data);
  },

  StateChanged(state, data) {
    if (state.cluster === null || data.at < state.asOf) return;
    state.cluster = { ...state.cluster, state: data.state, reason: data.reason, generation: data.generation };
    if (data.state !== "restarting") state.cluster.restart_in_s = null;
  },

  PhaseChanged(state, data) {
    changeRank(state, data, { state: data.phase, progress: null });
  },

  RankDied(state, data) {
    changeRank(state, data, { state: "failed", pid: null, progress: null });
    state.deaths = [...state.deaths.slice(-63), data];
  },

  IncidentSeen(state, data) {
    addIncident(state, data.incident);
  },

  OutputLine(state, data) {
    addLine(state, { ...data, number: ++state.linesSeen });
  },

  OutputSkipped(state, data) {
    const text = `${data.skipped_bytes} bytes came too fast to be shown here; the raw log has them.`;
    addLine(state, { ...data, text, tasks: [], note: true, number: ++state.linesSeen });
  },

  RequestEnded(state, data) {
    state.ended = [data, ...state.ended].slice(0, MAX_ENDED);
    state.requests = state.requests.filter((request) => request.id !== data.task_id);
  },

  Missed(state, data) {
    const many = data.events === null ? "Ringwarden was started again" : `up to ${data.events} events were missed`;
    addLine(state, { at: Date.now() / 1000, rank: null, stream: "", text: `${many}.`, tasks: [], note: true,
      number: ++state.linesSeen });
  },
};

/** A later version of an incident replaces an earlier one. */
export function addIncident(state, incident) {
  state.incidents.set(incident.incident_id, incident);
  const newest = [...state.incidents.values()].sort((a, b) => b.occurred_at - a.occurred_at).slice(0, MAX_INCIDENTS);
  state.incidents = new Map(newest.map((one) => [one.incident_id, one]));
}

/** Newest first. */
export function incidentsOf(state) {
  return [...state.incidents.values()];
}

function changeRank(state, data, changes) {
  const cluster = state.cluster;
  // What is told again after a reconnection is older than the snapshot that came first.
  if (cluster === null || data.at < state.asOf || data.generation < cluster.generation) return;
  const ranks = cluster.ranks.map((rank) => (rank.rank === data.rank ? { ...rank, ...changes } : rank));
  state.cluster = { ...cluster, ranks };
}

function addLine(state, line) {
  state.lines.push(line);
  if (state.lines.length > MAX_LINES * 1.1) state.lines.splice(0, state.lines.length - MAX_LINES);
}

function remember(history, data) {
  const figures = data.cluster.figures;
  if (figures === null) return;
  const gap = figures.inter_token_latency_s;
  const first = figures.time_to_first_token_s;
  const point = {
    at: data.at,
    tokens: figures.tokens_per_s,
    gap50: gap && gap.p50 * 1000, gap95: gap && gap.p95 * 1000,
    first50: first && first.p50 * 1000, first95: first && first.p95 * 1000,
  };
  for (const [name, value] of Object.entries(point)) {
    history[name].push(value);
    if (history[name].length > HISTORY_POINTS) history[name].shift();
  }
}
