"""A peer that has a key and no manners: a bare ZeroMQ socket, used from a thread."""

from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from transports.cluster.keys import KeyPair


@contextmanager
def hostile_peer(
    port: int, keys: KeyPair, head_key: bytes, kind: int = zmq.DEALER, host: str = "127.0.0.1"
) -> Iterator[zmq.Socket[bytes]]:
    """Connect, and keep trying."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    peer = context.socket(kind)
    peer.setsockopt(zmq.LINGER, 0)
    peer.setsockopt(zmq.SNDTIMEO, 5000)
    peer.setsockopt(zmq.RECONNECT_IVL, 20)
    peer.setsockopt(zmq.CURVE_SERVERKEY, head_key)
    peer.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    peer.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    peer.connect(f"tcp://{host}:{port}")
    try:
        yield peer
    finally:
        peer.close()
        context.destroy(linger=0)
