"""What is in a frame of the bus: sessions, pieces of messages, heartbeats, repeated events.

Frames are msgpack arrays, one packet each. Messages (`transports.cluster.messages`) travel in the pieces of a link; the
first of a session is the node's `Hello`, answered by the head's `Welcome`, the first one downward.
"""

from typing import Annotated, TypeVar

import msgspec

from transports.cluster.handshake import Hello, Refused, Welcome
from transports.cluster.messages import ClusterEvent, FromNode, ToNode

ProcessId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]

# msgspec 0.22 lets two more out of `decode`: for a string that is no UTF-8, and for nesting beyond the stack.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class BadPacket(Exception):
    """A peer sent what the bus does not allow."""


class UnreadableHello(BadPacket):
    """A node's first message cannot be read: most likely it is of another version."""


class SessionId(msgspec.Struct, frozen=True, array_like=True):
    """One conversation of a node's process with a head. The node numbers its own, so a late packet shows its age."""

    process: ProcessId
    number: Number


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """A message, or a part of one; `is_last` ends it."""

    is_last: bool
    data: bytes


class LinkBatch(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive pieces, the first of them numbered `first`, and all that arrived from the other side.

    `resend` says that something is missing: everything after `acknowledged` is wanted again.
    """

    first: Number
    pieces: tuple[Piece, ...]
    acknowledged: Number
    resend: bool = False


class Linked(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A part of the session's stream, in both directions."""

    session: SessionId
    batch: LinkBatch


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A node's heartbeat. `echo_s` is the stamp of the last one heard, on the other's clock, `held_s` ago."""

    session: SessionId
    sent_at_s: float
    echo_s: float | None
    held_s: float
    event_loop_lag_s: float


class AskEvents(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The node misses the events from this one on."""

    session: SessionId
    epoch: Number
    first: Number


class BeatAnswer(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The head's answer to a heartbeat, and how far its events are."""

    session: SessionId
    sent_at_s: float
    echo_s: float | None
    held_s: float
    epoch: Number
    next_event: Number


class PastEvents(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Events again, numbered from `first`: with a number above the one asked for, the others are forgotten."""

    session: SessionId
    epoch: Number
    first: Number
    events: tuple[bytes, ...]


class SayHello(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The head does not know this session."""

    session: SessionId


class TurnedAway(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The head ends this session, or does not begin it."""

    session: SessionId
    refused: Refused


class Opening(msgspec.Struct, frozen=True, array_like=True):
    """The head's first message: the `Welcome`, and which events it counts."""

    welcome: Welcome
    events_epoch: Number


class NumberedEvent(msgspec.Struct, frozen=True, array_like=True):
    """One event as it is published."""

    epoch: Number
    sequence: Number
    event: bytes


FromNodePacket = Linked | Beat | AskEvents
FromHeadPacket = Linked | BeatAnswer | PastEvents | SayHello | TurnedAway

_from_node_packet = msgspec.msgpack.Decoder(FromNodePacket)
_from_head_packet = msgspec.msgpack.Decoder(FromHeadPacket)
_hello = msgspec.msgpack.Decoder(Hello)
_opening = msgspec.msgpack.Decoder(Opening)
_from_node: msgspec.msgpack.Decoder[FromNode] = msgspec.msgpack.Decoder(FromNode)
_to_node: msgspec.msgpack.Decoder[ToNode] = msgspec.msgpack.Decoder(ToNode)
_event = msgspec.msgpack.Decoder(NumberedEvent)
_cluster_event: msgspec.msgpack.Decoder[ClusterEvent] = msgspec.msgpack.Decoder(ClusterEvent)

Decoded = TypeVar("Decoded")


def encode(value: msgspec.Struct) -> bytes:
    """Return a packet or a message as bytes."""
    return msgspec.msgpack.encode(value)


def decode_from_node_packet(data: bytes) -> FromNodePacket:
    """Return a node's packet. Raises `BadPacket`."""
    return _decode(_from_node_packet, data, "packet")


def decode_from_head_packet(data: bytes) -> FromHeadPacket:
    """Return a head's packet. Raises `BadPacket`."""
    return _decode(_from_head_packet, data, "packet")


def decode_hello(data: bytes) -> Hello:
    """Return a session's first message upward. Raises `BadPacket`."""
    return _decode(_hello, data, "Hello")


def decode_opening(data: bytes) -> Opening:
    """Return a session's first message downward. Raises `BadPacket`."""
    return _decode(_opening, data, "Welcome")


def decode_from_node(data: bytes) -> FromNode:
    """Return any other message upward. Raises `BadPacket`."""
    return _decode(_from_node, data, "message")


def decode_to_node(data: bytes) -> ToNode:
    """Return any other message downward. Raises `BadPacket`."""
    return _decode(_to_node, data, "message")


def decode_event(data: bytes) -> NumberedEvent:
    """Return a published event. Raises `BadPacket`."""
    return _decode(_event, data, "event")


def decode_cluster_event(data: bytes) -> ClusterEvent:
    """Return what an event says. Raises `BadPacket`."""
    return _decode(_cluster_event, data, "event")


def _decode(decoder: "msgspec.msgpack.Decoder[Decoded]", data: bytes, what: str) -> Decoded:
    try:
        return decoder.decode(data)
    except _UNREADABLE as exc:
        raise BadPacket(f"a {what} of {len(data)} bytes cannot be read: {exc}") from exc
