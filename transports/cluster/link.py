"""A reliable, ordered stream of messages between two sessions, without I/O and clock.

ZeroMQ loses what was on its way when a connection closes, and may hand over what an old connection carried after what
the new one did. A link numbers its pieces, keeps them until they are acknowledged and sends them again after a
reconnection, a request or a timeout; the receiving side takes them in order, once. A new session gets a new link.
"""

from transports.cluster.bus_errors import BusFull, MessageTooLong
from transports.cluster.bus_limits import BusLimits
from transports.cluster.packets import BadPacket, LinkBatch, Piece

_OVERHEAD_BYTES = 16
_ACKNOWLEDGED_AT_ONCE = 256
_MAX_BACKOFF = 8


class LinkSender:
    """The sending half: holds what is not acknowledged, and says what to send now."""

    def __init__(self, limits: BusLimits) -> None:
        self._limits = limits
        self._pieces: dict[int, Piece] = {}
        self._held_bytes = 0
        self._first = 1
        self._next = 1
        self._sent_up_to = 0
        self._in_flight_bytes = 0
        self._waiting_since = 0.0
        self._backoff = 1

    @property
    def is_waiting(self) -> bool:
        """Something is in flight, or still to be sent."""
        return bool(self._pieces)

    def queue(self, payload: bytes) -> None:
        """Take a message.

        Raises:
            BusFull: It does not fit beside what is unacknowledged.
            MessageTooLong: It is longer than `max_message_bytes`.
        """
        if len(payload) > self._limits.max_message_bytes:
            raise MessageTooLong(
                f"a message of {len(payload)} bytes; the bus carries up to {self._limits.max_message_bytes}"
            )
        size = _piece_bytes(self._limits)
        parts = [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]
        added_bytes = len(payload) + _OVERHEAD_BYTES * len(parts)
        if (
            len(self._pieces) + len(parts) > self._limits.max_unacknowledged_messages
            or self._held_bytes + added_bytes > self._limits.max_unacknowledged_bytes
        ):
            raise BusFull(f"{len(self._pieces)} messages ({self._held_bytes} bytes) are not acknowledged")
        number = self._first + len(self._pieces)
        for offset, part in enumerate(parts):
            self._pieces[number + offset] = Piece(offset == len(parts) - 1, part)
        self._held_bytes += added_bytes

    def acknowledged(self, number: int, now: float) -> None:
        """The other side has everything up to this piece.

        Raises:
            BadPacket: It was never sent.
        """
        if number > self._sent_up_to:
            raise BadPacket(f"piece {number} is acknowledged, but only {self._sent_up_to} were sent")
        while self._first <= number:
            size = _size(self._pieces.pop(self._first))
            self._held_bytes -= size
            if self._first < self._next:
                self._in_flight_bytes -= size
            self._first += 1
            self._waiting_since, self._backoff = now, 1
        self._next = max(self._next, self._first)

    def send_again(self) -> None:
        """Everything that is not acknowledged has to be sent once more."""
        self._next = self._first
        self._in_flight_bytes = 0

    def take(self, now: float) -> tuple[int, tuple[Piece, ...]]:
        """Return the pieces of the next packet and the number of the first; none when there is nothing to send now."""
        if self._in_flight_bytes and now >= self._resend_at():
            self.send_again()
            self._backoff = min(2 * self._backoff, _MAX_BACKOFF)
        first, pieces, packet_bytes = self._next, list[Piece](), 0
        while (piece := self._pieces.get(self._next)) is not None:
            size = _size(piece)
            if pieces and packet_bytes + size > _packet_bytes(self._limits):
                break
            if self._in_flight_bytes and self._in_flight_bytes + size > self._limits.max_in_flight_bytes:
                break
            if not self._in_flight_bytes:
                self._waiting_since = now
            pieces.append(piece)
            packet_bytes += size
            self._in_flight_bytes += size
            self._next += 1
        self._sent_up_to = max(self._sent_up_to, self._next - 1)
        return first, tuple(pieces)

    def take_back(self, first: int) -> None:
        """The pieces from this one on could not be sent after all."""
        while self._next > max(first, self._first):
            self._next -= 1
            self._in_flight_bytes -= _size(self._pieces[self._next])

    def due_at(self) -> float | None:
        """When pieces in flight have to be sent again; None while there are none."""
        return self._resend_at() if self._in_flight_bytes else None

    def _resend_at(self) -> float:
        return self._waiting_since + self._limits.retransmit_s * self._backoff


class LinkReceiver:
    """The receiving half: takes pieces in order, and knows what has to be acknowledged and asked for."""

    def __init__(self, limits: BusLimits) -> None:
        self._limits = limits
        self.received = 0
        self.resend_wanted = False
        self._asked_for = 0
        self._partial = bytearray()
        self._owed_pieces = 0
        self._owed_bytes = 0
        self.acknowledge_at: float | None = None

    def take(self, first: int, pieces: tuple[Piece, ...], now: float) -> list[bytes]:
        """Return the messages that are complete now. What came before is dropped, and so is what follows a gap.

        Raises:
            BadPacket: A message is longer than `max_message_bytes`.
        """
        messages: list[bytes] = []
        for number, piece in enumerate(pieces, first):
            if number > self.received + 1:
                self._ask(now)
                break
            if number <= self.received:
                self.acknowledge_at = now
                continue
            self.received = number
            self._owe(piece, now)
            self._add(piece, messages)
        return messages

    def acknowledgement_sent(self) -> None:
        """What was received so far, and what is missing, is told."""
        self.acknowledge_at = None
        self.resend_wanted = False
        self._owed_pieces = self._owed_bytes = 0

    def ask_again(self) -> None:
        """An earlier request may be lost."""
        self._asked_for = 0

    def _ask(self, now: float) -> None:
        if self._asked_for != self.received + 1:
            self._asked_for = self.received + 1
            self.resend_wanted = True
            self.acknowledge_at = now

    def _owe(self, piece: Piece, now: float) -> None:
        self._owed_pieces += 1
        self._owed_bytes += _size(piece)
        many = self._owed_pieces >= _ACKNOWLEDGED_AT_ONCE or self._owed_bytes >= self._limits.max_in_flight_bytes // 8
        due = now if many else now + self._limits.acknowledge_s
        self.acknowledge_at = due if self.acknowledge_at is None else min(due, self.acknowledge_at)

    def _add(self, piece: Piece, messages: list[bytes]) -> None:
        if len(self._partial) + len(piece.data) > self._limits.max_message_bytes:
            raise BadPacket(f"a message of more than {self._limits.max_message_bytes} bytes")
        if piece.is_last:
            messages.append(bytes(self._partial) + piece.data if self._partial else piece.data)
            self._partial.clear()
        else:
            self._partial += piece.data


class Link:
    """Both halves of one side of a session."""

    def __init__(self, limits: BusLimits) -> None:
        self._sender = LinkSender(limits)
        self._receiver = LinkReceiver(limits)

    def queue(self, payload: bytes) -> None:
        """Take a message of our own. Raises `BusFull` or `MessageTooLong`, and then nothing of it is kept."""
        self._sender.queue(payload)

    def receive(self, batch: LinkBatch, now: float) -> list[bytes]:
        """Take what the other side sent and return the messages that are complete: in order, each once.

        Raises:
            BadPacket: The other side broke the rules; the session cannot go on.
        """
        self._sender.acknowledged(batch.acknowledged, now)
        if batch.resend:
            self._sender.send_again()
        return self._receiver.take(batch.first, batch.pieces, now)

    def next_batch(self, now: float) -> LinkBatch | None:
        """Return what to send now, None when that is nothing. Call it again until it is."""
        first, pieces = self._sender.take(now)
        receiver = self._receiver
        if not pieces and (receiver.acknowledge_at is None or now < receiver.acknowledge_at):
            return None
        batch = LinkBatch(first, pieces, receiver.received, receiver.resend_wanted)
        receiver.acknowledgement_sent()
        return batch

    def not_sent(self, batch: LinkBatch, now: float) -> None:
        """The batch that was returned last could not be sent: it is due again."""
        self._sender.take_back(batch.first)
        self._receiver.resend_wanted |= batch.resend
        self._receiver.acknowledge_at = now

    def reconnected(self) -> None:
        """There is a new connection: what was on its way may be lost."""
        self._sender.send_again()
        self._receiver.ask_again()

    def due_at(self) -> float | None:
        """When `next_batch` has to be asked even if nothing happens; None when it need not."""
        due = [at for at in (self._sender.due_at(), self._receiver.acknowledge_at) if at is not None]
        return min(due, default=None)


def _piece_bytes(limits: BusLimits) -> int:
    return _packet_bytes(limits) - _OVERHEAD_BYTES


def _packet_bytes(limits: BusLimits) -> int:
    return limits.max_packet_bytes * 3 // 4


def _size(piece: Piece) -> int:
    return len(piece.data) + _OVERHEAD_BYTES
