"""The end of a child, always in the same order, whoever supervises it.

Exit is noticed (never by polling, never by end of file) -> its streams are read to their end, or to the drain deadline
-> what is left of its process group is ended -> it is reaped. A grandchild that holds a pipe open delays this by the
drain deadline at most.
"""

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from diagnostics.evidence import ExitStatus
from supervisor.core.ladder import RUNG_SIGNALS, Ladder, Rung, Step
from supervisor.guard import Guard
from supervisor.process.child import ChildProcess
from supervisor.process.exit_watch import ExitWatch, open_exit_watch, wait_for_exit

AT_ONCE = (Step(Rung.KILL, 5.0),)
# One piece of 64 KiB is read in each turn of the loop, and no pipe holds more than 1 MiB.
_TURNS_THAT_EMPTY_A_PIPE = 20
_REAP_DEADLINE_S = 1.0

Reader = Callable[[], Coroutine[Any, Any, None]]
"""Reads one stream of the child; returns at its end."""


class ChildEnd(msgspec.Struct, frozen=True):
    """How a child ended. `exited_at_s` is monotonic; `drained` is False when a stream did not end in time."""

    status: ExitStatus | None
    exited_at_s: float
    drained: bool


async def watch_child(
    child: ChildProcess,
    readers: Sequence[Reader],
    *,
    drain_deadline_s: float,
    companions: Sequence[Reader] = (),
    last_words: Sequence[Reader] = (),
    on_cancel: Sequence[Step] = AT_ONCE,
    guard: Guard | None = None,
) -> ChildEnd:
    """Supervise a started child to its end, reap it and close its pipes.

    When this is cancelled, or a reader raises, the child's process group is ended by the ladder before the exception
    goes on, whatever cancels meanwhile; that takes as long as the ladder does, at most.

    Args:
        child: Started, and not reaped by anybody else.
        readers: One for each stream.
        drain_deadline_s: How long after the exit the streams may take to end.
        companions: What else runs beside the child; cancelled at the end.
        last_words: Readers that go on while a cancelled child is being ended.
        on_cancel: The ladder for that.
        guard: Ends the group should this process die.
    """
    if guard is not None:
        guard.add(child.pid)
    status: ExitStatus | None = None
    try:
        watch = open_exit_watch(child.pid)
        try:
            exited_at_s, drained = await _until_drained(watch, readers, companions, drain_deadline_s)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await _bring_down(child, watch, last_words, on_cancel, drain_deadline_s)
            raise
        finally:
            watch.close()
    finally:
        child.sweep_group()
        if guard is not None:
            guard.remove(child.pid)
        with anyio.CancelScope(shield=True):
            status = await _reaped(child)
        child.close()
    return ChildEnd(status, exited_at_s, drained)


async def _reaped(child: ChildProcess) -> ExitStatus | None:
    """Reap the child; None when it is not to be had, because it outlived SIGKILL."""
    status = child.reap()
    # kqueue may tell of an exit some moments before the process can be reaped (XNU posts NOTE_EXIT while it exits).
    with anyio.move_on_after(_REAP_DEADLINE_S):
        while status is None:
            await anyio.sleep(0.001)
            status = child.reap()
    return status


async def _until_drained(
    watch: ExitWatch, readers: Sequence[Reader], companions: Sequence[Reader], drain_deadline_s: float
) -> tuple[float, bool]:
    """Return when the child has ended, and whether its streams could be read to their end."""
    exited_at_s, drained = 0.0, False
    async with anyio.create_task_group() as tasks:
        ended = [anyio.Event() for _ in readers]
        for reader, end in zip(readers, ended, strict=True):
            tasks.start_soon(_read, reader, end)
        for companion in companions:
            tasks.start_soon(companion)
        await wait_for_exit(watch)
        exited_at_s = time.monotonic()
        drained = await _all_ended(ended, drain_deadline_s)
        tasks.cancel_scope.cancel()
    return exited_at_s, drained


async def _read(reader: Reader, end: anyio.Event) -> None:
    await reader()
    end.set()


async def _all_ended(ended: Sequence[anyio.Event], deadline_s: float) -> bool:
    with anyio.move_on_after(deadline_s):
        for end in ended:
            await end.wait()
    # On a machine so busy that the deadline passed before we ran, what the child wrote is still in its pipes.
    for _ in range(_TURNS_THAT_EMPTY_A_PIPE):
        if all(end.is_set() for end in ended):
            return True
        await anyio.lowlevel.checkpoint()
    return False


async def _bring_down(
    child: ChildProcess, watch: ExitWatch, readers: Sequence[Reader], steps: Sequence[Step], drain_deadline_s: float
) -> None:
    async with anyio.create_task_group() as tasks:
        ended = [anyio.Event() for _ in readers]
        for reader, end in zip(readers, ended, strict=True):
            tasks.start_soon(_read_what_comes, reader, end)
        await _descend(child, watch, steps)
        await _all_ended(ended, drain_deadline_s)
        tasks.cancel_scope.cancel()


async def _read_what_comes(reader: Reader, end: anyio.Event) -> None:
    # A reader that raises may be why the child has to go; it must not keep it from going.
    with suppress(Exception):
        await reader()
    end.set()


async def _descend(child: ChildProcess, watch: ExitWatch, steps: Sequence[Step]) -> None:
    """Walk down the ladder until the child has ended, or until the ladder has."""
    ladder = Ladder(steps)
    rung = ladder.start(time.monotonic())
    while ladder.deadline is not None:
        if rung is not None and rung in RUNG_SIGNALS:
            child.signal_group(RUNG_SIGNALS[rung])
        with anyio.move_on_after(max(0.0, ladder.deadline - time.monotonic())):
            await wait_for_exit(watch)
            return
        rung = ladder.tick(time.monotonic())
