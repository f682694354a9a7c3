"""Takes a model's text apart while it arrives: text for people, reasoning, and calls of tools. Pure.

A model writes marks, such as `<think>` and `<tool_call>`; what each one leads to is its `AnswerFormat`. Marks are
found in text, not in tokens: a tokenizer may join a mark's last letter with what follows.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from runner.text_matching import first_to_end, unfinished

REASONING = "reasoning"
CALL = "tool"
TEXT = "normal"


class AnswerFormat(msgspec.Struct, frozen=True):
    """For each state the marks that end it, and the state that each leads to. In any unnamed state, text is text.

    The states' names are mlx-lm's: `reasoning`, `tool`; all others hold text.
    """

    initial: str = TEXT
    marks: Mapping[str, Sequence[tuple[str, str]]] = {}


PLAIN = AnswerFormat()


class ToolCall(msgspec.Struct, frozen=True):
    """One call that a model wrote. `call_id` is None unless the model names its calls; `arguments` is an object."""

    name: str
    arguments: str
    call_id: str | None = None


ToolParser = Callable[[str], Sequence[ToolCall]]
"""Reads what stands between the marks of calls; no calls when it cannot."""


def no_calls(text: str) -> Sequence[ToolCall]:
    """The parser for models and tasks without tools."""
    del text
    return ()


class Kind(StrEnum):
    """What a piece of a model's text is. `HIDDEN` is for nobody: marks, and white space right after them."""

    TEXT = "text"
    REASONING = "reasoning"
    CALL = "call"
    HIDDEN = "hidden"


class Segment(NamedTuple):
    """A piece of a model's text, as it was written. `calls` are those that a `CALL` is about, at least one."""

    kind: Kind
    text: str
    calls: Sequence[ToolCall] = ()


class AnswerScanner:
    """The machine. All segments together are the text that was taken, less what is held back.

    Held back is what may become a mark, at most a mark's length minus one, and a call until it is whole. A call
    that the parser cannot read, or that is too long, is text, its marks included: nothing that a model wrote for its
    reader is lost.

    Args:
        answer_format: The model's marks.
        parse: The model's parser of calls.
        max_call_characters: Longest text between the marks of a call.
    """

    def __init__(
        self,
        answer_format: AnswerFormat = PLAIN,
        parse: ToolParser = no_calls,
        *,
        max_call_characters: int = 1024 * 1024,
    ) -> None:
        self._marks = {
            state: {mark: target for mark, target in edges if mark} for state, edges in answer_format.marks.items()
        }
        self._parse = parse
        self._state = answer_format.initial
        self._held = ""
        self._call: list[str] = []
        self._call_room = self._max_call_characters = max_call_characters
        self._call_mark = ""
        self._after_mark = False

    @property
    def is_reasoning(self) -> bool:
        """Whether the text that comes next is reasoning, as far as is known."""
        return self._state == REASONING

    def push(self, text: str) -> list[Segment]:
        """Take text and return what is known of it."""
        if not self._marks:
            return [Segment(Kind.REASONING if self.is_reasoning else Kind.TEXT, text)] if text else []
        segments: list[Segment] = []
        rest, self._held = self._held + text, ""
        while rest:
            found = first_to_end(rest, self._edges)
            known = len(rest) - unfinished(rest, self._edges) if found is None else found[0]
            if self._state == CALL and known > (room := self._call_room):
                self._go_on(rest[:room], segments)
                self._end_call("", segments, readable=False)
                self._state, rest = TEXT, rest[room:]
                continue
            self._go_on(rest[:known], segments)
            if found is None:
                self._held = rest[known:]
                break
            self._pass(found[1], segments)
            rest = rest[known + len(found[1]) :]
        return segments

    def flush(self, *, is_whole: bool) -> list[Segment]:
        """Return what was held back; the text is over.

        Args:
            is_whole: The model ended its text by itself. Only then an open call is read: some models end calls so.
        """
        segments: list[Segment] = []
        rest, self._held = self._held, ""
        self._go_on(rest, segments)
        if self._state == CALL:
            self._end_call("", segments, readable=is_whole)
        return segments

    @property
    def _edges(self) -> Mapping[str, str]:
        return self._marks.get(self._state, {})

    def _pass(self, mark: str, segments: list[Segment]) -> None:
        """Go to the next state."""
        target = self._edges[mark]
        if self._state == CALL:
            self._end_call(mark, segments, readable=True)
        elif target == CALL:
            self._call_mark = mark
        else:
            segments.append(Segment(Kind.HIDDEN, mark))
            self._after_mark = True
        self._state = target

    def _go_on(self, text: str, segments: list[Segment]) -> None:
        """Take text of the present state."""
        if self._state == CALL:
            self._call.append(text)
            self._call_room -= len(text)
            return
        if self._after_mark:
            shown = text.lstrip()
            if len(shown) < len(text):
                segments.append(Segment(Kind.HIDDEN, text[: len(text) - len(shown)]))
            self._after_mark = not shown
            text = shown
        if text:
            segments.append(Segment(Kind.REASONING if self.is_reasoning else Kind.TEXT, text))

    def _end_call(self, mark: str, segments: list[Segment], *, readable: bool) -> None:
        body, self._call, self._call_room = "".join(self._call), [], self._max_call_characters
        text = self._call_mark + body + mark
        calls = self._parse(body) if readable else ()
        segments.append(Segment(Kind.CALL, text, calls) if calls else Segment(Kind.TEXT, text))
        self._after_mark = bool(calls)
