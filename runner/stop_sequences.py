"""Finds stop sequences in text that arrives in pieces. Pure."""

from collections.abc import Sequence


class StopScanner:
    """Lets text through up to the first stop sequence, which itself is never emitted.

    The sequence that ends first wins, so the result does not depend on how the text was cut. What could still become a
    stop sequence is held back: at most the longest sequence's length minus one.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Take text and return what may be shown now, and whether a stop sequence was found."""
        if not self._stops:
            return text, False
        text = self._held + text
        self._held = ""
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if found:
            return text[: min(found)[1]], True
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def flush(self) -> str:
        """Return what was held back; the text is over."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
