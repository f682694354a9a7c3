"""The streams that take the place of `sys.stdout` and `sys.stderr`."""

import io
import threading
from typing import Any, TextIO

from runner.attribution.task_output import TaskOutput
from transports.output_events import OutputStream


class _Forwarding(threading.local):
    """Whether this thread's text is on its way through what is in a stream's place, and whether it came out."""

    active = False
    reached = False


_forwarding = _Forwarding()


class TeeStream(io.TextIOBase):
    """A text stream whose writes are reported and reach the real descriptor exactly once.

    What is wrapped is asked for everything but writing. When it is not the descriptor's own stream but something that a
    program put in its place, it is written to as well.

    Args:
        wrapped: The stream that was there.
        stream: Which of the two it is.
        output: Where lines are reported.
    """

    def __init__(self, wrapped: TextIO, stream: OutputStream, output: TaskOutput) -> None:
        super().__init__()
        self.wrapped = wrapped
        self._stream: OutputStream = stream
        self._output = output
        self._is_descriptor = _descriptor_of(wrapped) == output.descriptor_of(stream)
        self._binary = _BinaryTee(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.wrapped, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return getattr(self.wrapped, "errors", None) or "backslashreplace"

    @property
    def buffer(self) -> "_BinaryTee":
        return self._binary

    def write(self, text: str, /) -> int:
        """Write text at once; nothing is buffered.

        Raises:
            UnicodeEncodeError: As the wrapped stream would.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            self._write(text.encode(self.encoding, self.errors), text)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write what came through `buffer`."""
        if data:
            self._write(data, data.decode(self.encoding, "replace"))

    def _write(self, data: bytes, text: str) -> None:
        # What is in place of a stream may end in an older tee, which must not report the same text again.
        outermost = not _forwarding.active
        if outermost:
            self._output.report(self._stream, data)
        if self._is_descriptor:
            _forwarding.reached = True
            self._output.write(self._stream, data)
        elif outermost:
            _forwarding.active, _forwarding.reached = True, False
            try:
                self.wrapped.write(text)
            finally:
                _forwarding.active = False
            if not _forwarding.reached:
                self._output.write(self._stream, data)
        else:
            self.wrapped.write(text)

    def flush(self) -> None:
        """Flush the wrapped stream."""
        self.wrapped.flush()

    def fileno(self) -> int:
        return self.wrapped.fileno()

    def isatty(self) -> bool:
        return self.wrapped.isatty()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing: closing it would take the output from all tasks."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)


class _BinaryTee(io.RawIOBase):
    """`buffer` of a tee."""

    def __init__(self, tee: TeeStream) -> None:
        super().__init__()
        self._tee = tee

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        taken = bytes(data)
        self._tee.write_bytes(taken)
        return len(taken)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._tee.fileno()

    def isatty(self) -> bool:
        return self._tee.isatty()

    def close(self) -> None:
        """Do nothing, like the tee."""

    @property
    def raw(self) -> "_BinaryTee":
        return self


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
