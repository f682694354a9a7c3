"""The private channel between a supervisor and one runner: a socketpair with numbered, generation-fenced frames.

The kernel keeps what a runner wrote before it died, so every frame that `RunnerEnd.send` returned from is read by
the supervisor, SIGKILL included. End of file is the death notice in both directions.
"""

import socket
import threading
from collections import deque
from collections.abc import Iterable

import msgspec

from transports.framing import DEFAULT_MAX_FRAME_BYTES, FrameDecoder, FrameViolation, encode_frame
from transports.messages import Command, DownwardEnvelope, Upward, UpwardEnvelope

_READ_BYTES = 64 * 1024

# msgspec 0.22 lets two more out of `decode`: for a string that is no UTF-8, and for nesting beyond the stack.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ChannelClosed(Exception):
    """The other end is gone."""


class ProtocolViolation(Exception):
    """The peer sent what the protocol does not allow. It ends that peer, never its supervisor."""


class UpwardDecoder:
    """Reads a runner's frames: checks framing, type, generation and sequence. Pure; used by the supervisor.

    Frames of another generation cannot arrive on a channel of this one, so they are violations here.
    """

    def __init__(self, generation: int, max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> None:
        self._generation = generation
        self._frames = FrameDecoder(max_frame_bytes)
        self._decoder = msgspec.msgpack.Decoder(UpwardEnvelope)
        self._expected_sequence = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete: above 0 at EOF, the runner died while writing."""
        return self._frames.pending_bytes

    def feed(self, data: bytes) -> tuple[list[Upward], ProtocolViolation | None]:
        """Take bytes and return the events before the first violation, and that violation if there is one."""
        events: list[Upward] = []
        try:
            for payload in self._frames.feed(data):
                events.append(self._open(payload))
        except FrameViolation as exc:
            return events, ProtocolViolation(str(exc))
        except ProtocolViolation as exc:
            return events, exc
        return events, None

    def _open(self, payload: bytes) -> Upward:
        try:
            envelope = self._decoder.decode(payload)
        except _UNREADABLE as exc:
            raise ProtocolViolation(f"frame {self._expected_sequence} cannot be decoded: {exc}") from exc
        if envelope.generation != self._generation:
            raise ProtocolViolation(f"frame of generation {envelope.generation} on a channel of {self._generation}")
        if envelope.sequence != self._expected_sequence:
            raise ProtocolViolation(f"frame {envelope.sequence} where {self._expected_sequence} was due")
        self._expected_sequence += 1
        return envelope.body


class DownwardEncoder:
    """Numbers and encodes commands to one runner. Pure; used by the supervisor."""

    def __init__(self, generation: int, max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> None:
        self._generation = generation
        self._max_frame_bytes = max_frame_bytes
        self._encoder = msgspec.msgpack.Encoder()
        self._sequence = 0

    def encode(self, command: Command) -> bytes:
        """Return the command as one numbered frame.

        Raises:
            FrameViolation: When the command is larger than the frame cap; no number is used up.
        """
        payload = self._encoder.encode(DownwardEnvelope(self._generation, self._sequence, command))
        frame = encode_frame(payload, self._max_frame_bytes)
        self._sequence += 1
        return frame


class RunnerEnd:
    """The runner's blocking end of the channel.

    Args:
        connection: The inherited socket, in blocking mode. Owned from here on.
        generation: Put on every frame and demanded from every command.
    """

    def __init__(
        self, connection: socket.socket, generation: int, max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES
    ) -> None:
        self._connection = connection
        self._generation = generation
        self._max_frame_bytes = max_frame_bytes
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(DownwardEnvelope)
        self._frames = FrameDecoder(max_frame_bytes)
        self._received: deque[Command] = deque()
        self._send_lock = threading.Lock()
        self._next_sequence = 0
        self._expected_sequence = 0

    def send(self, *events: Upward) -> None:
        """Write events in one go; returns when the kernel has all their bytes. Any thread; blocks on a full socket.

        Raises:
            ChannelClosed: When the supervisor is gone.
            FrameViolation: When an event is larger than the frame cap; nothing was written.
        """
        with self._send_lock:
            data = self._encode(events)
            try:
                self._connection.sendall(data)
            except OSError as exc:
                raise ChannelClosed(f"the supervisor is gone: {exc}") from exc

    def _encode(self, events: Iterable[Upward]) -> bytes:
        frames: list[bytes] = []
        sequence = self._next_sequence
        for event in events:
            payload = self._encoder.encode(UpwardEnvelope(self._generation, sequence, event))
            frames.append(encode_frame(payload, self._max_frame_bytes))
            sequence += 1
        self._next_sequence = sequence
        return b"".join(frames)

    def receive(self) -> Command | None:
        """Return the next command, or None when the supervisor is gone. One thread only; blocks.

        Raises:
            ProtocolViolation: When a frame cannot be read or is not the one that is due.
        """
        while not self._received:
            try:
                data = self._connection.recv(_READ_BYTES)
            except OSError:
                return None
            if not data:
                return None
            try:
                for payload in self._frames.feed(data):
                    self._received.append(self._open(payload))
            except FrameViolation as exc:
                raise ProtocolViolation(str(exc)) from exc
        return self._received.popleft()

    def _open(self, payload: bytes) -> Command:
        try:
            envelope = self._decoder.decode(payload)
        except _UNREADABLE as exc:
            raise ProtocolViolation(f"command {self._expected_sequence} cannot be decoded: {exc}") from exc
        if (envelope.generation, envelope.sequence) != (self._generation, self._expected_sequence):
            raise ProtocolViolation(
                f"command {envelope.sequence} of generation {envelope.generation} where "
                f"{self._expected_sequence} of {self._generation} was due"
            )
        self._expected_sequence += 1
        return envelope.body

    def close(self) -> None:
        """Close the socket; a blocked `receive` in another thread may not notice."""
        self._connection.close()
