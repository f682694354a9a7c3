"""Log-probabilities that wait for their tokens' text to be shown. Pure."""

from collections import deque
from collections.abc import Sequence

from transports.answers import TokenCandidate, TokenLogprobs


class HeldLogprobs:
    """Puts tokens and text together, whoever holds the text back: detokenizer, stop sequences or marks.

    A token belongs to the character in which it begins: it is told when that character is shown as text, and never when
    that is something else or is cut off. Positions count characters of all that the model has written.

    Args:
        max_held_tokens: How many wait at most; beyond that the oldest are never told.
    """

    def __init__(self, max_held_tokens: int = 4096) -> None:
        self._written = 0
        self._unwritten = 0
        self._passed = 0
        self._shown = 0
        self._held: deque[tuple[int, Sequence[TokenCandidate]]] = deque(maxlen=max_held_tokens)

    def hold(self, candidates: Sequence[TokenCandidate], text: str) -> None:
        """Take the next token, the chosen one first, and what the detokenizer made of it."""
        data = candidates[0].data
        begun = sum(not _is_continuation(byte) for byte in data)
        before = 1 if data and _is_continuation(data[0]) else 0
        if text:
            # What was held back comes first, the token's own characters last.
            start = max(self._written, self._written + len(text) - begun - before)
            self._written += len(text)
            self._unwritten = 0
            self._not_after(start)
        else:
            start = self._written + max(0, self._unwritten - before)
            self._unwritten += begun
        self._held.append((start, candidates))

    def show(self, length: int) -> list[TokenLogprobs]:
        """The next characters are text: return the tokens that begin in them."""
        offset = self._shown - self._passed
        told = [_told(start + offset, candidates) for start, candidates in self._take(length)]
        self._shown += length
        return told

    def drop(self, length: int) -> None:
        """The next characters are not text."""
        self._take(length)

    def rest(self) -> list[TokenLogprobs]:
        """The answer is over: return the tokens that are left, which have no text, such as ignored ends."""
        told = [_told(self._shown, candidates) for _, candidates in self._held]
        self._held.clear()
        return told

    def _not_after(self, start: int) -> None:
        """Tokens that turned out to have less text than bytes do not begin after this one."""
        for index in range(len(self._held) - 1, -1, -1):
            earlier, candidates = self._held[index]
            if earlier <= start:
                break
            self._held[index] = (start, candidates)

    def _take(self, length: int) -> list[tuple[int, Sequence[TokenCandidate]]]:
        self._passed += length
        taken: list[tuple[int, Sequence[TokenCandidate]]] = []
        while self._held and self._held[0][0] < self._passed:
            taken.append(self._held.popleft())
        return taken


def _is_continuation(byte: int) -> bool:
    return byte & 0xC0 == 0x80


def _told(offset: int, candidates: Sequence[TokenCandidate]) -> TokenLogprobs:
    return TokenLogprobs(candidates[0], offset, tuple(candidates[1:]))
