"""Frames that no runner should send, and ordinary ones in numbers."""

import argparse
import gc
import struct

import msgspec

from runner.uplink import Uplink
from tests.faults.script import Fault
from transports.framing import encode_frame
from transports.messages import Progress, UpwardEnvelope


def _argument(name: str) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument(name, type=int, dest="value", required=True)
    return parser.parse_known_args()[0].value


def channel_descriptor() -> int:
    """The runner's end of the private channel, from its own command line."""
    return _argument("--channel-fd")


def half_frame(_fault: Fault) -> bytes:
    """A length that the bytes do not keep."""
    return struct.pack(">I", 1000) + b"0123456789"


def garbage_frame(_fault: Fault) -> bytes:
    """A frame that is no msgpack."""
    return encode_frame(b"\xc1 this is not msgpack")


def oversized_frame(_fault: Fault) -> bytes:
    """A length beyond every cap."""
    return struct.pack(">I", 0xFFFFFFFF) + b"x" * 100


def wrong_generation(_fault: Fault) -> bytes:
    """What a runner of the generation before would send."""
    return _frame(_argument("--generation") - 1, 0)


def wrong_sequence(_fault: Fault) -> bytes:
    """A frame out of turn."""
    return _frame(_argument("--generation"), 1_000_000)


def _frame(generation: int, sequence: int) -> bytes:
    return encode_frame(msgspec.msgpack.encode(UpwardEnvelope(generation, sequence, Progress(1))))


def send_frames(fault: Fault) -> None:
    """Send frames through the runner's own uplink, each with a write of its own."""
    (uplink,) = (thing for thing in gc.get_objects() if isinstance(thing, Uplink))
    for number in range(fault.count):
        uplink.send(Progress(1_000_000 + number))
