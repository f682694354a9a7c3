"""Text of an answer that must be held until its end, within a bound."""

from transports.http.errors import ApiError


class HeldText:
    """Collects the pieces of one answer.

    Args:
        max_bytes: More than this is an error; each character counts as four bytes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    def add(self, text: str, tokens_emitted: int = 0) -> None:
        """Hold one more piece.

        Raises:
            ApiError: 500 when the answer is too long to be held; it tells `tokens_emitted`.
        """
        self.hold(len(text), tokens_emitted)
        self._pieces.append(text)

    def hold(self, characters: int, tokens_emitted: int = 0) -> None:
        """Count what is held beside the text, in the same bound.

        Raises:
            ApiError: As `add`.
        """
        self._held_bytes += characters * 4
        if self._held_bytes > self._max_bytes:
            raise ApiError(
                500,
                "answer_too_long",
                f"The answer is longer than the {self._max_bytes} bytes that this request may hold. Limit its tokens, "
                "or ask for it as a stream of `/v1/chat/completions`.",
                tokens_emitted=tokens_emitted,
            )
