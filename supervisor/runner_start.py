"""Starts a runner's process: its channel, the file for its stacks, then exec."""

import os

from supervisor.channel_end import SupervisorEnd, channel_pair
from supervisor.launch import RunnerLaunch
from supervisor.process.child import ChildProcess, start_child


def start_runner(launch: RunnerLaunch, max_pending_bytes: int) -> tuple[ChildProcess, SupervisorEnd]:
    """Start the process and queue its configuration. Blocks until exec has succeeded or failed.

    Raises:
        OSError: When it cannot be started; nothing is left behind.
    """
    ours, theirs = channel_pair()
    dump_fd = os.open(launch.dump_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        child = start_child(
            launch.command(theirs.fileno(), dump_fd),
            env=launch.environment,
            pass_fds=(theirs.fileno(), dump_fd),
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(dump_fd)
    channel = SupervisorEnd(ours, launch.generation, max_pending_bytes)
    channel.send(launch.configure)
    return child, channel
