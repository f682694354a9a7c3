"""The owner of one rank of a program: from its start to its death certificate."""

import asyncio
import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import anyio
import msgspec

from diagnostics.classify import classify
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import DeathEvidence, ExitStatus
from diagnostics.incident import DeathCertificate
from diagnostics.memory_evidence import MemoryEvidence
from diagnostics.phase import Phase
from supervisor.certificate import OUR_SYSTEM
from supervisor.core.ladder import RUNG_SIGNALS, Ladder, Rung, Step
from supervisor.guard import Guard
from supervisor.memory.reader import MemorySources
from supervisor.memory.watch import MemoryWatch, open_reader
from supervisor.process.child import ChildProcess, StreamName, start_child
from supervisor.process.drain import drain
from supervisor.process.kept_output import KeptOutput
from supervisor.process.line_cutter import LineCutter
from supervisor.process.watch import ChildEnd, watch_child

# No SIGUSR1 for stacks here: a program that does not expect it dies of it.
RELEASE = (Step(Rung.WAIT, 0.3), Step(Rung.TERMINATE, 2.0), Step(Rung.KILL, 5.0))
AT_ONCE = (Step(Rung.KILL, 5.0),)
# Signals that end a process unless it objects. Others are the program's own business and explain no exit.
_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT, signal.SIGKILL})
_UNFINISHED_LINE_S = 0.25
_NO_DEADLINE_S = 3600.0
_MEMORY = MemorySources()
MAX_KEPT_BYTES = 256 * 1024


class RankLaunch(msgspec.Struct, frozen=True):
    """Everything needed to start one rank of a program."""

    rank: int
    generation: int
    node: str
    command: tuple[str, ...]
    environment: dict[str, str]


class RankOutput(Protocol):
    """Who is told what a rank writes. Called on the event loop; must not block or raise."""

    @property
    def wants_lines(self) -> bool:
        """Whether `on_lines` is of any use."""
        ...

    def on_bytes(self, rank: int, stream: StreamName, data: bytes) -> None:
        """Everything, as it came."""

    def on_lines(self, rank: int, stream: StreamName, lines: bytes) -> None:
        """The same in whole lines; a line that does not end for a while comes as far as it is."""


class RankSupervisor:
    """One rank of one generation. One use: `start`, then `run` once.

    Args:
        launch: What to start.
        output: Who is told what it writes.
        guard: Ends it should this process die.
        drain_deadline_s: How long after its exit a grandchild may hold its pipes.
    """

    def __init__(self, launch: RankLaunch, output: RankOutput, guard: Guard, drain_deadline_s: float = 0.25) -> None:
        self.launch = launch
        self.kept: dict[StreamName, KeptOutput] = {}
        self._output = output
        self._guard = guard
        self._drain_deadline_s = drain_deadline_s
        self._collector = DiagnosticCollector(OUR_SYSTEM)
        self._cutters: dict[StreamName, LineCutter] = {}
        self._timers: dict[StreamName, asyncio.TimerHandle] = {}
        self._ladder: Ladder | None = None
        self._ladder_changed = anyio.Event()
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        """The rank's pid while it lives."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start the program; `run` has to follow at once.

        Raises:
            OSError: It cannot be started.
        """
        self._child = start_child(self.launch.command, env=self.launch.environment)

    def pass_on(self, number: signal.Signals) -> None:
        """Pass a signal on to the rank's process group."""
        if self._child is not None:
            self._child.signal_group(number)

    def release(self, steps: Sequence[Step]) -> None:
        """Begin the way down by this ladder, also when another one was begun. Returns at once."""
        self._ladder = Ladder(steps)
        self._ladder_changed.set()

    async def run(self) -> tuple[DeathCertificate, ExitStatus | None]:
        """Supervise the rank to its end. Cancelling it kills the rank."""
        child = self._child
        if child is None:
            raise RuntimeError("the rank was not started; call start() first")
        readers = [partial(self._read, stream, fd) for stream, fd in child.outputs.items()]
        memory = MemoryWatch(child.pid, _MEMORY, open_reader(child.pid, _MEMORY))
        try:
            end = await watch_child(
                child,
                readers,
                drain_deadline_s=self._drain_deadline_s,
                companions=(self._walk_down, memory.sample_forever),
                guard=self._guard,
            )
            killed = end.status == ExitStatus(signal=signal.SIGKILL) and signal.SIGKILL not in child.signals_sent
            found = await memory.evidence(end.exited_at_s, ask_system=killed)
        finally:
            self._child = None
            memory.close()
            for stream in self._cutters:
                self._flush(stream, last=True)
        return self._certificate(child, end, found), end.status

    async def _read(self, stream: StreamName, fd: int) -> None:
        self.kept[stream] = KeptOutput(MAX_KEPT_BYTES)
        self._cutters[stream] = LineCutter()
        await drain(fd, partial(self._consume, stream))

    def _consume(self, stream: StreamName, data: bytes) -> None:
        self.kept[stream].feed(data)
        self._output.on_bytes(self.launch.rank, stream, data)
        if stream == "stderr":
            self._collector.feed(data)
        if self._output.wants_lines:
            self._cut(stream, data)

    def _cut(self, stream: StreamName, data: bytes) -> None:
        cutter = self._cutters[stream]
        lines = cutter.feed(data)
        if lines:
            self._stop_timer(stream)
            self._output.on_lines(self.launch.rank, stream, lines)
        if cutter.has_pending and stream not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[stream] = loop.call_later(_UNFINISHED_LINE_S, self._flush, stream)

    def _flush(self, stream: StreamName, *, last: bool = False) -> None:
        self._stop_timer(stream)
        cutter = self._cutters[stream]
        lines = cutter.finish() if last else cutter.flush()
        if lines:
            self._output.on_lines(self.launch.rank, stream, lines)

    def _stop_timer(self, stream: StreamName) -> None:
        timer = self._timers.pop(stream, None)
        if timer is not None:
            timer.cancel()

    async def _walk_down(self) -> None:
        """Carry out whatever ladder was begun last, until cancelled."""
        while True:
            ladder, self._ladder_changed = self._ladder, anyio.Event()
            if ladder is not None:
                now = time.monotonic()
                rung = ladder.tick(now) if ladder.started else ladder.start(now)
                if rung is not None and rung in RUNG_SIGNALS:
                    self.pass_on(RUNG_SIGNALS[rung])
            deadline = None if ladder is None else ladder.deadline
            with anyio.move_on_after(_NO_DEADLINE_S if deadline is None else max(0.0, deadline - time.monotonic())):
                await self._ladder_changed.wait()

    def _certificate(self, child: ChildProcess, end: ChildEnd, memory: MemoryEvidence) -> DeathCertificate:
        self._collector.finish()
        report = self._collector.report(drained=end.drained)
        ended_by = None if end.status is None else end.status.signal
        signals = tuple(number for number in child.signals_sent if number in _ENDING or number == ended_by)
        # Nothing is known about what a foreign program was doing, so its sentence gets no such clause.
        phase = Phase.FAILED
        evidence = DeathEvidence(OUR_SYSTEM, phase, end.status, report, signals_sent=signals, memory=memory)
        return DeathCertificate(
            rank=self.launch.rank,
            generation=self.launch.generation,
            node=self.launch.node,
            pid=child.pid,
            phase=phase,
            diagnosis=classify(evidence),
            exit_status=end.status,
            died_at_s=end.exited_at_s,
            drained=end.drained,
            signals_sent=signals,
            stderr_tail=report.tail,
            memory=memory,
        )
