"""One `ringwarden run`, put together: what keeps, what prints, what supervises."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import anyio
import msgspec

from diagnostics.incident import Incident
from supervisor.core.program_group import Finish, ProgramGroup, ProgramLimits, RestartWhen
from supervisor.core.restart import RestartLimits, RestartPolicy
from supervisor.guard import Guard
from supervisor.journal.journal import Journal
from supervisor.journal.run_id import new_run_id
from supervisor.process.child import StreamName
from supervisor.raw_log_folder import RawLogFolder
from supervisor.raw_logs import RawLogLimits, RawLogs
from supervisor.run.printer import JsonPrinter, Outputs, Printer, TextPrinter, json_notice, text_notice
from supervisor.run.program_supervisor import PASSED_ON, CannotStart, ProgramSpec, ProgramSupervisor
from supervisor.run.recorder import RunFacts, RunRecorder
from supervisor.run.story import RunStory
from supervisor.state_directory import StateDirectory

# Whoever names a folder keeps house there; what is not ours there is never removed.
_UNLIMITED_BYTES = 2**62


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one run was asked for. `log_folder` None means the state folder's own logs, which are pruned."""

    command: tuple[str, ...]
    world_size: int = 1
    ring: tuple[tuple[str, ...], ...] | None = None
    tags: Mapping[str, str] = {}
    restart: RestartWhen = RestartWhen.NEVER
    max_restarts: int = 5
    state_folder: Path
    log_folder: Path | None = None
    as_json: bool = False


def run_program(
    options: RunOptions, verdict_text: Callable[[Incident, Path], str], colour: Callable[[StreamName], bool]
) -> int:
    """Run a program until it is over; return the exit code. Blocks, at the end also for a slow reader of our output.

    Args:
        options: What to run.
        verdict_text: Makes of an incident, and the folder with the logs, what a person reads.
        colour: Whether our stdout and stderr take colours.

    Raises:
        CannotStart: The program cannot be started; nothing is left running.
        TagError: A tag cannot be kept; nothing was started.
        StateDirectoryError: The state folder cannot be used; nothing was started.
    """
    state = StateDirectory(options.state_folder)
    state.create()
    reader = _Reader()
    outputs = Outputs(json_notice if options.as_json else text_notice, reader.gone)

    def say(text: str) -> None:
        outputs.say("stderr", text.encode())

    try:
        with ExitStack() as kept:
            run_id = new_run_id()
            journal = Journal(state.journal_file, run_id=run_id, observer=lambda text: say(f"ringwarden: {text}\n"))
            kept.callback(journal.close)
            journal.check_tags(options.tags)
            limits = RawLogLimits() if options.log_folder is None else RawLogLimits(max_total_bytes=_UNLIMITED_BYTES)
            folder = RawLogFolder(options.log_folder or state.raw_logs_folder)
            raw = RawLogs(folder, run_id, limits, observer=partial(journal.note, "output_lost"))
            kept.callback(raw.close)
            printer: Printer = (
                JsonPrinter(outputs) if options.as_json else TextPrinter(outputs, options.world_size, colour)
            )
            facts = RunFacts(run_id, options.command, options.world_size, socket.gethostname(), dict(options.tags))
            story = RunStory(
                printer,
                say,
                RunRecorder(journal, facts),
                raw,
                lambda incident: verdict_text(incident, folder.path / run_id),
            )
            guard = kept.enter_context(Guard())
            supervisor = _supervisor(options, facts, folder, story, guard)
            outcome = anyio.run(_supervise, supervisor, reader)
            if isinstance(outcome, CannotStart):
                story.on_cannot_start(outcome.problem)
                raise outcome
    finally:
        outputs.close()
        while not outputs.wait_written(1.0):
            # As any program does: what was printed belongs to the reader. An interrupt ends the waiting.
            pass
    return outcome.exit_code


class _Reader:
    """Whoever reads our stdout; tells the event loop when it went away."""

    def __init__(self) -> None:
        self._tell: Callable[[], object] | None = None
        self._is_gone = False

    def gone(self) -> None:
        """Called from the thread that writes."""
        self._is_gone = True
        if self._tell is not None:
            with suppress(RuntimeError):  # the loop has ended, and so has the run
                self._tell()

    def when_gone(self, tell: Callable[[], object]) -> None:
        """Set whom to tell, from any thread; at once when it is gone already."""
        self._tell = tell
        if self._is_gone:
            tell()


def _supervisor(
    options: RunOptions, facts: RunFacts, folder: RawLogFolder, story: RunStory, guard: Guard
) -> ProgramSupervisor:
    spec = ProgramSpec(
        command=options.command,
        world_size=options.world_size,
        node=facts.node,
        environment=dict(os.environ),
        ring=options.ring,
    )
    policy = RestartPolicy(RestartLimits(intensity=options.max_restarts))
    group = ProgramGroup(options.world_size, options.restart, policy, ProgramLimits())

    def generation_folder(generation: int) -> Path:
        made = folder.generation(facts.run_id, generation)
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        return made

    return ProgramSupervisor(spec, group, story, guard, generation_folder)


async def _supervise(supervisor: ProgramSupervisor, reader: _Reader) -> Finish | CannotStart:
    # nohup has ignored SIGHUP for us and for the ranks.
    numbers = [number for number in PASSED_ON if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    outcome: Finish | CannotStart | None = None
    with anyio.open_signal_receiver(*numbers) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pass_on, signals, supervisor)
            loop = asyncio.get_running_loop()
            reader.when_gone(lambda: loop.call_soon_threadsafe(supervisor.reader_gone))
            try:
                outcome = await supervisor.run()
            except CannotStart as problem:
                # Given back, not raised: a task group would put it into an exception group.
                outcome = problem
            tasks.cancel_scope.cancel()
    if outcome is None:
        raise RuntimeError("the run ended without an outcome")
    return outcome


async def _pass_on(signals: AsyncIterator[signal.Signals], supervisor: ProgramSupervisor) -> None:
    async for number in signals:
        supervisor.pass_on(number)
