"""The supervisor's end of the channel, over real sockets: nothing blocks, nothing is lost, violations are said once."""

import socket
import struct

import anyio
import pytest

from supervisor.channel_end import ChannelFull, SupervisorEnd, channel_pair
from transports.channel import ProtocolViolation, RunnerEnd
from transports.framing import FrameViolation
from transports.messages import CancelTask, Progress, SamplingParameters, Shutdown, StartTask, TextPrompt, Upward

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]


def ends(max_pending_bytes: int = 1 << 20) -> tuple[SupervisorEnd, RunnerEnd, socket.socket]:
    ours, theirs = channel_pair()
    return SupervisorEnd(ours, 3, max_pending_bytes), RunnerEnd(theirs, 3), theirs


async def everything(channel: SupervisorEnd) -> tuple[list[Upward], list[ProtocolViolation]]:
    events: list[Upward] = []
    violations: list[ProtocolViolation] = []
    with anyio.fail_after(20):
        await channel.read(events.append, violations.append)
    return events, violations


async def test_events_before_the_end_of_file_all_arrive() -> None:
    channel, runner, _ = ends()
    runner.send(*(Progress(step) for step in range(1000)))
    runner.close()
    events, violations = await everything(channel)
    assert events == [Progress(step) for step in range(1000)]
    assert violations == []
    channel.close()


async def test_a_violation_is_said_once_and_the_rest_is_thrown_away() -> None:
    channel, runner, raw = ends()
    runner.send(Progress(1))
    raw.sendall(struct.pack(">I", 0xFFFFFFFF) + b"x" * 100_000)
    runner.close()
    events, violations = await everything(channel)
    assert events == [Progress(1)]
    assert len(violations) == 1
    assert "4294967295 bytes" in str(violations[0])
    channel.close()


async def test_half_a_frame_at_the_end_is_no_violation() -> None:
    channel, runner, raw = ends()
    runner.send(Progress(1))
    raw.sendall(struct.pack(">I", 1000) + b"x" * 10)
    runner.close()
    assert await everything(channel) == ([Progress(1)], [])
    channel.close()


async def test_commands_arrive_in_order_and_a_large_one_in_pieces() -> None:
    channel, runner, _ = ends(max_pending_bytes=1 << 24)
    large = StartTask("big", TextPrompt("word " * 1_000_000), SamplingParameters())
    commands = [CancelTask("a"), large, Shutdown()]
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.write_pending)
            for command in commands:
                channel.send(command)
            received = [await anyio.to_thread.run_sync(runner.receive) for _ in commands]
            tasks.cancel_scope.cancel()
    assert received == commands
    runner.close()
    channel.close()


async def test_a_runner_that_does_not_read_fills_its_own_queue_only() -> None:
    channel, runner, _ = ends(max_pending_bytes=10_000)
    command = StartTask("a", TextPrompt("x" * 5000), SamplingParameters())
    channel.send(command)
    channel.send(command)
    with pytest.raises(ChannelFull, match="does not read"):
        channel.send(command)
    runner.close()
    channel.close()


async def test_a_command_above_the_frame_cap_is_refused_and_the_channel_goes_on() -> None:
    channel, runner, _ = ends()
    with pytest.raises(FrameViolation):
        channel.send(StartTask("a", TextPrompt("x" * (17 << 20)), SamplingParameters()))
    channel.send(Shutdown())
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.write_pending)
            assert await anyio.to_thread.run_sync(runner.receive) == Shutdown()
            tasks.cancel_scope.cancel()
    runner.close()
    channel.close()


async def test_writing_to_a_dead_runner_ends_quietly() -> None:
    channel, runner, _ = ends()
    runner.close()
    channel.send(Shutdown())
    with anyio.fail_after(20):
        await channel.write_pending()
    channel.close()
