"""Finds stop sequences in text that arrives in pieces. Pure."""

from collections.abc import Sequence

from runner.text_matching import first_to_end, unfinished


class StopScanner:
    """Lets text through up to the first stop sequence, which itself is never emitted.

    The sequence that ends first wins, so the result does not depend on how the text was cut. What could still become a
    stop sequence is held back: at most the longest sequence's length minus one.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""

    def push(self, text: str) -> tuple[str, str | None]:
        """Take text and return what may be shown now, and the stop sequence that was found."""
        if not self._stops:
            return text, None
        text = self._held + text
        self._held = ""
        found = first_to_end(text, self._stops)
        if found is not None:
            start, stop = found
            return text[:start], stop
        keep = unfinished(text, self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], None

    def flush(self) -> str:
        """Return what was held back; the text is over."""
        held, self._held = self._held, ""
        return held
