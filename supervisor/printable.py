"""Text of others made harmless: what a runner or a client wrote must not be able to steer a terminal. Pure."""


def printable(text: str, keep: str = "") -> str:
    """Return `text` with its control characters, and those that hide or turn text around, written out.

    Args:
        text: From anybody.
        keep: Characters that stay as they are; without them, a tab becomes four spaces.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else _written_out(letter) for letter in text)


def printable_json(text: str) -> str:
    """Return the same JSON document, with those characters written out that JSON lets pass and terminals obey."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else _json_escape(letter) for letter in text)


def _written_out(letter: str) -> str:
    return "    " if letter == "\t" else letter.encode("unicode_escape").decode("ascii")


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
