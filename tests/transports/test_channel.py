"""The private channel over real sockets and real children."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.evidence import RunnerTerminationError
from tests.transports.test_framing import chunked
from transports.channel import ChannelClosed, DownwardEncoder, ProtocolViolation, RunnerEnd, UpwardDecoder
from transports.framing import FrameViolation, encode_frame
from transports.messages import (
    CancelTask,
    Command,
    DownwardEnvelope,
    Progress,
    Shutdown,
    TokenChunk,
    Upward,
    UpwardEnvelope,
    WakeForTask,
)

DEADLINE_S = 30.0
GENERATION = 3

EVENTS: st.SearchStrategy[Upward] = st.one_of(
    st.builds(Progress, st.integers(0, 2**63)),
    st.builds(TokenChunk, st.text(max_size=4), st.integers(0, 9), st.integers(0, 9), st.text(max_size=20)),
    st.builds(RunnerTerminationError, st.text(), st.text(), st.text(), st.text()),
)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(CancelTask, st.text(max_size=4)), st.builds(WakeForTask, st.text(max_size=4)), st.builds(Shutdown)
)

CHILD = """
import os, signal, socket, sys
from transports.channel import RunnerEnd
from transports.messages import TokenChunk
end = RunnerEnd(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
for index in range(int(sys.argv[3])):
    end.send(TokenChunk("t", index, index, "text"))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    supervisor, runner = socket.socketpair()
    supervisor.settimeout(DEADLINE_S)
    with supervisor, runner:
        yield supervisor, runner


def upward_bytes(*bodies: Upward, generation: int = GENERATION, first: int = 0) -> bytes:
    envelopes = [UpwardEnvelope(generation, first + index, body) for index, body in enumerate(bodies)]
    return b"".join(encode_frame(msgspec.msgpack.encode(envelope)) for envelope in envelopes)


@given(st.lists(EVENTS, max_size=6), st.lists(st.integers(0, 10_000), max_size=10))
def test_any_chunking_gives_the_same_events(events: list[Upward], cuts: list[int]) -> None:
    decoder = UpwardDecoder(GENERATION)
    received: list[Upward] = []
    for piece in chunked(upward_bytes(*events), cuts):
        part, violation = decoder.feed(piece)
        received += part
        assert violation is None
    assert received == events


@given(st.lists(st.integers(0, 9), max_size=4), st.binary(min_size=1, max_size=80))
def test_no_payload_ends_the_reader(steps: list[int], payload: bytes) -> None:
    good = [Progress(step) for step in steps]
    events, violation = UpwardDecoder(GENERATION).feed(upward_bytes(*good) + encode_frame(payload))
    assert events[: len(good)] == good
    assert violation is not None or len(events) == len(good) + 1


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (upward_bytes(Progress(1), generation=2), "generation 2 on a channel of 3"),
        (upward_bytes(Progress(1), first=5), "frame 5 where 1 was due"),
        (upward_bytes(Progress(1), first=0), "frame 0 where 1 was due"),
        (encode_frame(b"\xc1"), "cannot be decoded"),
        (encode_frame(msgspec.msgpack.encode([GENERATION, 1, {"type": "Configure"}])), "cannot be decoded"),
        (encode_frame(b"\x93\x03\x01\x82\xa4type\xaaTokenChunk\xa7task_id\xa2\xff\xfe"), "cannot be decoded"),
        (encode_frame(b"\x93\x03\x01\x82\xa4type\xa8Progress\xa1x" + b"\x91" * 100_000 + b"\x01"), "cannot be decoded"),
        (b"\x00\x00\x00\x00", "frame of 0 bytes"),
        (b"\xff\xff\xff\xff", "frame of 4294967295 bytes"),
    ],
)
def test_violation_after_a_good_frame_keeps_the_good_frame(frame: bytes, reason: str) -> None:
    events, violation = UpwardDecoder(GENERATION).feed(upward_bytes(Progress(7)) + frame)
    assert events == [Progress(7)]
    assert violation is not None
    assert reason in str(violation)


def test_frame_cap_upward(pair: tuple[socket.socket, socket.socket]) -> None:
    supervisor, runner = pair
    end = RunnerEnd(runner, GENERATION, max_frame_bytes=200)
    with pytest.raises(FrameViolation):
        end.send(Progress(1), TokenChunk("t", 0, 0, "x" * 300))
    end.send(Progress(2))  # Nothing of the refused call was written, and no number is missing.
    assert UpwardDecoder(GENERATION).feed(supervisor.recv(4096)) == ([Progress(2)], None)
    events, violation = UpwardDecoder(GENERATION, 20).feed(upward_bytes(TokenChunk("t", 0, 0, "x" * 30)))
    assert events == []
    assert violation is not None


@given(st.lists(COMMANDS, max_size=8), st.lists(st.integers(0, 10_000), max_size=6))
def test_commands_arrive_in_order_and_eof_is_none(commands: list[Command], cuts: list[int]) -> None:
    supervisor, runner = socket.socketpair()
    with supervisor, runner:
        runner.settimeout(DEADLINE_S)
        encoder = DownwardEncoder(GENERATION)
        for piece in chunked(b"".join(encoder.encode(command) for command in commands), cuts):
            supervisor.sendall(piece)
        supervisor.close()
        end = RunnerEnd(runner, GENERATION)
        assert [end.receive() for _ in range(len(commands) + 2)] == [*commands, None, None]


def test_frame_cap_downward_uses_no_number_up() -> None:
    encoder = DownwardEncoder(GENERATION, max_frame_bytes=100)
    with pytest.raises(FrameViolation):
        encoder.encode(CancelTask("x" * 200))
    envelope = msgspec.msgpack.decode(encoder.encode(Shutdown())[4:], type=DownwardEnvelope)
    assert envelope == DownwardEnvelope(GENERATION, 0, Shutdown())


@pytest.mark.parametrize(
    "data",
    [
        encode_frame(msgspec.msgpack.encode(DownwardEnvelope(GENERATION + 1, 0, Shutdown()))),
        encode_frame(msgspec.msgpack.encode(DownwardEnvelope(GENERATION, 1, Shutdown()))),
        encode_frame(b"\x93\x03\x00\x82\xa4type\xaaCancelTask\xa7task_id\xa2\xff\xfe"),
        encode_frame(b"\xc1"),
        b"\x00\x00\x00\x00",
    ],
)
def test_a_command_that_is_not_due_is_a_violation(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    supervisor, runner = pair
    supervisor.sendall(data)
    with pytest.raises(ProtocolViolation):
        RunnerEnd(runner, GENERATION).receive()


def test_sending_to_a_supervisor_that_is_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    supervisor, runner = pair
    end = RunnerEnd(runner, GENERATION)
    supervisor.close()
    with pytest.raises(ChannelClosed, match="the supervisor is gone"):
        end.send(Progress(1))
    assert end.receive() is None


def test_a_sender_blocked_on_a_full_socket_notices_that_the_supervisor_left(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    supervisor, runner = pair
    end = RunnerEnd(runner, GENERATION)
    outcome: list[BaseException] = []

    def fill() -> None:
        try:
            while True:
                end.send(TokenChunk("t", 0, 0, "x" * 10_000))
        except ChannelClosed as exc:
            outcome.append(exc)

    sender = threading.Thread(target=fill, daemon=True)
    sender.start()
    supervisor.recv(1)  # It is sending now, and will fill the socket.
    supervisor.close()
    sender.join(DEADLINE_S)
    assert len(outcome) == 1


def test_concurrent_senders_never_mix_their_frames(pair: tuple[socket.socket, socket.socket]) -> None:
    supervisor, runner = pair
    end = RunnerEnd(runner, GENERATION)
    senders, each = 8, 200

    def send(sender: int) -> None:
        for index in range(each):
            end.send(TokenChunk(f"task-{sender}", index, 0, "x" * (index * 7 % 500)))

    threads = [threading.Thread(target=send, args=(sender,), daemon=True) for sender in range(senders)]
    for thread in threads:
        thread.start()
    decoder = UpwardDecoder(GENERATION)
    received: list[Upward] = []
    while len(received) < senders * each:
        events, violation = decoder.feed(supervisor.recv(65536))
        assert violation is None
        received += events
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    for sender in range(senders):
        own = [event for event in received if isinstance(event, TokenChunk) and event.task_id == f"task-{sender}"]
        assert [event.index for event in own] == list(range(each))


@pytest.mark.parametrize("frames", [1, 100])
def test_every_frame_written_before_a_sigkill_arrives(frames: int) -> None:
    repetitions = 20
    arrived = 0
    for _ in range(repetitions):
        events, status = _frames_of_a_killed_child(frames)
        assert status == -signal.SIGKILL
        assert events == [TokenChunk("t", index, index, "text") for index in range(frames)]
        arrived += len(events)
    assert arrived == repetitions * frames


def _frames_of_a_killed_child(frames: int) -> tuple[list[Upward], int]:
    """Start a child that sends and kills itself; read only once it is dead and reaped."""
    supervisor, runner = socket.socketpair()
    with supervisor:
        with runner:
            os.set_inheritable(runner.fileno(), True)
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, str(runner.fileno()), str(GENERATION), str(frames)],
                pass_fds=(runner.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        status = child.wait(DEADLINE_S)
        supervisor.settimeout(DEADLINE_S)
        decoder = UpwardDecoder(GENERATION)
        events: list[Upward] = []
        while data := supervisor.recv(65536):
            part, violation = decoder.feed(data)
            assert violation is None
            events += part
        assert decoder.pending_bytes == 0
        return events, status
