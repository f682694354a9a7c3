"""How far away a peer is, and how far its clock is off, from the stamps in heartbeats. Without a clock of its own."""

from math import isfinite


class PeerClock:
    """The arithmetic of RFC 5905, section 8, on monotonic clocks; the figures of the fastest of the last exchanges."""

    _REMEMBERED = 8

    def __init__(self) -> None:
        self._peer_sent_at_s: float | None = None
        self._received_at_s = 0.0
        self._exchanges: list[tuple[float, float]] = []

    @property
    def round_trip_s(self) -> float | None:
        """Shortest of the last round trips; None before the first."""
        return min(self._exchanges)[0] if self._exchanges else None

    @property
    def offset_s(self) -> float | None:
        """What to add to our clock to have the peer's, wrong by at most half of `round_trip_s`."""
        return min(self._exchanges)[1] if self._exchanges else None

    def heard(self, sent_at_s: float, echo_s: float | None, held_s: float, now: float) -> None:
        """Take a heartbeat: the peer's stamp, and ours that it heard last, `held_s` before it sent this."""
        if not isfinite(sent_at_s):
            return
        self._peer_sent_at_s, self._received_at_s = sent_at_s, now
        if echo_s is None or not 0 <= held_s <= now - echo_s:
            return
        round_trip_s = now - echo_s - held_s
        self._exchanges.append((round_trip_s, sent_at_s + round_trip_s / 2 - now))
        del self._exchanges[: -self._REMEMBERED]

    def echo(self, now: float) -> tuple[float | None, float]:
        """Return what the next heartbeat to this peer carries: its last stamp, and since when it is held."""
        return self._peer_sent_at_s, now - self._received_at_s if self._peer_sent_at_s is not None else 0.0
