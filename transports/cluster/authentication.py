"""Who may connect: CURVE keys against the ones that are trusted, asked by ZeroMQ over its ZAP protocol (RFC 27)."""

import time
from collections.abc import Callable

import zmq
from zmq.utils import z85

from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_sockets import ZAP_DOMAIN, new_socket

_ADDRESS = "inproc://zeromq.zap.01"
_REQUEST_FRAMES = 7
_KEY_BYTES = 32
_KNOWN_S = 0.5


class Authenticator:
    """Answers for every socket of one ZeroMQ context. Make it before the first of them listens.

    Args:
        context: The context.
        trusted: Gives the node's name for a key in Z85, None for a stranger's.
        refused: Told the address and the reason.
        limits: How long a key that broke the protocol is refused.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        trusted: Callable[[bytes], str | None],
        refused: Callable[[str, str], None],
        limits: BusLimits,
    ) -> None:
        self._trusted = trusted
        self._refused = refused
        self._limits = limits
        self._punished_until: dict[str, float] = {}
        self._known: dict[str, tuple[str | None, float]] = {}
        self._forget_at = 0.0
        self.socket = new_socket(context, zmq.REP, limits)
        self.socket.bind(_ADDRESS)

    def answer(self) -> None:
        """Answer one question. Raises `zmq.Again` when there is none."""
        frames = self.socket.recv_multipart(zmq.NOBLOCK)
        request_id = frames[1] if len(frames) > 1 else b""
        key, refusal = self._decide(frames)
        status, text = (b"200", b"OK") if refusal is None else (b"400", b"refused")
        user = key.encode() if refusal is None else b""
        self.socket.send_multipart([b"1.0", request_id, status, text, user, b""])
        if refusal is not None:
            self._refused(frames[3].decode("ascii", "replace") if len(frames) > 3 else "?", refusal)

    def node_of(self, key: str) -> str | None:
        """Return the node's name for a key in Z85 that was let in, None when it is not trusted any more.

        An answer may be half a second old: this is asked for each packet, and `trusted` may have to read a file.
        """
        now = time.monotonic()
        name, until = self._known.get(key, (None, 0.0))
        if now < until:
            return name
        name = self._trusted(key.encode())
        if now >= self._forget_at:
            self._known = {one: known for one, known in self._known.items() if now < known[1]}
            self._forget_at = now + _KNOWN_S
        self._known[key] = (name, now + _KNOWN_S)
        return name

    def punish(self, key: str) -> None:
        """Refuse this key, in Z85, for `penalty_s`."""
        now = time.monotonic()
        self._punished_until = {one: until for one, until in self._punished_until.items() if until > now}
        self._punished_until[key] = now + self._limits.penalty_s

    def close(self) -> None:
        """Stop answering: nobody gets in any more."""
        self.socket.close()

    def _decide(self, frames: list[bytes]) -> tuple[str, str | None]:
        if len(frames) != _REQUEST_FRAMES or frames[2] != ZAP_DOMAIN or frames[5] != b"CURVE":
            return "", "it does not use CURVE"
        if len(frames[6]) != _KEY_BYTES:
            return "", f"its key has {len(frames[6])} bytes"
        key = z85.encode(frames[6])
        spelled = key.decode("ascii")
        if self._trusted(key) is None:
            return spelled, f"its key {frames[6].hex()} is not trusted here"
        if time.monotonic() < self._punished_until.get(spelled, 0.0):
            return spelled, f"the node {self._trusted(key)} broke the protocol a moment ago"
        return spelled, None
