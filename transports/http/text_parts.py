"""Content that comes as text or as a list of parts, in every API of this kind."""

from collections.abc import Sequence

import msgspec

from transports.http.errors import invalid_request

TEXT = ("text",)


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a content; only text is served."""

    type: str
    text: str | None = None


def text_of(param: str, content: str | Sequence[ContentPart], types: Sequence[str] = TEXT) -> str:
    """Return the text, parts joined.

    Args:
        param: Path of the content in the request.
        content: Text or parts.
        types: What the API calls parts of text.

    Raises:
        ApiError: 400 with the path of the part that is no text.
    """
    if isinstance(content, str):
        return content
    return "".join(_part_text(f"{param}[{index}]", part, types) for index, part in enumerate(content))


def _part_text(param: str, part: ContentPart, types: Sequence[str]) -> str:
    if part.type not in types:
        named = " and ".join(f"`{name}`" for name in types)
        raise invalid_request(
            f"{param}.type", f"`{param}.type` is {part.type!r}; only {named} parts are supported. Send text."
        )
    if part.text is None:
        raise invalid_request(f"{param}.text", f"`{param}.text` is missing. Add the part's text.")
    return part.text
