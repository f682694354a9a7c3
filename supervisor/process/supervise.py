"""`supervise_process`: run a program under supervision, from a short test to a daemon that lives for months."""

import signal
import subprocess
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from enum import Enum
from typing import Any, Literal, get_args

import anyio
from anyio.abc import TaskStatus

from diagnostics.evidence import ExitStatus
from supervisor.core.ladder import Rung, Step
from supervisor.guard import Guard
from supervisor.log import add_io_level, log_output
from supervisor.process.child import ChildProcess, Command, Destination, StreamName, start_child
from supervisor.process.kept_output import DEFAULT_MAX_KEPT_BYTES, KeptOutput
from supervisor.process.stream_reader import StreamReader
from supervisor.process.watch import ChildEnd, watch_child

CANCELLED = (Step(Rung.TERMINATE, 2.0), Step(Rung.KILL, 5.0))
MAX_NOTE_BYTES = 16 * 1024


class _Sentinel(Enum):
    UNSET = 0


Unset = Literal[_Sentinel.UNSET]
UNSET: Unset = _Sentinel.UNSET
"""Nothing was passed, which is not the same as None: that one inherits our own stream."""


class SupervisedProcess:
    """A live process whose supervision goes on elsewhere. Used from the event loop."""

    def __init__(self, child: ChildProcess, command: Command) -> None:
        self._child = child
        self._ended = anyio.Event()
        self._status: ExitStatus | None = None
        self.args = command
        self.pid = child.pid

    def signal_group(self, number: signal.Signals) -> bool:
        """Send a signal to the process and its descendants in its group; False when nobody was left to receive it."""
        return self._child.signal_group(number)

    async def wait(self) -> ExitStatus | None:
        """Return how the process ended, once it has ended, its streams were read and it was reaped.

        None when its supervision was cancelled and it outlived even SIGKILL.
        """
        await self._ended.wait()
        return self._status

    def note_end(self, status: ExitStatus | None) -> None:
        """For the one who supervises: the process is gone."""
        self._status = status
        self._ended.set()


async def supervise_process(
    command: Command,
    *,
    relay: Collection[StreamName] = (),
    accumulate: Collection[StreamName] = (),
    stdout: Destination | Unset = UNSET,
    stderr: Destination | Unset = UNSET,
    relay_line: Callable[[str], None] = log_output,
    max_kept_bytes: int = DEFAULT_MAX_KEPT_BYTES,
    drain_deadline_s: float = 0.25,
    on_cancel: Sequence[Step] = CANCELLED,
    guard: Guard | None = None,
    task_status: TaskStatus[SupervisedProcess] = anyio.TASK_STATUS_IGNORED,
    **popen_arguments: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program and return when it has ended, its streams were read, and nothing of its process group is left.

    The terminal stays ours: stdin is /dev/null, the process leads a session of its own, its stdout is /dev/null unless
    it is relayed, accumulated or given, and its stderr is kept for the error unless it is given. Whatever is piped is
    read all the time, so the process never waits for us. Cancelling ends the process group by the ladder.

    `await task_group.start(supervise_process, command)` returns the live `SupervisedProcess` at once and goes on in the
    background. An error of a task started like this reaches the task group, which puts it into an exception group.

    Args:
        command: Program and arguments.
        relay: The streams that are relayed line by line while the process runs; the unfinished last line too.
        accumulate: The streams that are returned; a piped stderr always is. A stream may be relayed and accumulated.
        stdout: As for `subprocess.Popen`; None inherits ours, PIPE means `accumulate`.
        stderr: The same.
        relay_line: Takes one line without its end; must not block for long. Default: loguru, level IO (21).
        max_kept_bytes: What is returned of a stream at most: beginning and end, with the number of bytes between.
        drain_deadline_s: How long after the exit a grandchild that holds a pipe may delay the result.
        on_cancel: The ladder of a cancelled process.
        guard: Ends the process should this one be killed.
        task_status: Gets the live process.
        popen_arguments: Everything else for `subprocess.Popen`; `stdin`, `check` and the session are ours to decide.

    Raises:
        CalledProcessError: The exit code is not 0. Never inside an exception group; `stderr` holds its bytes (None when
            `stderr` was given), and a note shows their end.
        OSError: The program cannot be started.
        ValueError: A stream is both given and to be read here, or has a name that no stream has.
    """
    wanted = {*accumulate, *_given_as_pipe(stdout=stdout, stderr=stderr)}
    destinations = _destinations(stdout, stderr, relay={*relay}, accumulate=wanted)
    if relay:
        add_io_level()
    arguments = {name: value for name, value in popen_arguments.items() if name != "check"}
    child = start_child(command, **destinations, **arguments)
    process = SupervisedProcess(child, command)
    readers: dict[StreamName, StreamReader] = {}
    for name, fd in child.outputs.items():
        kept = KeptOutput(max_kept_bytes) if name in wanted or name == "stderr" else None
        readers[name] = StreamReader(fd, kept, relay_line if name in relay else None)
    status: ExitStatus | None = None
    try:
        task_status.started(process)
        reads = [reader.read for reader in readers.values()]
        end = await watch_child(
            child, reads, drain_deadline_s=drain_deadline_s, last_words=reads, on_cancel=on_cancel, guard=guard
        )
        status = end.status
    finally:
        for reader in readers.values():
            reader.finish()
        process.note_end(status)
    return _result(command, end, {name: reader.kept for name, reader in readers.items()}, drain_deadline_s)


def _given_as_pipe(**given: object) -> set[str]:
    return {name for name, destination in given.items() if destination == subprocess.PIPE}


def _destinations(
    stdout: Destination | Unset, stderr: Destination | Unset, *, relay: Set[str], accumulate: Set[str]
) -> dict[str, Destination]:
    read_here = {*relay, *accumulate}
    unknown = read_here - set(get_args(StreamName))
    if unknown:
        raise ValueError(f"{sorted(unknown)} are no streams; relay and accumulate take 'stdout' and 'stderr'")
    found: dict[str, Destination] = {}
    for name, given in (("stdout", stdout), ("stderr", stderr)):
        if given is UNSET or given == subprocess.PIPE:
            found[name] = subprocess.PIPE if name in read_here or name == "stderr" else subprocess.DEVNULL
        elif name in read_here:
            raise ValueError(f"{name} is given, so it cannot be relayed or accumulated; leave one of the two out")
        else:
            found[name] = given
    return found


def _result(
    command: Command, end: ChildEnd, kept: Mapping[StreamName, KeptOutput | None], drain_deadline_s: float
) -> subprocess.CompletedProcess[bytes]:
    values = {name: None if output is None else output.value() for name, output in kept.items()}
    stdout, stderr = values.get("stdout"), values.get("stderr")
    code = _return_code(end.status)
    if code == 0:
        return subprocess.CompletedProcess(command, code, stdout, stderr)
    error = subprocess.CalledProcessError(code, command, stdout, stderr)
    if stderr:
        error.add_note(_note(stderr))
    if not end.drained:
        error.add_note(
            f"Its streams did not end within {drain_deadline_s:g} s: a process that it had started held them."
        )
    raise error


def _return_code(status: ExitStatus | None) -> int:
    """As `subprocess` counts: a signal is negative."""
    if status is None:
        raise ChildProcessError("a process ended, but the system gave no exit status for it")
    return -status.signal if status.signal is not None else status.code or 0


def _note(stderr: bytes) -> str:
    end = stderr[-MAX_NOTE_BYTES:].decode("utf-8", "replace").rstrip("\n")
    cut = f"[the last {MAX_NOTE_BYTES} of {len(stderr)} bytes]\n" if len(stderr) > MAX_NOTE_BYTES else ""
    return "stderr:\n" + textwrap.indent(cut + end, "    ", lambda _: True)
