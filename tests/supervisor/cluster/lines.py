"""Nodes that answer at once, for tests of a head's own decisions. Real ones: `cluster_harness.py`."""

from collections.abc import Callable, Mapping

from diagnostics.cause import Cause
from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis
from diagnostics.phase import Phase
from supervisor.attribution import Attributed
from transports.cluster.handshake import PROTOCOL_VERSION, Hello, RunningRank
from transports.cluster.messages import RankOrder
from transports.cluster.node_facts import NodeFacts
from transports.cluster.requests import (
    EdgeProbed,
    ModelPrepared,
    NodeAnswer,
    NodeRequest,
    ObserveRanks,
    OpenProbe,
    PortsReserved,
    PrepareModel,
    ProbeEdge,
    ProbeOpened,
    RankObserved,
    RanksObserved,
    ReservePorts,
    VerifiedGone,
    VerifyGone,
)
from transports.messages import ModelFacts, RunnerEvent
from transports.output_events import OutputStream

TINY = ModelPrepared("tiny", "digest", 1_000_000, layers=4, attention_heads=4, key_value_heads=4)
GIBIBYTE = 1024**3


def facts(number: int = 1, memory_gib: int = 16) -> NodeFacts:
    """A node on 127.0.0.`number`."""
    return NodeFacts(
        hostname=f"host-{number}",
        system=OperatingSystem.LINUX,
        system_version="6.1",
        chip="chip",
        machine="x86_64",
        cores=8,
        memory_bytes=memory_gib * GIBIBYTE,
        available_memory_bytes=memory_gib * GIBIBYTE,
        ringwarden_version="0.1.0",
        python_version="3.11.7",
        mlx_version="0.32.4",
        mlx_lm_version="0.32.2",
        addresses=(f"127.0.0.{number}",),
    )


def hello(number: int = 1, running: tuple[RunningRank, ...] = (), deaths: tuple[DeathCertificate, ...] = ()) -> Hello:
    """How such a node introduces itself."""
    return Hello(PROTOCOL_VERSION, facts(number), running, deaths)


def running(rank: int, *, generation: int = 5, world_size: int = 2, plan: str = "plan") -> RunningRank:
    """A rank that serves."""
    told = ModelFacts(context_tokens=2048, vocabulary_size=768, layers=4)
    return RunningRank(generation, rank, world_size, 100 + rank, Phase.READY, 7, plan, "tensor", "ring", told)


def certificate(rank: int, *, generation: int = 1, node: str = "a", cause: Cause = Cause.SEGFAULT) -> DeathCertificate:
    """A rank that died on its own."""
    diagnosis = Diagnosis(cause, Confidence.CERTAIN, "crashed", "advice", True, False)
    return DeathCertificate(
        rank, generation, node, 100 + rank, Phase.RUNNING, diagnosis, ExitStatus(signal=11), died_at_s=1.0
    )


class FakeLine:
    """A node that does what it is asked, and remembers."""

    def __init__(self, node: str, answers: Mapping[type, NodeAnswer] | None = None) -> None:
        self.node = node
        self.orders: list[RankOrder] = []
        self.requests: list[NodeRequest] = []
        self.forgotten = 0
        self.meanwhile: dict[type, Callable[[], None]] = {}
        self._answers = answers or {}
        self._port = 41_000

    def order(self, order: RankOrder) -> None:
        """Remember."""
        self.orders.append(order)

    def forget(self) -> None:
        """Remember."""
        self.forgotten += 1

    async def observe(self, generation: int, observe_s: float) -> tuple[RankObserved, ...]:
        """What its answer to `ObserveRanks` says."""
        answer = await self.request(ObserveRanks(generation, observe_s), 1.0)
        return answer.ranks if isinstance(answer, RanksObserved) else ()

    async def request(self, request: NodeRequest, deadline_s: float) -> NodeAnswer:
        """The answer that the test wants, else that of a healthy node; `meanwhile` happens before it, once."""
        del deadline_s
        self.requests.append(request)
        self.meanwhile.pop(type(request), lambda: None)()
        return self._answers.get(type(request)) or self._healthy(request)

    def _healthy(self, request: NodeRequest) -> NodeAnswer:
        match request:
            case PrepareModel():
                return TINY
            case ReservePorts(count=count):
                self._port += count
                return PortsReserved(tuple(range(self._port - count, self._port)))
            case OpenProbe():
                return ProbeOpened(40_000)
            case ProbeEdge():
                return EdgeProbed()
            case VerifyGone():
                return VerifiedGone((), 16 * GIBIBYTE)
            case ObserveRanks():
                return RanksObserved(())


class HeardRunners:
    """A `RunnerObserver` that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[int, RunnerEvent]] = []
        self.outputs: list[tuple[int, OutputStream, Attributed]] = []
        self.unkillable: list[tuple[int, int]] = []

    def on_event(self, rank: int, event: RunnerEvent) -> None:
        """Remember."""
        self.events.append((rank, event))

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """A rank elsewhere keeps its output there."""
        raise AssertionError(f"rank {rank} wrote {data!r} to {stream} across the cluster")

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """Remember."""
        self.outputs.append((rank, stream, output))

    def on_unkillable(self, rank: int, pid: int) -> None:
        """Remember."""
        self.unkillable.append((rank, pid))


def lines(*names: str, **answers: Mapping[type, NodeAnswer]) -> tuple[dict[str, FakeLine], Callable[[str], FakeLine]]:
    """Lines to nodes, and the function that finds them; `answers` by node."""
    made = {name: FakeLine(name, answers.get(name)) for name in names}
    return made, made.__getitem__
