"""What can go wrong in a scripted runner.

Ends of the process:
    raise              raise `exception` with `message`: a builtin, RecursionError made by recursing, an ExceptionGroup
                       of two, or `unprintable`, which has no text
    sys_exit           sys.exit(exit_code)
    exit               os._exit(exit_code), nothing flushed; with exit_code 0 a death that looks like success
    sigsegv            write `line` to fd 2 if given, then SIGSEGV by reading address 0
    sigabrt            write `line` to fd 2 if given, then abort()
    sigkill            write `line` to fd 2 if given, then SIGKILL itself
    sigterm            SIGTERM itself
Standing still:
    sigstop            SIGSTOP itself
    hang               wait `seconds` without the GIL
    hold_gil           stay in C with the GIL held for `seconds`
    sleep              time.sleep(seconds), then go on
Memory:
    take_memory        take `count` MiB more and keep them
Noise and pipes:
    print_line         write `line` and a newline to fd 2 and go on, as a fatal line from a live process
    print_partial      write `line` without a newline to fd 2 and go on
    flood              write `count` MiB of lines to fd 1 and fd 2 alternately
    long_line          write 200 KB without a newline to fd 2
    split_utf8         write a three-byte character to fd 2 in three writes
    close_stderr       close fd 2
    grandchild         leave a child that holds the pipes for `seconds` in the same process group
    daemon             the same in a session of its own, out of the group's reach
    ignore_signals     ignore SIGTERM and SIGUSR1
The channel:
    half_frame         write a length of 1000 and 10 bytes
    garbage_frame      write a frame that is no msgpack
    oversized_frame    write a length prefix of 4 GiB - 1
    wrong_generation   write a well-formed frame of the generation before
    wrong_sequence     write a well-formed frame with a number out of turn
    frames             send `count` Progress frames through the runner's own channel, in one thread, one by one
    close_channel      shut the channel down and go on
One task:
    reject_task        at `prepare`: refuse it as an invalid request
    fail_task          at `text`: raise inside that task only
"""

import builtins
import ctypes
import faulthandler
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from runner.engine import TaskRejection
from tests.faults import frames
from tests.faults.script import Fault
from transports.messages import RejectionCode

_KEPT: list[bytes] = []


def perform(fault: Fault) -> None:
    """Do what the fault says."""
    _ACTIONS[fault.action](fault)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _last_line(fault: Fault) -> None:
    if fault.line:
        _write(2, fault.line.encode() + b"\n")


def _raise(fault: Fault) -> None:
    if fault.exception == "ExceptionGroup":
        raise ExceptionGroup(fault.message, [ValueError("first"), OSError(5, "second")])
    if fault.exception == "RecursionError":
        _raise_recursion()
    if fault.exception == "unprintable":
        raise _Unprintable
    raise getattr(builtins, fault.exception)(fault.message)


def _raise_recursion() -> None:
    _raise_recursion()


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


def _sys_exit(fault: Fault) -> None:
    sys.exit(fault.exit_code)


def _exit(fault: Fault) -> None:
    _last_line(fault)
    os._exit(fault.exit_code)


def _take_memory(fault: Fault) -> None:
    for _ in range(fault.count):
        _KEPT.append(b"x" * (1 << 20))


def _sigsegv(fault: Fault) -> None:
    _last_line(fault)
    ctypes.string_at(0)


def _sigabrt(fault: Fault) -> None:
    _last_line(fault)
    os.abort()


def _kill_self(number: signal.Signals) -> Callable[[Fault], None]:
    def act(fault: Fault) -> None:
        _last_line(fault)
        os.kill(os.getpid(), number)

    return act


def _hang(fault: Fault) -> None:
    threading.Event().wait(fault.seconds)


def _hold_gil(fault: Fault) -> None:
    # PyDLL calls keep the GIL. Signals go to other threads, so that they do not cut the sleep short.
    microseconds = int(fault.seconds * 1e6)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).usleep(microseconds)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())


def _sleep(fault: Fault) -> None:
    time.sleep(fault.seconds)


def _print_partial(fault: Fault) -> None:
    _write(2, fault.line.encode())


def _flood(fault: Fault) -> None:
    block = (b"noise " * 20 + b"\n") * 540
    for _ in range(fault.count * 1024 * 1024 // len(block) + 1):
        _write(1, block)
        _write(2, block)


def _long_line(_fault: Fault) -> None:
    _write(2, b"x" * 200_000)


def _split_utf8(_fault: Fault) -> None:
    for byte in "€".encode():
        _write(2, bytes([byte]))
        time.sleep(0.02)
    _write(2, b"\n")


def _close_stderr(_fault: Fault) -> None:
    os.close(2)


def _child(*, new_session: bool) -> Callable[[Fault], None]:
    def act(fault: Fault) -> None:
        subprocess.Popen(["sleep", str(fault.seconds)], stdin=subprocess.DEVNULL, start_new_session=new_session)

    return act


def _ignore_signals(_fault: Fault) -> None:
    faulthandler.unregister(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _raw(make: Callable[[Fault], bytes]) -> Callable[[Fault], None]:
    def act(fault: Fault) -> None:
        with socket.socket(fileno=os.dup(frames.channel_descriptor())) as channel:
            channel.sendall(make(fault))

    return act


def _close_channel(_fault: Fault) -> None:
    with socket.socket(fileno=os.dup(frames.channel_descriptor())) as channel:
        channel.shutdown(socket.SHUT_RDWR)


def _reject_task(fault: Fault) -> None:
    raise TaskRejection(RejectionCode.INVALID_REQUEST, fault.message, parameter="messages")


_ACTIONS: dict[str, Callable[[Fault], None]] = {
    "raise": _raise,
    "sys_exit": _sys_exit,
    "exit": _exit,
    "sigsegv": _sigsegv,
    "sigabrt": _sigabrt,
    "sigkill": _kill_self(signal.SIGKILL),
    "sigterm": _kill_self(signal.SIGTERM),
    "sigstop": _kill_self(signal.SIGSTOP),
    "hang": _hang,
    "hold_gil": _hold_gil,
    "sleep": _sleep,
    "take_memory": _take_memory,
    "print_line": _last_line,
    "print_partial": _print_partial,
    "flood": _flood,
    "long_line": _long_line,
    "split_utf8": _split_utf8,
    "close_stderr": _close_stderr,
    "grandchild": _child(new_session=False),
    "daemon": _child(new_session=True),
    "ignore_signals": _ignore_signals,
    "half_frame": _raw(frames.half_frame),
    "garbage_frame": _raw(frames.garbage_frame),
    "oversized_frame": _raw(frames.oversized_frame),
    "wrong_generation": _raw(frames.wrong_generation),
    "wrong_sequence": _raw(frames.wrong_sequence),
    "frames": frames.send_frames,
    "close_channel": _close_channel,
    "reject_task": _reject_task,
    "fail_task": _raise,
}
ACTIONS = frozenset(_ACTIONS)
