"""What a person or a script sees of a run while it goes on."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from supervisor.process.child import StreamName
from supervisor.run.output_writer import OutputWriter

# Blue is left out: it cannot be read on black.
_RANK_COLOURS = (36, 33, 32, 35, 31, 96, 93, 92)
STDOUT, STDERR = 1, 2


class Printer(Protocol):
    """Takes what ranks write, whole lines (or, from a single rank, bytes as they come), and what happens to them."""

    wants_lines: bool

    def on_output(self, generation: int, rank: int, stream: StreamName, lines: bytes) -> None:
        """A rank wrote these lines."""

    def on_event(self, event: str, fields: Mapping[str, object]) -> None:
        """Something happened: `start`, `exit`, `verdict`, `restart` or `end`."""


class Outputs:
    """Our stdout and stderr. When both are the same file, one thread writes both, so that their lines cannot mix.

    Args:
        notice: See `OutputWriter`.
        on_gone: Called from a thread when nobody reads our stdout any more.
    """

    def __init__(self, notice: Callable[[int, int], bytes], on_gone: Callable[[], None]) -> None:
        self._stdout = OutputWriter(STDOUT, notice, on_gone)
        self._stderr = self._stdout if _same_file(STDOUT, STDERR) else OutputWriter(STDERR, notice)

    def write(self, stream: StreamName, block: bytes) -> None:
        """Hand over output of a rank."""
        if stream == "stdout":
            self._stdout.write(block, STDOUT)
        else:
            self._stderr.write(block, STDERR)

    def say(self, stream: StreamName, text: bytes) -> None:
        """Hand over words of our own."""
        if stream == "stdout":
            self._stdout.say(text, STDOUT)
        else:
            self._stderr.say(text, STDERR)

    def close(self) -> None:
        """Nothing follows."""
        self._stdout.close()
        self._stderr.close()

    def wait_written(self, timeout_s: float) -> bool:
        """See `OutputWriter`."""
        ends_at = time.monotonic() + timeout_s
        written = [writer.wait_written(max(0.0, ends_at - time.monotonic())) for writer in (self._stderr, self._stdout)]
        return all(written)


class TextPrinter:
    """Lines of several ranks get a prefix, coloured on a terminal; the output of a single rank passes unchanged.

    Args:
        outputs: Where to.
        world_size: How many ranks there are.
        colour: Whether a stream takes colours.
    """

    def __init__(self, outputs: Outputs, world_size: int, colour: Callable[[StreamName], bool]) -> None:
        self.wants_lines = world_size > 1
        self._outputs = outputs
        self._prefixes: dict[tuple[int, StreamName], bytes] = {}
        width = len(str(world_size - 1))
        for rank in range(world_size):
            for stream in ("stdout", "stderr"):
                self._prefixes[rank, stream] = _prefix(rank, width, coloured=colour(stream))

    def on_output(self, generation: int, rank: int, stream: StreamName, lines: bytes) -> None:
        """Print them."""
        if self.wants_lines:
            prefix = self._prefixes[rank, stream]
            lines = prefix + lines[:-1].replace(b"\n", b"\n" + prefix) + b"\n"
        self._outputs.write(stream, lines)

    def on_event(self, event: str, fields: Mapping[str, object]) -> None:
        """Only a restart needs a word; the verdict is told at the end."""
        if event == "restart":
            self._outputs.say("stderr", f"ringwarden: starting again in {fields['delay_s']:.1f} s\n".encode())


class JsonPrinter:
    """One JSON object for each line and event, all on our stdout.

    Args:
        outputs: Where to.
    """

    wants_lines = True

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._encode = msgspec.json.Encoder().encode

    def on_output(self, generation: int, rank: int, stream: StreamName, lines: bytes) -> None:
        """Print one object for each line."""
        now = time.time()
        head = {"event": "output", "time": now, "generation": generation, "rank": rank, "stream": stream}
        texts = lines[:-1].decode("utf-8", "replace").split("\n")
        self._outputs.write("stdout", b"".join(self._encode({**head, "line": text}) + b"\n" for text in texts))

    def on_event(self, event: str, fields: Mapping[str, object]) -> None:
        """Print it."""
        self._outputs.say("stdout", self._encode({"event": event, "time": time.time(), **fields}) + b"\n")


def text_notice(lines: int, size_bytes: int) -> bytes:
    """What a person reads where output is missing."""
    words = f"{lines} lines ({size_bytes} bytes) are not shown here: the reader was too slow. Look into the log files"
    return f"[ringwarden: {words}]\n".encode()


def json_notice(lines: int, size_bytes: int) -> bytes:
    """The same for a script."""
    return msgspec.json.encode({"event": "dropped", "time": time.time(), "lines": lines, "bytes": size_bytes}) + b"\n"


def _prefix(rank: int, width: int, *, coloured: bool) -> bytes:
    text = f"[{rank:>{width}}]"
    if coloured:
        text = f"\x1b[{_RANK_COLOURS[rank % len(_RANK_COLOURS)]}m{text}\x1b[0m"
    return text.encode() + b" "


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False
