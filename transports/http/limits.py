"""Every bound of the HTTP surface, in one place, with its unit in its name."""

import msgspec


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may cost.

    Args:
        max_body_bytes: Longest request body; one byte more is a 413.
        max_head_bytes: Longest request line and headers together.
        head_timeout_s: From the first byte of a request to the end of its headers, and for a new connection to speak.
        body_timeout_s: For the whole request body to arrive.
        linger_s: How long the rest of a refused body is read and thrown away, so that its sender can read the answer.
        keep_alive_s: How long an idle connection is kept. Clients pool for 60 s or less, so theirs ends first.
        comment_interval_s: Longest silence on an event stream.
        write_timeout_s: How long a client may leave an event stream unread before its task is cancelled, and the rest
            of an answer before it is thrown away.
        max_answer_bytes: Longest text collected for an answer that is not streamed.
        graceful_stop_s: How long running requests may go on after the server was told to stop.
    """

    max_body_bytes: int = 4 * 1024 * 1024
    max_head_bytes: int = 64 * 1024
    head_timeout_s: float = 30.0
    body_timeout_s: float = 60.0
    linger_s: float = 5.0
    keep_alive_s: int = 75
    comment_interval_s: float = 5.0
    write_timeout_s: float = 60.0
    max_answer_bytes: int = 16 * 1024 * 1024
    graceful_stop_s: float = 5.0


class HttpSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask.

    Args:
        api_key: When set, every path but `/health/*` demands it, as `Authorization: Bearer KEY` or as
            `x-api-key`.
        allowed_hosts: Host names, without port, that are accepted beside the loopback names and the address that a
            connection came in on.
    """

    api_key: str | None = None
    allowed_hosts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Keep the key out of logs."""
        return f"HttpSecurity(api_key={'set' if self.api_key else None}, allowed_hosts={self.allowed_hosts})"
