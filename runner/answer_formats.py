"""Which marks a model writes, as mlx-lm knows it from the model's tokenizer and chat template."""

from collections.abc import Mapping, Sequence

from runner.answer_scanner import CALL, PLAIN, REASONING, TEXT, AnswerFormat, AnswerScanner
from runner.mlx_binding import Tokenizer
from runner.tool_calls import tool_parser
from transports.messages import ChatPrompt, Prompt

# A template may open the reasoning itself. That is at the prompt's very end, where no message's text can be.
_END_TOKENS = 32


def scanner_for(tokenizer: Tokenizer, prompt: Prompt, tokens: Sequence[int]) -> AnswerScanner:
    """Return what takes an answer apart. Only chats are: what follows bare text is text.

    Args:
        tokenizer: The model's.
        prompt: The task's; calls are looked for only when it offers tools.
        tokens: The prompt as the model reads it.
    """
    if not isinstance(prompt, ChatPrompt):
        return AnswerScanner(PLAIN)
    answer_format = AnswerFormat(_initial_state(tokenizer, tokens), _marks(tokenizer, calls=bool(prompt.tools)))
    if prompt.tools and tokenizer.tool_parser is not None:
        return AnswerScanner(answer_format, tool_parser(tokenizer.tool_parser, prompt.tools))
    return AnswerScanner(answer_format)


def can_think(tokenizer: Tokenizer) -> bool:
    """Return whether a model marks what it thinks, so that it can be told from its answers."""
    targets = (target for edges in _marks(tokenizer, calls=False).values() for _, target in edges)
    return tokenizer.response_initial_state == REASONING or REASONING in targets


def _initial_state(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    if tokenizer.response_initial_state is not None:
        return tokenizer.response_initial_state
    if tokenizer.think_start is not None:
        end = tokenizer.decode(list(tokens[-_END_TOKENS:]))
        if end.rstrip().endswith(tokenizer.think_start):
            return REASONING
    return TEXT


def _marks(tokenizer: Tokenizer, *, calls: bool) -> Mapping[str, Sequence[tuple[str, str]]]:
    """The transitions of mlx-lm's own server; without calls, those that lead to a call are left out."""
    marks: dict[str, list[tuple[str, str]]] = {}

    def add(state: str, mark: str | None, target: str) -> None:
        if mark and (calls or CALL not in (state, target)):
            marks.setdefault(state, []).append((mark, target))

    for state, edges in tokenizer.response_transitions.items():
        for mark, target in edges:
            add(state, mark, target)
    begins_elsewhere = any(target == CALL for edges in marks.values() for _, target in edges)
    if tokenizer.think_start is not None:
        add(TEXT, tokenizer.think_start, REASONING)
        add(REASONING, tokenizer.think_end, TEXT)
        add(REASONING, tokenizer.tool_call_start, CALL)
    if not begins_elsewhere:
        add(TEXT, tokenizer.tool_call_start, CALL)
    add(CALL, tokenizer.tool_call_end, TEXT)
    for mark in tokenizer.structural_markers:
        add(TEXT, mark, TEXT)
    return marks
