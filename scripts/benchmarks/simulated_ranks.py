"""Ranks without processes: what a node with real runners would tell its head of them, and when."""

import signal
import time
from collections.abc import Callable

import anyio

from diagnostics.cause import Cause
from diagnostics.diagnosing import diagnosis_of
from diagnostics.evidence import ExitStatus
from diagnostics.incident import Confidence, DeathCertificate
from diagnostics.phase import Phase
from transports.cluster.messages import (
    FromNode,
    RankCommand,
    RankDied,
    RankEvent,
    RankStarted,
    StartRank,
    StopRank,
    TasksInFlight,
    ToNode,
)
from transports.messages import (
    ModelFacts,
    PhaseChanged,
    RunnerEvent,
    RunnerHello,
    StartTask,
    TaskAccepted,
    TaskFinished,
    TokenChunk,
    WakeForTask,
)
from transports.progress import Activity, Collective, Progress

WORDS_PER_S = 4
"""As often as a runner's pulse tells a changed word."""
TOKENS_PER_S = 25
_LAYERS = 4
_STDERR = tuple(f"line {number} of what a runner wrote to its stderr before it ended" for number in range(10))


class SimulatedRanks:
    """The ranks of one node.

    Args:
        tell: Takes what the head should hear.
    """

    def __init__(self, tell: Callable[[FromNode], None]) -> None:
        self._tell = tell
        self.living: dict[int, int] = {}
        self._streams: dict[str, tuple[int, int]] = {}
        self._is_busy = False
        self._step = 0

    def obey(self, order: ToNode) -> None:
        """Carry out an order."""
        match order:
            case StartRank():
                self._start(order.configure.generation, order.configure.rank)
            case StopRank(generation, rank):
                if self.living.get(rank) == generation:
                    self.die(rank, None)
            case RankCommand(_, rank, StartTask() as task):
                self._is_busy = True
                self._streams[task.task_id] = (0, task.sampling.max_tokens or 1)
                self._say(rank, TaskAccepted(task.task_id, 8))
            case RankCommand(_, _, WakeForTask()):
                self._is_busy = True
            case TasksInFlight(_, tasks):
                self._is_busy = tasks > 0
            case _:
                return

    def die(self, rank: int, killed_by: int | None) -> None:
        """One rank is gone: killed from outside by that signal, or because its head wanted it."""
        generation = self.living.pop(rank)
        if killed_by is None:
            diagnosis = diagnosis_of(Cause.KILLED_BY_SUPERVISOR, Confidence.CERTAIN, "was ended by Ringwarden", _STDERR)
        else:
            diagnosis = diagnosis_of(Cause.KILLED_NO_STDERR, Confidence.CERTAIN, "was killed by SIGKILL", _STDERR)
        status = ExitStatus(signal=signal.SIGTERM if killed_by is None else killed_by)
        now = time.monotonic()
        self._tell(
            RankDied(
                DeathCertificate(
                    rank, generation, "", 1000 + rank, Phase.READY, diagnosis, status, now, stderr_tail=_STDERR
                )
            )
        )
        if not self.living:
            self._streams.clear()
            self._is_busy = False

    async def run(self) -> None:
        """Compute what there is to compute, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pulse)
            tasks.start_soon(self._generate)

    def _start(self, generation: int, rank: int) -> None:
        self.living[rank] = generation
        self._tell(RankStarted(generation, rank, 1000 + rank))
        self._say(rank, RunnerHello(1000 + rank, "3.11.7", "linux", "0.32.4", "0.32.2"))
        for phase in (Phase.CONNECTING, Phase.CONNECTED):
            self._say(rank, PhaseChanged(phase))
        for layer in range(_LAYERS + 1):
            self._say(rank, PhaseChanged(Phase.LOADING, layer, _LAYERS))
        self._say(rank, PhaseChanged(Phase.LOADED))
        self._say(rank, PhaseChanged(Phase.WARMING_UP))
        self._say(rank, ModelFacts(4096, 1000, _LAYERS))
        self._say(rank, PhaseChanged(Phase.READY))

    async def _pulse(self) -> None:
        while True:
            await anyio.sleep(1 / WORDS_PER_S)
            if self._is_busy:
                self._step += 1
                for rank in self.living:
                    self._say(rank, Progress(self._step, Activity.DECODE, Collective("step", self._step, ended=False)))

    async def _generate(self) -> None:
        while True:
            await anyio.sleep(1 / TOKENS_PER_S)
            for task_id, (index, wanted) in list(self._streams.items()):
                self._say(0, TokenChunk(task_id, index, 7, "word "))
                self._streams[task_id] = (index + 1, wanted)
                if index + 1 == wanted:
                    del self._streams[task_id]
                    self._say(0, TaskFinished(task_id, "length", 8, wanted))

    def _say(self, rank: int, event: RunnerEvent) -> None:
        generation = self.living.get(rank)
        if generation is not None:
            self._tell(RankEvent(generation, rank, event))
