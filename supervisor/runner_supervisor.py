"""The owner of one runner: from spawn to certificate.

Death, in this order: exit is noticed (never by polling, never by end of file) -> channel and both pipes are read to
their end, or to the drain deadline -> what is left of the process group is ended -> the child is reaped -> the system
is asked about memory, when a SIGKILL was not ours -> the evidence is classified -> one death certificate. `run` returns
it; nobody else touches the process.
"""

import signal
import time
from contextlib import suppress
from functools import partial

import anyio
import msgspec

from diagnostics.cause import Cause
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import Condemnation, ExitStatus, RunnerTerminationError, SupervisorFinding
from diagnostics.incident import DeathCertificate
from diagnostics.kill import kill_of
from diagnostics.memory_evidence import MemoryEvidence
from diagnostics.phase import Phase
from supervisor.attribution import Attributed, AttributedStream
from supervisor.certificate import OUR_SYSTEM, Remains, certify
from supervisor.channel_end import ChannelFull, SupervisorEnd
from supervisor.core import lifecycle as machine
from supervisor.core.ladder import CONDEMNED, GRACEFUL, RELEASE, RUNG_SIGNALS, Ladder, Rung
from supervisor.core.watchdog import RankObservation
from supervisor.guard import Guard
from supervisor.launch import RunnerLaunch
from supervisor.memory.reader import MemorySources
from supervisor.memory.watch import MemoryWatch, open_reader
from supervisor.observers import RunnerObserver
from supervisor.process.child import ChildProcess, StreamName
from supervisor.process.drain import drain
from supervisor.process.watch import watch_child
from supervisor.process_observation import observe_process
from supervisor.runner_start import start_runner
from transports.channel import ProtocolViolation
from transports.messages import Command, PhaseChanged, Shutdown, Upward
from transports.progress import Activity, Progress

_LONGEST_WAIT_S = 3600.0


class RunnerLimits(msgspec.Struct, frozen=True):
    """The bounds on one runner. `drain_deadline_s` counts from its exit; `max_pending_bytes` are unread commands.

    `memory` says where its memory is watched, how often, and how long its death waits for evidence.
    """

    lifecycle: machine.LifecycleLimits = machine.LifecycleLimits()
    drain_deadline_s: float = 0.25
    max_pending_bytes: int = 32 * 1024 * 1024
    memory: MemorySources = MemorySources()


class RunnerSupervisor:
    """Starts one runner and supervises it until it is gone. One use: `run` once.

    Args:
        launch: What to start.
        limits: The bounds.
        observer: Who is told.
        guard: Ends the runner should this process die.
    """

    def __init__(self, launch: RunnerLaunch, limits: RunnerLimits, observer: RunnerObserver, guard: Guard) -> None:
        self._launch = launch
        self._guard = guard
        self._limits = limits
        self._observer = observer
        self._lifecycle = machine.Lifecycle(limits.lifecycle, time.monotonic())
        self._ladder = Ladder(GRACEFUL)
        self._collector = DiagnosticCollector(OUR_SYSTEM)
        self._termination_error: RunnerTerminationError | None = None
        self._child: ChildProcess | None = None
        self._channel: SupervisorEnd | None = None
        self._memory: MemoryWatch | None = None
        self._remains: Remains | None = None
        self._condemned: Condemnation | None = None
        self._deadline_moved = anyio.Event()
        self._tasks_in_flight = 0
        self.rank = launch.rank
        self.node = launch.node
        self.step = 0
        self.progress: str | None = None

    @property
    def pid(self) -> int | None:
        """The runner's pid; None before the start and after the end."""
        return None if self._child is None else self._child.pid

    @property
    def phase(self) -> Phase:
        """The phase that the runner announced last."""
        return self._lifecycle.phase

    @property
    def footprint_bytes(self) -> int | None:
        """The memory that the runner holds."""
        return None if self._memory is None else self._memory.footprint_bytes

    def send(self, command: Command) -> None:
        """Queue a command. Never blocks; a runner that is gone gets nothing.

        Raises:
            ChannelFull: When the runner leaves too many commands unread.
            FrameViolation: When the command exceeds the frame cap.
        """
        if self._channel is not None:
            self._channel.send(command)

    def tasks_in_flight(self, tasks: int) -> None:
        """Tell how many tasks are owed an end."""
        self._tasks_in_flight = tasks

    def stop(self, *, gracefully: bool) -> None:
        """Begin the way down, unless it began before. Returns at once; `run` ends when it worked."""
        if not self._ladder.started:
            self._ladder = Ladder(GRACEFUL if gracefully else RELEASE)
        self._feed(machine.StopWanted())

    def condemn(self, finding: SupervisorFinding) -> None:
        """End the living runner because of what the supervisor found. Returns at once."""
        self._feed(machine.Condemned(finding))

    def dump_stacks(self) -> None:
        """Make the runner write its Python stacks into its dump file; it goes on."""
        # Before its first words a runner would die of the signal.
        if self._child is not None and self.phase is not Phase.IDLE:
            self._child.signal_leader(RUNG_SIGNALS[Rung.STACK_DUMP])

    async def observe(self, observe_s: float) -> RankObservation:
        """Look at the runner's process for so long."""
        seen = await observe_process(self.pid, observe_s)
        return RankObservation(self.rank, self.step, seen.stopped, seen.cpu_share)

    async def run(self) -> DeathCertificate:
        """Start the runner, supervise it to its end and return the certificate. Cancelling it kills the runner."""
        try:
            child, channel = start_runner(self._launch, self._limits.max_pending_bytes)
        except OSError as exc:
            self._lifecycle.finding = SupervisorFinding(Cause.UNKNOWN, f"could not be started: {exc}")
            return self._certificate(None, 0, time.monotonic(), None, drained=True)
        self._child, self._channel = child, channel
        try:
            return await self._supervise(child, channel)
        finally:
            self._child = self._channel = None

    async def late_certificate(self) -> DeathCertificate | None:
        """After `run`: wait for what the system writes later about an unexplained SIGKILL; None when it never does.

        macOS writes its reports some seconds after the death, so this takes up to `memory.late_within_s` there.
        """
        remains = self._remains
        if self._memory is None or remains is None or remains.memory is None or remains.signals_sent:
            return None
        if not _killed(remains.exit_status) or kill_of(remains.memory) is not None:
            return None
        found = await self._memory.late_evidence()
        return None if found is None else certify(self._launch, msgspec.structs.replace(remains, memory=found))

    async def _supervise(self, child: ChildProcess, channel: SupervisorEnd) -> DeathCertificate:
        readers = [partial(self._read_channel, channel)]
        readers += [partial(self._read_pipe, stream, fd) for stream, fd in child.outputs.items()]
        sources = self._limits.memory
        self._memory = memory = MemoryWatch(child.pid, sources, open_reader(child.pid, sources))
        companions = (channel.write_pending, self._keep_deadlines, memory.sample_forever)
        try:
            end = await watch_child(
                child,
                readers,
                drain_deadline_s=self._limits.drain_deadline_s,
                companions=companions,
                guard=self._guard,
            )
            ours = signal.SIGKILL in child.signals_sent
            found = await memory.evidence(end.exited_at_s, ask_system=_killed(end.status) and not ours)
        finally:
            channel.close()
            memory.close()
        return self._certificate(end.status, child.pid, end.exited_at_s, found, drained=end.drained)

    async def _read_channel(self, channel: SupervisorEnd) -> None:
        def on_violation(violation: ProtocolViolation) -> None:
            self._feed(machine.ChannelEnded(str(violation)))

        await channel.read(self._on_upward, on_violation)
        self._feed(machine.ChannelEnded())

    async def _read_pipe(self, stream: StreamName, fd: int) -> None:
        attributed = AttributedStream(stream, self._launch.configure.marker_token)
        try:
            await drain(fd, lambda data: self._on_output(stream, attributed.feed(data, time.monotonic())))
        finally:
            self._on_output(stream, attributed.finish())

    def _on_output(self, stream: StreamName, output: Attributed) -> None:
        if output.plain:
            self._observer.on_output(self.rank, stream, output.plain)
            if stream == "stderr":
                for diagnostic in self._collector.feed(output.plain):
                    self._feed(machine.FatalLine(diagnostic))
        self._observer.on_task_output(self.rank, stream, output)

    def _on_upward(self, event: Upward) -> None:
        if isinstance(event, RunnerTerminationError):
            self._termination_error = self._termination_error or event
            return
        if self._condemned is not None and isinstance(event, PhaseChanged | Progress):
            # A stopped runner goes on when its stacks are asked for; where it stood then is what counts.
            return
        if isinstance(event, PhaseChanged):
            self.progress = f"{event.done}/{event.total}" if event.total else None
            self._feed(machine.Announced(event.phase))
        elif isinstance(event, Progress):
            self.step = event.step
            self._feed(machine.Waits() if event.activity is Activity.AGREEING else machine.Moved())
        else:
            self._feed(machine.Moved())
        self._observer.on_event(self.rank, event)

    def _feed(self, lifecycle_input: machine.LifecycleInput) -> None:
        now = time.monotonic()
        before = self._lifecycle.deadline
        for action in self._lifecycle.handle(lifecycle_input, now):
            if isinstance(action, machine.EndRunner):
                if action.finding is not None:
                    self._ladder = Ladder(CONDEMNED)
                    lines = self._collector.report(drained=False).total_lines
                    self._condemned = Condemnation(now, lines, self._termination_error is not None)
                self._take_rung(self._ladder.start(now))
        if self._lifecycle.deadline != before or self._lifecycle.stop_wanted:
            self._deadline_moved.set()

    async def _keep_deadlines(self) -> None:
        while True:
            deadlines = [at for at in (self._lifecycle.deadline, self._ladder.deadline) if at is not None]
            wait_s = min(deadlines, default=time.monotonic() + _LONGEST_WAIT_S) - time.monotonic()
            self._deadline_moved = anyio.Event()
            with anyio.move_on_after(max(wait_s, 0.0)):
                await self._deadline_moved.wait()
            self._feed(machine.Tick())
            self._take_rung(self._ladder.tick(time.monotonic()))

    def _take_rung(self, rung: Rung | None) -> None:
        child = self._child
        if rung is None or child is None:
            return
        if rung is Rung.COOPERATIVE:
            # A runner that reads no commands will not read this one either: the next rung is for it.
            with suppress(ChannelFull):
                self.send(Shutdown())
        elif rung is Rung.STACK_DUMP:
            child.signal_leader(RUNG_SIGNALS[rung])
            # A stopped process dumps nothing before it goes on.
            child.signal_leader(signal.SIGCONT)
        elif rung is Rung.UNKILLABLE:
            self._observer.on_unkillable(self.rank, child.pid)
        elif rung in RUNG_SIGNALS:
            child.signal_group(RUNG_SIGNALS[rung])

    def _certificate(
        self,
        status: ExitStatus | None,
        pid: int,
        died_at_s: float,
        memory: MemoryEvidence | None,
        *,
        drained: bool,
    ) -> DeathCertificate:
        self._collector.finish()
        sent = () if self._child is None else tuple(self._child.signals_sent)
        self._remains = Remains(
            pid=pid,
            phase=self.phase,
            exit_status=status,
            died_at_s=died_at_s,
            stderr=self._collector.report(drained=drained),
            step=self.step,
            termination_error=self._termination_error,
            finding=self._lifecycle.finding,
            # Being asked for its stacks was not being asked to leave.
            signals_sent=sent if self._ladder.started else tuple(one for one in sent if one != signal.SIGUSR1),
            tasks_in_flight=self._tasks_in_flight,
            memory=memory,
            condemned=self._condemned,
        )
        return certify(self._launch, self._remains)


def _killed(status: ExitStatus | None) -> bool:
    return status is not None and status.signal == signal.SIGKILL
