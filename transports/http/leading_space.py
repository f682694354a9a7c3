"""White space between what a model thinks and what it calls: nobody's text, though the model wrote it."""


class LeadingSpace:
    """Keeps white space back until text follows it. What a call follows, before or after, is dropped.

    Args:
        max_held_characters: More than these are text.
    """

    def __init__(self, max_held_characters: int = 64) -> None:
        self._max_held_characters = max_held_characters
        self._held = ""
        self._in_text = False
        self._after_call = False

    def push(self, text: str) -> str:
        """Take a piece of text and return what is to be shown now."""
        if self._in_text:
            return text
        self._held += text
        if not self._held.strip() and len(self._held) <= self._max_held_characters:
            return ""
        self._in_text = True
        held, self._held = self._held, ""
        return held

    def interrupt(self, *, by_call: bool) -> None:
        """Take that something else than text comes now."""
        self._held = ""
        self._in_text = False
        self._after_call = self._after_call or by_call

    def flush(self) -> str:
        """Return what an answer without calls ends with; the answer is over."""
        return "" if self._after_call else self._held
