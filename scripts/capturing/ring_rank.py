"""One rank of a ring in which one rank fails on purpose. Run by the captured MLX version's own Python.

`ring_rank.py MODE WAY VICTIM`: all ranks compute together in MODE; at step 5, VICTIM does WAY.
"""

import faulthandler
import os
import signal
import stat
import sys
import time
from pathlib import Path

import mlx.core as mx
import numpy

MODE, WAY, VICTIM = sys.argv[1], sys.argv[2], int(sys.argv[3])
FAIL_AT = 5


def own_sockets():
    for name in [path.name for path in Path("/proc/self/fd").iterdir()]:
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                yield int(name)
        except OSError:
            continue


def close_sockets():
    for number in list(own_sockets()):
        os.close(number)


def signalled():
    os.kill(os.getpid(), getattr(signal, WAY))
    time.sleep(0.2)


def raised():
    raise ValueError("synthetic failure of one rank")


def raised_from():
    try:
        {}["step"]
    except KeyError as error:
        raise RuntimeError("decode failed") from error


def crashed_with_handler():
    faulthandler.enable()
    faulthandler._sigsegv()


WAYS = {
    "exit_0": lambda: sys.exit(0),
    "exit_3": lambda: sys.exit(3),
    "immediate_exit_0": lambda: os._exit(0),
    "raise": raised,
    "raise_chained": raised_from,
    "missing_weights": lambda: mx.load("model-00002-of-00003.safetensors"),
    "memory": lambda: numpy.zeros(1 << 50, dtype=numpy.float32),
    "disk_full": lambda: Path("/dev/full").write_text("x" * 100000),
    "faulthandler_segfault": crashed_with_handler,
    "close_sockets": close_sockets,
    "sleep": lambda: time.sleep(60),
}


def fail():
    if WAY.startswith("SIG"):
        signalled()
    elif WAY in WAYS:
        WAYS[WAY]()


def compute(group, step):
    rank, size = group.rank(), group.size()
    if MODE == "all_sum":
        count = 9000 if WAY == "other_shape" and rank == VICTIM and step >= FAIL_AT else 4096
        mx.eval(mx.distributed.all_sum(mx.ones(count), stream=mx.cpu))
    elif MODE == "big_all_sum":
        mx.eval(mx.distributed.all_sum(mx.ones(2000000), stream=mx.cpu))
    elif MODE == "gather":
        mx.eval(mx.distributed.all_gather(mx.ones(4096), stream=mx.cpu))
    elif MODE == "send_recv":
        right, left = (rank + 1) % size, (rank - 1) % size
        if rank == 0:
            mx.eval(mx.distributed.send(mx.ones(4096), right, stream=mx.cpu))
        received = mx.distributed.recv((4096,), mx.float32, left, stream=mx.cpu)
        mx.eval(received)
        if rank != 0:
            mx.eval(mx.distributed.send(received, right, stream=mx.cpu))
    elif MODE == "idle":
        mx.eval(mx.distributed.all_sum(mx.ones(4096), stream=mx.cpu))
        time.sleep(0.7 if step == FAIL_AT else 0)


def main():
    group = mx.distributed.init(strict=True, backend="ring")
    for step in range(20 if WAY == "finish" else 1 << 30):
        if step == FAIL_AT and group.rank() == VICTIM:
            fail()
        compute(group, step)


main()
