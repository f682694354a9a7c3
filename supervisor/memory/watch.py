"""The memory of one runner, from its start to what the system says of its death."""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import msgspec

from diagnostics.evidence import OperatingSystem
from diagnostics.kill import kill_of
from diagnostics.memory_evidence import FootprintSample, MemoryEvidence
from supervisor.memory.darwin import DarwinMemoryReader, system_usage_call
from supervisor.memory.linux import LinuxMemoryReader
from supervisor.memory.reader import MemoryReader, MemorySample, MemorySources, SystemWords

# A process with much memory needs its time to die: what rose within this is put down to its death.
_DYING_S = 2.0
_Answer = TypeVar("_Answer")


def open_reader(pid: int, sources: MemorySources) -> MemoryReader:
    """The reader of this system for a living process."""
    if sources.system is OperatingSystem.DARWIN:
        return DarwinMemoryReader(pid, sources, system_usage_call())
    return LinuxMemoryReader(pid, sources)


class MemoryWatch:
    """Samples one process while it lives, and collects the evidence when it is dead. Used from the event loop.

    All reading is done in threads; whatever goes wrong there costs evidence, never the runner or its supervisor.

    Args:
        pid: A living child.
        sources: Where to look, how often and how long.
        reader: What reads.
    """

    def __init__(self, pid: int, sources: MemorySources, reader: MemoryReader) -> None:
        self._pid = pid
        self._sources = sources
        self._reader = reader
        self._samples: deque[MemorySample] = deque(maxlen=sources.max_samples)
        # A thread that was given up may still be reading when the next one comes.
        self._reading = threading.Lock()
        # Not the threads that everybody shares: they may all be busy with slow disks.
        self._threads = anyio.CapacityLimiter(2)
        self._died_at_s = 0.0
        self._closed = False

    @property
    def footprint_bytes(self) -> int | None:
        """What the process held at the last look; None before the first one."""
        return self._samples[-1].footprint_bytes if self._samples else None

    async def sample_forever(self) -> None:
        """Take a sample at every interval, until cancelled."""
        while True:
            sample = await self._in_thread(lambda: self._reader.sample(time.monotonic()))
            if sample is not None:
                self._samples.append(sample)
            await anyio.sleep(self._sources.interval_s)

    async def evidence(self, died_at_s: float, *, ask_system: bool) -> MemoryEvidence:
        """What is known of a death, in `examine_within_s` at the most. Never raises.

        Args:
            died_at_s: When the exit was noticed, monotonic.
            ask_system: Whether memory may have been the cause; else only the footprint is told.
        """
        self._died_at_s = died_at_s
        words: SystemWords | None = None
        if ask_system:
            with anyio.move_on_after(self._sources.examine_within_s):
                words = await self._in_thread(partial(self._reader.examine, died_at_s, self._before(died_at_s)))
            words = words or SystemWords(no_answer=("the system (it took too long to answer)",))
        return self._told(words or SystemWords())

    async def late_evidence(self) -> MemoryEvidence | None:
        """Wait for a report that macOS writes after the death; None when none names this process in time.

        To be called after `evidence`, and never by somebody whom a client waits for.
        """
        if self._sources.system is not OperatingSystem.DARWIN:
            return None
        with anyio.move_on_after(self._sources.late_within_s):
            while True:
                await anyio.sleep(self._sources.late_interval_s)
                words = await self._in_thread(partial(self._reader.examine, self._died_at_s, None))
                told = self._told(words or SystemWords())
                if kill_of(told) is not None:
                    return told
        return None

    def close(self) -> None:
        """Give back what the reader holds; a thread that is stuck in it does that once it is free. Never blocks."""
        self._closed = True
        self._close_if_free()

    def _close_if_free(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                self._reader.close()
            finally:
                self._reading.release()

    def _before(self, died_at_s: float) -> MemorySample | None:
        settled = [one for one in self._samples if one.at_s <= died_at_s - _DYING_S]
        return settled[-1] if settled else next(iter(self._samples), None)

    def _told(self, words: SystemWords) -> MemoryEvidence:
        footprint = tuple(
            FootprintSample(round(self._died_at_s - one.at_s, 3), one.footprint_bytes, one.available_bytes)
            for one in self._samples
            if one.at_s <= self._died_at_s
        )
        fields = msgspec.structs.asdict(words)
        return MemoryEvidence(
            self._pid, self._reader.name, limit_bytes=self._reader.limit_bytes, footprint=footprint, **fields
        )

    async def _in_thread(self, read: Callable[[], _Answer]) -> _Answer | None:
        def guarded() -> _Answer | None:
            if not self._reading.acquire(timeout=self._sources.examine_within_s):
                return None
            try:
                return read()
            except Exception:  # noqa: BLE001 - evidence is lost, nothing else
                return None
            finally:
                self._reading.release()
                if self._closed:
                    self._close_if_free()

        return await anyio.to_thread.run_sync(guarded, abandon_on_cancel=True, limiter=self._threads)
