"""`metadata`: a client's own words about its request. They go to the journal, never to the model."""

from transports.http.errors import invalid_request

MAX_ENTRIES = 16
MAX_NAME_CHARACTERS = 64
MAX_VALUE_CHARACTERS = 512


def metadata_of(metadata: dict[str, str] | None) -> dict[str, str]:
    """Return the entries, checked against OpenAI's limits.

    Raises:
        ApiError: 400 naming the entry.
    """
    if not metadata:
        return {}
    if len(metadata) > MAX_ENTRIES:
        raise invalid_request(
            "metadata", f"`metadata` has {len(metadata)} entries; at most {MAX_ENTRIES} are allowed. Send fewer."
        )
    for name, value in metadata.items():
        if not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise invalid_request(
                "metadata",
                f"`metadata` has a name of {len(name)} characters; 1 to {MAX_NAME_CHARACTERS} are allowed. Rename it.",
            )
        if len(value) > MAX_VALUE_CHARACTERS:
            raise invalid_request(
                f"metadata.{name}",
                f"`metadata.{name}` has {len(value)} characters; at most {MAX_VALUE_CHARACTERS} are allowed. "
                "Shorten it.",
            )
    return metadata
