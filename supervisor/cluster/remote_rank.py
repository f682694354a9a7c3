"""A rank whose process another node runs: orders go there, and what comes back is told like a local runner's."""

from typing import Protocol

import anyio

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from diagnostics.incident import DeathCertificate
from diagnostics.phase import Phase
from supervisor.attribution import Attributed
from supervisor.core.watchdog import RankObservation
from supervisor.observers import RunnerObserver
from transports.cluster.handshake import RunningRank
from transports.cluster.messages import (
    CondemnRank,
    DumpStacks,
    RankAmended,
    RankCommand,
    RankDied,
    RankEvent,
    RankOrder,
    RankStarted,
    RankTaskOutput,
    RankUnkillable,
    StartRank,
    StopRank,
    TasksInFlight,
)
from transports.cluster.requests import RankObserved
from transports.messages import Command, PhaseChanged, Progress

RankMessage = RankEvent | RankStarted | RankTaskOutput | RankDied | RankAmended | RankUnkillable


class NodeLine(Protocol):
    """One node as its ranks need it."""

    @property
    def node(self) -> str: ...

    def order(self, order: RankOrder) -> None:
        """Give the node an order; a node that is gone gets nothing. Never blocks."""
        ...

    async def observe(self, generation: int, observe_s: float) -> tuple[RankObserved, ...]:
        """Look at the node's ranks; empty when it does not answer in time."""
        ...


class RemoteRank:
    """Implements `supervisor.rank_handle.RankHandle`.

    Args:
        start: What its node is to start.
        line: That node.
        observer: Who is told what the runner does.
        late_within_s: How long a later word about its death is waited for.
        adopted: What is known of it when it runs already; None when it is to be started.
    """

    def __init__(
        self,
        start: StartRank,
        line: NodeLine,
        observer: RunnerObserver,
        *,
        late_within_s: float = 30.0,
        adopted: RunningRank | None = None,
    ) -> None:
        self._start = start
        self._line = line
        self._observer = observer
        self._late_within_s = late_within_s
        self._adopted = adopted
        self._certificate: DeathCertificate | None = None
        self._amended: DeathCertificate | None = None
        self._is_ending = False
        self._died = anyio.Event()
        self._told_more = anyio.Event()
        self.rank = start.configure.rank
        self.generation = start.configure.generation
        self.pid: int | None = None if adopted is None else adopted.pid
        self.phase = Phase.IDLE if adopted is None else adopted.phase
        self.step = 0 if adopted is None else adopted.step
        self.progress: str | None = None
        self.footprint_bytes: int | None = None

    @property
    def node(self) -> str:
        """The node that its process runs on."""
        return self._line.node

    @property
    def is_over(self) -> bool:
        """Whether its death is known."""
        return self._died.is_set()

    def send(self, command: Command) -> None:
        """Queue a command on its way to the runner."""
        self._order(RankCommand(self.generation, self.rank, command))

    def tasks_in_flight(self, tasks: int) -> None:
        """Tell its node how many tasks are owed an end."""
        self._order(TasksInFlight(self.generation, tasks))

    def stop(self, *, gracefully: bool) -> None:
        """Begin to end it."""
        self._is_ending = True
        self._order(StopRank(self.generation, self.rank, gracefully))

    def condemn(self, finding: SupervisorFinding) -> None:
        """End it because of what was found."""
        self._is_ending = True
        self._order(CondemnRank(self.generation, self.rank, finding))

    def dump_stacks(self) -> None:
        """Make it write its stacks, on its own node."""
        self._order(DumpStacks(self.generation, self.rank))

    async def observe(self, observe_s: float) -> RankObservation:
        """Let its node look at its process."""
        for seen in await self._line.observe(self.generation, observe_s):
            if seen.rank == self.rank:
                return RankObservation(self.rank, self.step, seen.stopped, seen.cpu_share)
        return RankObservation(self.rank, self.step, stopped=False, cpu_share=None)

    async def run(self) -> DeathCertificate:
        """Let the node start it, unless it runs already, and wait for its end. Cancelling it ends the runner."""
        if self._adopted is None:
            self._line.order(self._start)
        try:
            await self._died.wait()
        except anyio.get_cancelled_exc_class():
            self.stop(gracefully=False)
            raise
        assert self._certificate is not None
        return self._certificate

    async def late_certificate(self) -> DeathCertificate | None:
        """Wait for what its node may tell later: about an unexplained kill, or after it was lost itself."""
        certificate = self._certificate
        if certificate is None:
            return None
        was_lost = certificate.diagnosis.cause is Cause.NODE_LOST
        if not was_lost and (certificate.memory is None or certificate.signals_sent):
            return None
        with anyio.move_on_after(self._late_within_s):
            await self._told_more.wait()
        return self._amended

    def deliver(self, message: RankMessage) -> None:
        """Its node told something about it. Nothing counts after its death but what the node learned about that."""
        if self.is_over and not isinstance(message, RankAmended | RankDied):
            return
        match message:
            case RankStarted(pid=pid):
                self.pid = pid
            case RankEvent(event=event):
                if isinstance(event, PhaseChanged):
                    self.phase = event.phase
                    self.progress = f"{event.done}/{event.total}" if event.total else None
                elif isinstance(event, Progress):
                    self.step = event.step
                self._observer.on_event(self.rank, event)
            case RankTaskOutput(stream=stream, segments=segments, lines=lines, serial=serial):
                self._observer.on_task_output(self.rank, stream, Attributed(b"", segments, lines, serial, segments))
            case RankDied(certificate=certificate):
                if self.is_over:
                    self._learn(certificate)
                self.end(certificate)
            case RankAmended(certificate=certificate):
                self._learn(certificate)
            case RankUnkillable(pid=pid):
                if self._is_ending:  # else nobody has tried
                    self._observer.on_unkillable(self.rank, pid)

    def end(self, certificate: DeathCertificate) -> None:
        """It is dead, or counts as dead: its node told so, or is lost."""
        if not self.is_over:
            self._certificate = certificate
            self._died.set()

    def _learn(self, certificate: DeathCertificate) -> None:
        self._amended = certificate
        self._told_more.set()

    def _order(self, order: RankOrder) -> None:
        if not self.is_over:
            self._line.order(order)
