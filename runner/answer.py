"""One task's answer on its way out: a model's text in, what its client is shown out. Pure."""

from collections.abc import Sequence

import msgspec

from runner.answer_scanner import AnswerScanner, Kind, Segment, ToolCall
from runner.held_logprobs import HeldLogprobs
from runner.stop_sequences import StopScanner
from transports.answers import TokenCandidate, TokenLogprobs
from transports.messages import SamplingParameters


class Shown(msgspec.Struct):
    """What one token, or the end, makes visible. `stop_sequence` and `is_enough` say that the answer is over."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = []
    logprobs: list[TokenLogprobs] = []
    stop_sequence: str | None = None
    is_enough: bool = False


class Answer:
    """The machine: first stop sequences, which hold for all that the model writes, then what the text is.

    Args:
        scanner: Fresh.
        sampling: The task's: stop sequences, and how many calls are enough.
    """

    def __init__(self, scanner: AnswerScanner, sampling: SamplingParameters) -> None:
        self._scanner = scanner
        self._stops = StopScanner(sampling.stop)
        self._max_calls = sampling.max_tool_calls
        self._logprobs = HeldLogprobs()
        self.calls = 0
        self.reasoning_tokens = 0

    def push(self, text: str, candidates: Sequence[TokenCandidate] = ()) -> Shown:
        """Take one token's text, and its candidates, the chosen one first, where they were asked for."""
        self.reasoning_tokens += self._scanner.is_reasoning
        if candidates:
            self._logprobs.hold(candidates, text)
        text, stop = self._stops.push(text)
        return self._ended_by(stop, text) if stop else self._show(self._scanner.push(text))

    def end(self, text: str, *, is_whole: bool) -> Shown:
        """Take the text of an incomplete end, and return all that was held back.

        Args:
            text: From the detokenizer.
            is_whole: The model ended its answer by itself.
        """
        text, stop = self._stops.push(text)
        if stop:
            return self._ended_by(stop, text)
        segments = self._scanner.push(text + self._stops.flush())
        shown = self._show([*segments, *self._scanner.flush(is_whole=is_whole)])
        if not self._scanner.is_reasoning:
            shown.logprobs += self._logprobs.rest()
        return shown

    def _ended_by(self, stop: str, text: str) -> Shown:
        segments = self._scanner.push(text)
        shown = self._show([*segments, *self._scanner.flush(is_whole=False)])
        shown.stop_sequence = stop
        return shown

    def _show(self, segments: Sequence[Segment]) -> Shown:
        shown = Shown()
        for segment in segments:
            match segment.kind:
                case Kind.TEXT:
                    shown.text += segment.text
                    shown.logprobs += self._logprobs.show(len(segment.text))
                case Kind.REASONING:
                    shown.reasoning += segment.text
                    self._logprobs.drop(len(segment.text))
                case Kind.CALL:
                    self._logprobs.drop(len(segment.text))
                    self._take(segment.calls, shown)
                    if shown.is_enough:
                        break
                case Kind.HIDDEN:
                    self._logprobs.drop(len(segment.text))
        return shown

    def _take(self, calls: Sequence[ToolCall], shown: Shown) -> None:
        for call in calls:
            shown.calls.append(call)
            self.calls += 1
            if self.calls == self._max_calls:
                shown.is_enough = True
                return
