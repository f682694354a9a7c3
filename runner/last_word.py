"""Leaves without the GIL at the first sign on the channel, while no other sign than the end can come.

MLX's ring waits for its neighbours inside `mx.distributed.init`, with the GIL held and without a timeout, so no Python
thread can see the supervisor die or ask to leave. Before a runner is ready, nothing can arrive but Shutdown and end of
file, and both mean: leave. So the kernel is asked to signal any arrival (`O_ASYNC`, on sockets both in Linux and
macOS), and the signal's handler is libc's own `_exit`, which runs no Python. The exit status is then SIGIO's number.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
from collections.abc import Generator


@contextlib.contextmanager
def leave_at_any_arrival(channel_fd: int) -> Generator[None]:
    """End the process as soon as anything, end of file included, arrives on the socket. Main thread, before `ready`."""
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    exit_now = ctypes.cast(libc._exit, ctypes.c_void_p)
    flags = fcntl.fcntl(channel_fd, fcntl.F_GETFL)
    previous = libc.signal(signal.SIGIO, exit_now)
    fcntl.fcntl(channel_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(channel_fd, fcntl.F_SETFL, flags | os.O_ASYNC)
    try:
        yield
    finally:
        fcntl.fcntl(channel_fd, fcntl.F_SETFL, flags)
        libc.signal(signal.SIGIO, previous)
