"""A log in which a launcher mixed several processes -> one stream for each of them, read apart."""

from collections.abc import Iterator

import msgspec

from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import Diagnostic, OperatingSystem, StreamReport
from diagnostics.launcher_reports import LauncherReport, launcher_reports, stopped_by_launcher
from diagnostics.line_origins import LineOrigins
from diagnostics.log_system import LogSystem
from diagnostics.stream_tags import MAX_RANK, tagged_lines
from diagnostics.text import clean

DEFAULT_MAX_STREAMS = 64
DEFAULT_MAX_LINE_BYTES = 64 * 1024


class TaggedStream(msgspec.Struct, frozen=True):
    """What one process wrote: its lines only, numbered and quoted as in the log, tags included.

    `label` is empty for the lines without a tag. `rank` is None where the tag names no rank.
    """

    label: str
    rank: int | None
    report: StreamReport


class RankEnd(msgspec.Struct, frozen=True):
    """A launcher's report of one process's end, on `line` of the log; the first one for each process."""

    report: LauncherReport
    line: int
    stopped: bool


class LogReport(msgspec.Struct, frozen=True):
    """A log, read in both ways: as one stream, and taken apart by its tags.

    `streams` has the tagged ones in the order of their first lines, then the one without tags.
    `operating_system` is the one that the log was read for.
    """

    whole: StreamReport
    streams: tuple[TaggedStream, ...]
    ends: tuple[RankEnd, ...]
    operating_system: OperatingSystem

    @property
    def mixed(self) -> bool:
        """Whether at least two processes wrote it, as far as tags tell."""
        return sum(1 for one in self.streams if one.label) > 1


class LogReader:
    """Reads one log of any origin and size, in any chunking, in bounded memory. Pure; never raises on what it reads.

    Args:
        operating_system: The system that wrote the log; None to let the log tell.
        otherwise: The system to assume where the log does not tell.
        max_streams: Further tags than these are read as lines without a tag.
        max_line_bytes: Longer lines are read in pieces; only the beginning of a line is searched for a tag.
    """

    def __init__(
        self,
        operating_system: OperatingSystem | None,
        otherwise: OperatingSystem,
        *,
        max_streams: int = DEFAULT_MAX_STREAMS,
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
    ) -> None:
        self._given = operating_system
        self._otherwise = otherwise
        self._marks = LogSystem()
        self._max_streams = max_streams
        self._max_line_bytes = max_line_bytes
        self._whole: DiagnosticCollector | None = None
        self._streams: dict[str, _Stream] = {}
        self._ends: dict[str, RankEnd] = {}
        self._pending = b""
        self._unfinished: _Stream | None = None
        self._line = 0

    def feed(self, data: bytes) -> None:
        """Take a chunk. The first one, if it is not a tiny one, decides whose errno numbers these are."""
        self._marks.feed(data)
        self._collector().feed(data)
        data = self._rest_of_long_line(data)
        if self._unfinished is not None:
            return
        data = self._pending + data
        end = data.rfind(b"\n") + 1
        self._pending = data[end:]
        self._read(data[:end])
        if len(self._pending) > self._max_line_bytes:
            self._unfinished = self._read(self._pending)
            self._pending = b""

    def finish(self) -> LogReport:
        """The log has ended. Call once."""
        self._read(self._pending)
        self._pending = b""
        tagged = [stream for stream in self._streams.values() if stream.label]
        untagged = [stream for stream in self._streams.values() if not stream.label]
        return LogReport(
            whole=self._collector().finish(),
            streams=tuple(TaggedStream(one.label, one.rank, one.report()) for one in (*tagged, *untagged)),
            ends=tuple(self._ends.values()),
            operating_system=self._system(),
        )

    def _system(self) -> OperatingSystem:
        return self._given or self._marks.told() or self._otherwise

    def _collector(self) -> DiagnosticCollector:
        if self._whole is None:
            self._whole = DiagnosticCollector(self._system())
        return self._whole

    def _rest_of_long_line(self, data: bytes) -> bytes:
        """Give the stream whose line is still going on its part of `data`; return the rest."""
        if self._unfinished is None:
            return data
        end = data.find(b"\n") + 1
        self._unfinished.feed(data[:end] if end else data)
        if not end:
            return b""
        self._unfinished = None
        self._line += 1
        return data[end:]

    def _read(self, block: bytes) -> "_Stream | None":
        """Share out whole lines, or the beginning of one; return the stream that has the last of them."""
        if not block:
            return None
        self._note_ends(block)
        stream = None
        for start, text_start, end, label, rank in _parts(block):
            stream = self._stream(label, rank)
            count = block.count(b"\n", text_start, end)
            own = text_start if stream.label else start
            stream.take(self._line, block[start:own], block[own:end], max(1, count))
            self._line += count
        for one in self._streams.values():
            one.read_taken()
        return stream

    def _stream(self, label: str, rank: int | None) -> "_Stream":
        if label not in self._streams:
            if label and len(self._streams) >= self._max_streams:
                return self._stream("", None)
            self._streams[label] = _Stream(label, rank, self._system())
        return self._streams[label]

    def _note_ends(self, block: bytes) -> None:
        for found in launcher_reports(block):
            if found.label in self._ends or len(self._ends) > MAX_RANK:
                continue
            line = self._line + block.count(b"\n", 0, found.offset)
            earlier = any(end.report.status is None or end.report.status.code != 0 for end in self._ends.values())
            self._ends[found.label] = RankEnd(found, line, stopped_by_launcher(found, earlier))


def _parts(block: bytes) -> Iterator[tuple[int, int, int, str, int | None]]:
    """`block` in tagged lines and what is between them: start, start of the text, end, label, rank."""
    position = 0
    for found in tagged_lines(block):
        if found.start > position:
            yield position, position, found.start, "", None
        position = block.find(b"\n", found.text_start) + 1 or len(block)
        yield found.start, found.text_start, position, found.label, found.rank
    if position < len(block):
        yield position, position, len(block), "", None


class _Stream:
    """One process's lines, and where in the log they stood."""

    def __init__(self, label: str, rank: int | None, system: OperatingSystem) -> None:
        self.label = label
        self.rank = rank
        self._collector = DiagnosticCollector(system)
        self._origins = LineOrigins(self._quoted_lines)
        self._taken: list[bytes] = []

    def take(self, log_line: int, tag: bytes, text: bytes, count: int) -> None:
        """The next `count` lines, without their tag."""
        self._origins.note(log_line, tag, count)
        self._taken.append(text)

    def read_taken(self) -> None:
        """Read what was taken, all at once: that is faster than line by line."""
        if self._taken:
            self._collector.feed(b"".join(self._taken))
            self._taken.clear()
            self._origins.trim()

    def feed(self, text: bytes) -> None:
        """More of the line that was taken last."""
        self._collector.feed(text)

    def report(self) -> StreamReport:
        """What is known, with lines and text as in the log."""
        report = self._collector.finish()
        root = None if report.root_cause is None else self._as_in_log(report.root_cause)
        return msgspec.structs.replace(
            report, diagnostics=tuple(self._as_in_log(one) for one in report.diagnostics), root_cause=root
        )

    def _as_in_log(self, one: Diagnostic) -> Diagnostic:
        numbered = zip(one.evidence, one.evidence_lines, strict=True)
        return msgspec.structs.replace(
            one,
            line=self._origins.log_line(one.line),
            text=self._with_tag(one.text, one.line),
            evidence=tuple(self._with_tag(text, line) for text, line in numbered),
            evidence_lines=tuple(self._origins.log_line(line) for line in one.evidence_lines),
        )

    def _with_tag(self, text: str, line: int) -> str:
        return clean(self._origins.tag(line) + text)

    def _quoted_lines(self) -> Iterator[int]:
        for one in self._collector.report(drained=False).diagnostics:
            yield one.line
            yield from one.evidence_lines
