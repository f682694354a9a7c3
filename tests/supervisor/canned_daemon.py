"""A small real HTTP server that answers like a daemon, from real structs."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from diagnostics.cause import Cause
from diagnostics.evidence import ExitStatus
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis, Incident
from diagnostics.phase import Phase
from transports.http.gateway import ClusterView, GroupState, IncidentsView, RankView
from transports.http.request_view import CancelledView, RequestState, RequestsView, RequestView


def certificate(rank: int, diagnosis: Diagnosis, status: ExitStatus) -> DeathCertificate:
    return DeathCertificate(
        rank=rank,
        generation=3,
        node="mac-1",
        pid=4000 + rank,
        phase=Phase.RUNNING,
        diagnosis=diagnosis,
        exit_status=status,
        died_at_s=12.5,
    )


ABORTED = Diagnosis(
    cause=Cause.METAL_GPU_TIMEOUT,
    confidence=Confidence.CERTAIN,
    message="The GPU gave up on a command buffer.",
    advice="Shorten the prompt.",
    retryable=True,
    peer_loss=False,
    evidence=("loading 28 layers", "[METAL] Command buffer execution failed: timeout\x1b[2J", "libc++abi: terminating"),
    evidence_line=1,
    decisive=1,
)
LOST_ITS_PEER = Diagnosis(
    cause=Cause.RING_PEER_CLOSED,
    confidence=Confidence.LIKELY,
    message="Its neighbour closed the connection.",
    advice="See the other rank.",
    retryable=True,
    peer_loss=True,
)
INCIDENT = Incident(
    incident_id="inc-7f3a",
    occurred_at=1_790_000_000.0,
    node="mac-1",
    rank=1,
    generation=3,
    cause=Cause.METAL_GPU_TIMEOUT,
    phase=Phase.RUNNING,
    confidence=Confidence.CERTAIN,
    message="Rank 1 on mac-1 ran into the GPU's time limit while it was generating.",
    advice="Shorten the prompt.",
    retryable=True,
    evidence=ABORTED.evidence,
    certificates=(
        certificate(0, LOST_ITS_PEER, ExitStatus(code=1)),
        certificate(1, ABORTED, ExitStatus(signal=6)),
    ),
    task_ids=("req-one", "req-two"),
    model="tiny",
    next_step="the group was started again as generation 4",
    recovered_after_s=1.25,
)
EARLIER = msgspec.structs.replace(INCIDENT, incident_id="inc-1111", occurred_at=1_789_000_000.0, task_ids=("req-zero",))
CLUSTER = ClusterView(
    model="tiny",
    state=GroupState.RESTARTING,
    generation=4,
    world_size=2,
    parallel="tensor",
    backend="ring",
    ranks=(
        RankView(rank=0, pid=4100, node="mac-1", state=Phase.LOADING, generation=4, progress="3/4 layers"),
        RankView(rank=1, pid=None, node="mac-1", state=Phase.FAILED, generation=4),
    ),
    tasks_in_flight=0,
    restarts=1,
    reason="rank 1 died",
    restart_in_s=2.5,
    last_incident_id="inc-7f3a",
)
REQUESTS = (
    RequestView("req-one", "tiny", RequestState.DECODE, 12.34, 40),
    RequestView("req-two", "tiny", RequestState.PREFILL, 3.0, 0, done=512, total=3200),
    RequestView("req-\x1b[2J", "tiny", RequestState.QUEUED, 1.0, 0, position=3, waiting=17, metadata={"user": "ann"}),
)
CANCELLED = CancelledView("chatcmpl-9/", 7)
BODIES = {
    "/cluster": msgspec.json.encode(CLUSTER),
    "/incidents": msgspec.json.encode(IncidentsView((INCIDENT, EARLIER))),
    "/incidents/inc-7f3a": msgspec.json.encode(INCIDENT),
    "/v1/requests": msgspec.json.encode(RequestsView(REQUESTS)),
    "/v1/requests/chatcmpl-9%2F": msgspec.json.encode(CANCELLED),
}


@contextmanager
def serving(bodies: dict[str, bytes], *, api_key: str | None = None) -> Generator[str, None, None]:
    """Serve `bodies` by path on a free port of 127.0.0.1; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = api_key is None or self.headers.get("authorization") == f"Bearer {api_key}"
            body = bodies.get(self.path)
            self.send_response(401 if not allowed else 404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"{}")

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
