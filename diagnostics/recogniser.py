"""One stream's lines -> findings: signatures, tracebacks, wrapped messages, JSON records."""

from dataclasses import dataclass, replace

from diagnostics.dull_lines import DullLines
from diagnostics.evidence import OperatingSystem
from diagnostics.matcher import WHOLE_CATALOGUE, Match, Matcher, message_of
from diagnostics.signature import Signature, Strength
from diagnostics.signatures.python import BACKGROUND_EXCEPTION, PYTHON_EXCEPTION
from diagnostics.text import Level, body, clean, level_before, log_record, restored, tells_of_recovery
from diagnostics.traceback_blocks import Raised, TracebackReader, is_ignored, lone_exception

_LEAVING = ("KeyboardInterrupt", "SystemExit", "CancelledError", "GeneratorExit")
"""Exceptions that mean "asked to leave", not "broken": weaker than any other."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A recognised line. Findings with the same `key` are the same failure, seen again.

    `raised` ones stand at the end of a traceback; `announced` says that a warning in front of it spoke of it, `handled`
    that the program went on: no failure then, unless the process ended there after all.
    """

    signature: Signature
    index: int
    text: str
    message: str
    key: str
    raised: bool = False
    announced: bool = False
    handled: bool = False


class Recogniser:
    """Gives each line its meaning in the light of the lines before it.

    Args:
        operating_system: The system that wrote the log; decides how errno numbers read.
        matcher: The catalogue that lines are read with.
    """

    def __init__(self, operating_system: OperatingSystem, matcher: Matcher = WHOLE_CATALOGUE) -> None:
        self._system = operating_system
        self._matcher = matcher
        self._tracebacks = TracebackReader()
        self._held: Finding | None = None
        self._watch_next = False
        self._told_index = -1
        self._dull = DullLines(matcher.numbered_keywords)

    @property
    def idle(self) -> bool:
        """Whether a line without anything suspicious in it may be left out."""
        return self._held is None and not self._watch_next and not self._tracebacks.active

    @property
    def in_traceback(self) -> bool:
        """Whether the next line may belong to a traceback."""
        return self._tracebacks.active

    @property
    def held(self) -> tuple[Finding, ...]:
        """A finding that waits for the next line, which may say more."""
        return () if self._held is None else (self._held,)

    def examine(
        self, index: int, raw_text: str, previous: tuple[int, str], *, suspicious: bool = True
    ) -> list[Finding]:
        """Take the next line.

        Args:
            index: Its number in the stream.
            raw_text: As it was written.
            previous: Number and text of the line before it, because messages get wrapped; an empty text for none.
            suspicious: Whether the line itself is a reason to look at the one after it.
        """
        self._watch_next = suspicious
        quiet = self._held is None and not self._tracebacks.active
        if quiet and self._dull.has(previous[1], raw_text):
            return []
        findings = self._examine(index, raw_text, previous)
        still_quiet = quiet and not findings and self._held is None and not self._tracebacks.active
        if still_quiet and previous[0] != self._told_index:
            self._dull.add(previous[1], raw_text)
        if findings and findings[-1].signature.strength > Strength.GENERIC:
            self._told_index = findings[-1].index
        return findings

    def _examine(self, index: int, raw_text: str, previous: tuple[int, str]) -> list[Finding]:
        text = restored(clean(raw_text))
        record = log_record(text)
        if record is not None:
            level, lines = record
            findings = [] if level is Level.BENIGN else self._record(index, lines)
            return self._release() + findings
        return self._line(index, text, previous[0], restored(clean(previous[1])))

    def flush(self) -> list[Finding]:
        """What is still held back, at the end of the stream."""
        return self._release()

    def _record(self, index: int, lines: tuple[str, ...]) -> list[Finding]:
        inner = Recogniser(self._system, self._matcher)
        findings: list[Finding] = []
        for line in lines[:200]:
            findings += inner.examine(index, line[:4000].lstrip("{"), (index, ""))
        return findings + inner.flush()

    def _line(self, index: int, text: str, previous_index: int, previous: str) -> list[Finding]:
        content = body(text)
        raised = self._tracebacks.feed(index, content, previous)
        if raised is not None:
            return self._release() + self._end_of_traceback(raised, text)
        match = self._matcher.best_printed(text) or (self._matcher.best_printed(content) if content != text else None)
        if self._tracebacks.active and match is not None and not match.signature.native:
            match = None
        if (match is None or match.signature.fallback) and previous and previous_index != self._told_index:
            wrapped = self._matcher.best_wrapped(previous, text)
            if wrapped is not None and (match is None or wrapped.rank < match.rank):
                return self._wrapped(wrapped, previous_index, previous)
        if match is not None:
            return self._matched(match, index, text)
        return self._release() + ([] if is_ignored(previous) else self._lone(index, text, content))

    def _matched(self, match: Match, index: int, text: str) -> list[Finding]:
        finding = self._finding(match, index, text)
        if self._held is not None and _family(self._held.signature) == _family(match.signature):
            self._held = None  # the same failure, told better
        released = self._release()
        if match.signature.fallback:
            self._held = finding
            return released
        return [*released, finding]

    def _wrapped(self, match: Match, first_index: int, first_text: str) -> list[Finding]:
        held, self._held = self._held, None
        if held is not None:
            first_index, first_text = held.index, held.text
        return [self._finding(match, first_index, first_text)]

    def _lone(self, index: int, text: str, content: str) -> list[Finding]:
        if self._tracebacks.active or level_before(text, len(text)) is not Level.NONE or tells_of_recovery(text):
            return []
        raised = lone_exception(index, content)
        return [] if raised is None else [self._exception(raised, text)]

    def _end_of_traceback(self, raised: Raised, text: str) -> list[Finding]:
        if raised.ignored:
            return []
        finding = replace(
            self._exception(raised, text), raised=True, announced=raised.announced, handled=raised.client_left
        )
        # An exception that only wraps the one before it adds nothing, unless the catalogue knows its text.
        wraps = raised.chained and finding.signature.strength <= Strength.GENERIC
        return [] if wraps else [finding]

    def _exception(self, raised: Raised, text: str) -> Finding:
        match = self._matcher.best_raised(f"{raised.type_name}: {raised.message}", raised.context)
        if match is not None and match.signature.strength > Strength.GENERIC:
            return self._finding(match, raised.index, text)
        weak = raised.background or raised.type_name.rpartition(".")[2] in _LEAVING
        signature = BACKGROUND_EXCEPTION if weak else PYTHON_EXCEPTION
        said = f"; its message was: {raised.message[:300]}" if raised.message else ""
        message = signature.message.format(type=raised.type_name) + said
        return Finding(signature, raised.index, text, message, f"{signature.id}:{raised.type_name}")

    def _finding(self, match: Match, index: int, text: str) -> Finding:
        return Finding(match.signature, index, text, message_of(match, self._system), match.signature.id)

    def _release(self) -> list[Finding]:
        held, self._held = self._held, None
        return [] if held is None else [held]


def _family(signature: Signature) -> str:
    return signature.id.partition(".")[0]
