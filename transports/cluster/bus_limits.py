"""Every limit and period of the cluster bus, in one place."""

import msgspec

_MEBIBYTE = 1024 * 1024


class BusLimits(msgspec.Struct, frozen=True):
    """What the bus holds and how long it waits. Head and nodes may differ, except for the packet size.

    Args:
        max_message_bytes: Longest message or event, encoded: a frame of the runner channel and what is around it.
        max_packet_bytes: Longest frame that a head accepts on the wire. Longer messages travel in pieces, so that a
            stranger's connection can never make the head hold more than this.
        max_unacknowledged_messages: Pieces that wait for a peer's acknowledgement.
        max_unacknowledged_bytes: Their bytes.
        max_in_flight_bytes: Bytes sent before the first acknowledgement is waited for.
        max_queued_packets: Packets of one connection inside ZeroMQ, in each direction.
        max_kept_events: Events that a head can repeat, and that a node holds back while one before them is missing.
        max_kept_event_bytes: Their bytes.
        max_unproven_connections: Connections that have not shown a key yet; the oldest is cut for the next. A whole
            cluster comes back at once when its head starts again.
        max_refusals_logged_per_s: Refusals reported; the next report counts the others.
        heartbeat_s: Period of a node's heartbeats. The head answers each.
        node_silence_s: A peer that was not heard for this long is gone.
        reconnect_s: Pause between a node's tries.
        handshake_s: Longest time from a connection to its first valid word.
        retransmit_s: Unacknowledged for this long, and it is sent again; the next time takes twice as long.
        acknowledge_s: Longest time until a received message is acknowledged.
        penalty_s: How long a key that broke the protocol is refused.
        tick_s: Period in which deadlines are looked at.
    """

    max_message_bytes: int = 32 * _MEBIBYTE
    max_packet_bytes: int = 256 * 1024
    max_unacknowledged_messages: int = 65536
    max_unacknowledged_bytes: int = 64 * _MEBIBYTE
    max_in_flight_bytes: int = 4 * _MEBIBYTE
    max_queued_packets: int = 256
    max_kept_events: int = 1024
    max_kept_event_bytes: int = 32 * _MEBIBYTE
    max_unproven_connections: int = 512
    max_refusals_logged_per_s: int = 5
    heartbeat_s: float = 0.5
    node_silence_s: float = 5.0
    reconnect_s: float = 0.1
    handshake_s: float = 5.0
    retransmit_s: float = 1.0
    acknowledge_s: float = 0.05
    penalty_s: float = 1.0
    tick_s: float = 0.05
