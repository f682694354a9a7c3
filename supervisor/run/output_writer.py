"""Our own stdout or stderr, written by a thread: a reader that does not read costs output, never a rank's time."""

import os
import select
import threading
from collections import deque
from collections.abc import Callable

DEFAULT_MAX_PENDING_BYTES = 16 * 1024 * 1024


class OutputWriter:
    """Writes blocks in the order in which they came, each whole: two never mix, whatever the size.

    Args:
        fd: Where to; stays open.
        notice: Makes the text that stands where output is missing, from the number of lines and bytes.
        on_gone: Called once from the thread when nobody reads any more.
        max_pending_bytes: What may wait for the reader. When it is full, output is dropped and counted until half of
            it is free again.
    """

    def __init__(
        self,
        fd: int,
        notice: Callable[[int, int], bytes],
        on_gone: Callable[[], None] = lambda: None,
        max_pending_bytes: int = DEFAULT_MAX_PENDING_BYTES,
    ) -> None:
        self._fd = fd
        self._notice = notice
        self._on_gone = on_gone
        self._max_pending_bytes = max_pending_bytes
        self._changed = threading.Condition()
        self._blocks: deque[tuple[int, bytes]] = deque()
        self._pending_bytes = 0
        self._missing_lines = 0
        self._missing_bytes = 0
        self._full = False
        self._closing = False
        self._gone = False
        # A thread that waits for a reader must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"output-{fd}", daemon=True)
        self._thread.start()

    def write(self, block: bytes, fd: int | None = None) -> None:
        """Hand over whole lines; never waits for the reader. What does not fit is counted and said.

        Args:
            block: The lines.
            fd: Another descriptor for this block, of the same file.
        """
        with self._changed:
            if self._full or self._pending_bytes + len(block) > self._max_pending_bytes:
                self._full = True
                self._missing_lines += block.count(b"\n")
                self._missing_bytes += len(block)
                return
            self._put(self._gap() + block, fd)

    def say(self, text: bytes, fd: int | None = None) -> None:
        """Hand over words of our own, which are never dropped: there are few of them."""
        with self._changed:
            self._put(self._gap() + text, fd)

    def close(self) -> None:
        """Nothing follows; the thread ends when all is written."""
        with self._changed:
            gap = self._gap()
            if gap:
                self._put(gap, None)
            self._closing = True
            self._changed.notify_all()

    def wait_written(self, timeout_s: float) -> bool:
        """After `close`: wait until the reader has taken everything, or is gone; False when that takes longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _put(self, text: bytes, fd: int | None) -> None:
        if self._gone or not text:
            return
        if not self._blocks:
            self._changed.notify_all()
        self._blocks.append((self._fd if fd is None else fd, text))
        self._pending_bytes += len(text)

    def _gap(self) -> bytes:
        if not self._missing_bytes:
            return b""
        notice = self._notice(self._missing_lines, self._missing_bytes)
        self._missing_lines = self._missing_bytes = 0
        return notice

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._blocks or self._closing)
                if not self._blocks:
                    return
                fd, text = self._blocks[0]
            try:
                _write_all(fd, text)
            except OSError:
                self._lose_reader()
                return
            with self._changed:
                self._blocks.popleft()
                self._pending_bytes -= len(text)
                if self._pending_bytes <= self._max_pending_bytes // 2:
                    self._full = False

    def _lose_reader(self) -> None:
        with self._changed:
            self._gone = True
            self._blocks.clear()
            self._pending_bytes = 0
        self._on_gone()


def _write_all(fd: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            # Somebody who shares the descriptor with us made it non-blocking.
            select.select([], [fd], [])
