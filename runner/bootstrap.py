"""The first and the last thing a runner does: say hello, start the threads, and turn whatever ends it into one frame.

Nothing heavy is imported before the hello: the supervisor learns within milliseconds that exec worked.
"""

import argparse
import contextlib
import faulthandler
import importlib.metadata
import os
import platform
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from diagnostics.phase import Phase
from diagnostics.termination import describe
from runner.control import Control, Inbox, leave_without_supervisor
from runner.dead_man import DeadMan
from runner.progression import Progression
from runner.uplink import Uplink
from transports.channel import ChannelClosed, ProtocolViolation, RunnerEnd
from transports.messages import Configure, PhaseChanged, RunnerHello
from transports.progress import Activity

EXIT_FAILED = 1


class _ArgumentParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """As argparse, with the exit status of sysexits."""
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one runner to its end. Ends the process: 0 after a shutdown, 1 after an exception, 64 for bad arguments."""
    options = _parse(arguments)
    faulthandler.enable(all_threads=True)
    faulthandler.register(signal.SIGUSR1, file=options.dump_fd, all_threads=True)
    channel = RunnerEnd(socket.socket(fileno=options.channel_fd), options.generation)
    uplink = Uplink(channel)
    try:
        uplink.send(_hello())
        _run(channel, uplink, options)
    except ChannelClosed:
        leave_without_supervisor()
    except BaseException as exc:  # noqa: BLE001 - SystemExit and KeyboardInterrupt end a runner like any other exception
        _leave_failed(uplink, exc)
    _leave(0)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _ArgumentParser(prog="python -m runner", description="Started by a supervisor, never by hand.")
    parser.add_argument("--rank", type=int, required=True, help="as in Configure; here so that `ps` shows it")
    parser.add_argument("--generation", type=int, required=True, help="put on every frame and demanded from every one")
    parser.add_argument("--channel-fd", type=int, required=True, help="inherited end of the private channel")
    parser.add_argument("--dump-fd", type=int, required=True, help="where stacks are dumped on SIGUSR1")
    return parser.parse_args(arguments)


def _hello() -> RunnerHello:
    return RunnerHello(
        pid=os.getpid(),
        python_version=platform.python_version(),
        platform=f"{platform.system().lower()}-{platform.machine()}",
        mlx_version=_version("mlx"),
        mlx_lm_version=_version("mlx-lm"),
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _run(channel: RunnerEnd, uplink: Uplink, options: argparse.Namespace) -> None:
    configuration = channel.receive()
    if configuration is None:
        leave_without_supervisor()
    _check(configuration, options)
    assert isinstance(configuration, Configure)

    def leave_while_starting() -> NoReturn:
        uplink.send_last(PhaseChanged(Phase.SHUTTING_DOWN), PhaseChanged(Phase.SHUTDOWN))
        _leave(0)

    def leave_failed(error: BaseException) -> NoReturn:
        _leave_failed(uplink, error)

    progression = Progression()
    inbox = Inbox()
    dead_man = DeadMan(configuration.dead_man_s, options.dump_fd)
    control = Control(
        channel,
        uplink,
        inbox,
        progression,
        leave_while_starting=leave_while_starting,
        leave_failed=leave_failed,
    )
    dead_man.start()
    control.start()
    uplink.send(PhaseChanged(Phase.CONNECTING))

    from runner.attribution.installation import install  # noqa: PLC0415 - after the hello
    from runner.engine import load_engine  # noqa: PLC0415
    from runner.last_word import leave_at_any_arrival  # noqa: PLC0415
    from runner.loop import serve, warm_engine  # noqa: PLC0415

    output = install(uplink, configuration.marker_token, leave_without_supervisor)
    engine = load_engine(configuration.engine, configuration)
    with leave_at_any_arrival(options.channel_fd):
        progression.enter(Activity.CONNECTING, "connect")
        engine.connect()
        progression.leave()
    warm_engine(engine, uplink, progression)
    control.serving()
    dead_man.serving()
    serve(configuration, engine, uplink, output, inbox, progression)
    engine.close()
    dead_man.stop()
    uplink.send_last(PhaseChanged(Phase.SHUTDOWN))


def _check(command: object, options: argparse.Namespace) -> None:
    if not isinstance(command, Configure):
        raise ProtocolViolation(f"the first command must be Configure, not {type(command).__name__}")
    if command.rank != options.rank:
        raise ProtocolViolation(f"Configure is for rank {command.rank}, but this is rank {options.rank}")
    if not 0 <= command.rank < command.world_size:
        raise ProtocolViolation(f"rank {command.rank} is not in a world of {command.world_size}")
    for name in ("max_concurrent_tasks", "prefill_step_tokens", "dead_man_s"):
        value = getattr(command, name)
        if not value > 0:
            raise ProtocolViolation(f"Configure.{name} is {value}; it must be above 0")


def _leave_failed(uplink: Uplink, error: BaseException) -> NoReturn:
    """Say what happened: on the channel first, since that is what clients are told, then on stderr for the log."""
    try:
        uplink.send_last(describe(error))
    except ChannelClosed:
        leave_without_supervisor()
    # stderr may be closed, and the exception may not be printable.
    with contextlib.suppress(BaseException):
        traceback.print_exception(error)
    _leave(EXIT_FAILED)


def _leave(code: int) -> NoReturn:
    """End now: MLX's exit handlers could hang, and the peers wait for our sockets to close."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(code)
