"""All that runners write, on its way to files, in a thread: a slow disk costs output, never a runner's time."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec

from supervisor.raw_log import RawLog
from supervisor.raw_log_folder import RawLogFolder


class RawLogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the raw logs.

    One stream of one rank and generation fills at most `max_file_bytes * max_files`; all generations together fill
    `max_total_bytes`, checked at each new generation. `max_queued_bytes` wait in memory for the disk.
    """

    max_file_bytes: int = 16 * 1024 * 1024
    max_files: int = 4
    max_total_bytes: int = 1024 * 1024 * 1024
    max_queued_bytes: int = 32 * 1024 * 1024


_DEFAULT_LIMITS = RawLogLimits()
_WRITE_BYTES = 1024 * 1024
_Stream = tuple[int, int, str]


class RawLogs:
    """The raw log files of one run, with one thread that writes them.

    Args:
        folder: Where they go.
        run_id: Names this run.
        limits: The bounds.
        observer: Takes one sentence when output is lost because the disk cannot keep up; called from the thread.
    """

    def __init__(
        self,
        folder: RawLogFolder,
        run_id: str,
        limits: RawLogLimits = _DEFAULT_LIMITS,
        observer: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._folder = folder
        self._run_id = run_id
        self._limits = limits
        self._observer = observer
        self._changed = threading.Condition()
        self._queue: deque[tuple[_Stream, bytes]] = deque()
        self._queued_bytes = 0
        self._missing_bytes: dict[_Stream, int] = {}
        self._closing = False
        self._logs: dict[_Stream, RawLog] = {}
        self._generation: int | None = None
        self.dropped_bytes = 0
        self._thread = threading.Thread(target=self._run, name="raw-logs", daemon=True)
        self._thread.start()

    def write(self, generation: int, rank: int, stream: str, data: bytes) -> None:
        """Hand output over. Any thread may call it; it never waits for a disk. What does not fit is counted."""
        key = (generation, rank, stream)
        with self._changed:
            if self._queued_bytes + len(data) > self._limits.max_queued_bytes:
                self._missing_bytes[key] = self._missing_bytes.get(key, 0) + len(data)
                self.dropped_bytes += len(data)
                return
            self._enqueue(key, self._gap(key) + data)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write the rest and leave; False when the disk does not take it in time. Blocks so long at most."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _enqueue(self, key: _Stream, data: bytes) -> None:
        if not self._queue:
            self._changed.notify_all()
        self._queue.append((key, data))
        self._queued_bytes += len(data)

    def _gap(self, key: _Stream) -> bytes:
        missing = self._missing_bytes.pop(key, 0)
        return f"\n[ringwarden: {missing} bytes are missing here, the disk was too slow]\n".encode() if missing else b""

    # --- the writer's thread ---

    def _run(self) -> None:
        said_bytes = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    for key in tuple(self._missing_bytes):
                        self._enqueue(key, self._gap(key))
                    if not self._queue:
                        break
                key, pieces = self._next_pieces()
            data = b"".join(pieces)
            self._write(key, data)
            with self._changed:
                # Only now: what is being written is in memory, too.
                for _ in pieces:
                    self._queue.popleft()
                self._queued_bytes -= len(data)
                lost_bytes = 0 if self._queue else self.dropped_bytes - said_bytes
            if lost_bytes:
                said_bytes += lost_bytes
                self._observer(f"{lost_bytes} bytes of output are not in the raw logs: the disk was too slow")
        self._close_all()

    def _next_pieces(self) -> tuple[_Stream, list[bytes]]:
        """Return what one call can write: pieces that follow each other and belong to one stream."""
        first, size_bytes, pieces = self._queue[0][0], 0, list[bytes]()
        for key, data in self._queue:
            size_bytes += len(data)
            if key != first or (pieces and size_bytes > _WRITE_BYTES):
                break
            pieces.append(data)
        return first, pieces

    def _write(self, key: _Stream, data: bytes) -> None:
        generation, rank, stream = key
        if self._generation is None or generation > self._generation:
            self._begin(generation)
        log = self._logs.get(key)
        if log is None:
            path = self._folder.file(self._run_id, generation, rank, stream)
            with suppress(OSError):  # the log itself says what it cannot write, and why
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = self._logs[key] = RawLog(
                path, max_file_bytes=self._limits.max_file_bytes, max_files=self._limits.max_files
            )
        log.write(data)

    def _begin(self, generation: int) -> None:
        self._close_all()
        self._generation = generation
        with suppress(OSError):
            self._folder.prune(self._limits.max_total_bytes, keep=self._folder.generation(self._run_id, generation))

    def _close_all(self) -> None:
        for log in self._logs.values():
            log.close()
        self._logs.clear()
