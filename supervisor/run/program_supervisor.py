"""The owner of all ranks of a program: carries out what the machine decides, and tells what happened."""

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, assert_never

import anyio
import msgspec
from anyio.abc import TaskGroup

from diagnostics.evidence import ExitStatus
from diagnostics.incident import DeathCertificate
from supervisor.core import program_group as machine
from supervisor.guard import Guard
from supervisor.run.rank_supervisor import AT_ONCE, RELEASE, RankLaunch, RankOutput, RankSupervisor
from supervisor.run.ranks import loopback_ring, rank_environment, write_ring_file

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_ASKS_FOR_THE_END = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})


class ProgramSpec(msgspec.Struct, frozen=True):
    """What is run. `ring` None means free ports of this machine, taken anew for each generation."""

    command: tuple[str, ...]
    world_size: int
    node: str
    environment: dict[str, str]
    ring: tuple[tuple[str, ...], ...] | None = None


class RunObserver(RankOutput, Protocol):
    """Who is told what happens to a run. Called on the event loop; must not block or raise."""

    def on_generation(self, generation: int, pids: Mapping[int, int]) -> None:
        """A generation was started."""

    def on_rank_ended(self, rank: RankSupervisor, certificate: DeathCertificate, status: ExitStatus | None) -> None:
        """A rank is gone."""

    def on_verdict(self, declared: machine.DeclareVerdict) -> None:
        """A generation failed; other ranks may still be ending."""

    def on_restart(self, delay_s: float) -> None:
        """All ranks are gone; the next generation starts after `delay_s`."""

    def on_finish(self, finish: machine.Finish) -> None:
        """All ranks are gone, and nothing follows."""


class CannotStart(Exception):
    """The program could not be started; `problem` is the system's word, nothing is left running."""

    def __init__(self, problem: OSError) -> None:
        super().__init__(str(problem))
        self.problem = problem


class ProgramSupervisor:
    """Runs a program to its end. One use: `run` once.

    Args:
        spec: What to run.
        group: The policy machine, not started.
        observer: Who is told.
        guard: Ends the ranks should this process die.
        generation_folder: Makes and returns a generation's folder.
    """

    def __init__(
        self,
        spec: ProgramSpec,
        group: machine.ProgramGroup,
        observer: RunObserver,
        guard: Guard,
        generation_folder: Callable[[int], Path],
    ) -> None:
        self._spec = spec
        self._group = group
        self._observer = observer
        self._guard = guard
        self._generation_folder = generation_folder
        self._ranks: dict[int, RankSupervisor] = {}
        self._tasks: TaskGroup | None = None
        self._changed = anyio.Event()
        self._finish: machine.Finish | None = None
        self._problem: OSError | None = None
        self._interrupted = False

    async def run(self) -> machine.Finish:
        """Start the program and return when it is over. Cancelling it kills the ranks.

        Raises:
            CannotStart: See there.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._feed(machine.Start())
            await self._keep_deadlines()
            tasks.cancel_scope.cancel()
        if self._problem is not None:
            raise CannotStart(self._problem)
        if self._finish is None:
            raise RuntimeError("the group ended without saying how")
        return self._finish

    def pass_on(self, number: signal.Signals) -> None:
        """Pass on a signal that we got; a second SIGINT ends everything at once."""
        if number not in _ASKS_FOR_THE_END:
            self._send(tuple(self._ranks), number)
        elif number is signal.SIGINT and self._interrupted:
            self._feed(machine.KillAsked(number))
        else:
            self._interrupted = self._interrupted or number is signal.SIGINT
            self._feed(machine.EndAsked(number))

    def reader_gone(self) -> None:
        """Nobody reads our stdout any more, which ends a program in a pipeline: end the ranks."""
        self._feed(machine.EndAsked(signal.SIGPIPE))

    def _feed(self, program_input: machine.ProgramInput) -> None:
        for action in self._group.handle(program_input, time.monotonic()):
            self._carry_out(action)
        self._changed.set()
        self._changed = anyio.Event()

    async def _keep_deadlines(self) -> None:
        while self._finish is None and self._problem is None:
            changed, deadline = self._changed, self._group.deadline
            with anyio.move_on_after(None if deadline is None else max(0.0, deadline - time.monotonic())):
                await changed.wait()
                continue
            self._feed(machine.Tick())

    def _carry_out(self, action: machine.ProgramAction) -> None:
        match action:
            case machine.StartGeneration(generation):
                self._start_generation(generation)
            case machine.SignalRanks(ranks, number):
                # Few programs have a word to say about a lost reader; asked to end is what they understand.
                self._send(ranks, signal.SIGTERM if number == signal.SIGPIPE else signal.Signals(number))
            case machine.ReleaseRanks(ranks, at_once):
                for rank in ranks:
                    self._ranks[rank].release(AT_ONCE if at_once else RELEASE)
            case machine.DeclareVerdict():
                self._observer.on_verdict(action)
            case machine.AwaitRestart(delay_s):
                self._observer.on_restart(delay_s)
            case machine.Finish():
                self._finish = action
                self._observer.on_finish(action)
            case _:
                assert_never(action)

    def _send(self, ranks: tuple[int, ...], number: signal.Signals) -> None:
        for rank in ranks:
            self._ranks[rank].pass_on(number)

    def _start_generation(self, generation: int) -> None:
        if self._tasks is None:
            raise RuntimeError("the program is not running; call run() first")
        try:
            for launch in self._launches(generation):
                rank = RankSupervisor(launch, self._observer, self._guard)
                rank.start()
                self._ranks[launch.rank] = rank
                self._tasks.start_soon(self._run_rank, rank)
        except OSError as problem:
            # Ranks that were started before are killed by the cancelled task group.
            self._problem = problem
            return
        pids = {number: rank.pid for number, rank in self._ranks.items() if rank.pid is not None}
        self._observer.on_generation(generation, pids)

    def _launches(self, generation: int) -> list[RankLaunch]:
        spec = self._spec
        ring_file: Path | None = None
        if spec.world_size > 1 or spec.ring is not None:
            ring_file = self._generation_folder(generation) / "hosts.json"
            write_ring_file(ring_file, spec.ring or loopback_ring(spec.world_size))
        return [
            RankLaunch(rank, generation, spec.node, spec.command, rank_environment(spec.environment, rank, ring_file))
            for rank in range(spec.world_size)
        ]

    async def _run_rank(self, rank: RankSupervisor) -> None:
        certificate, status = await rank.run()
        self._ranks.pop(rank.launch.rank, None)
        self._observer.on_rank_ended(rank, certificate, status)
        self._feed(machine.RankEnded(certificate, shell_code(status)))


def shell_code(status: ExitStatus | None) -> int:
    """Return what a shell would say of an exit: 128 + signal for a signal."""
    if status is None:
        # It outlived SIGKILL; that is how it would have ended.
        return machine.SIGNAL_BASE + signal.SIGKILL
    return status.code or 0 if status.signal is None else machine.SIGNAL_BASE + status.signal
