"""Processes that die of memory, disk, threads, libraries, signals and exceptions."""
# ruff: noqa: E501 - programs stand on the lines that they have

from capturing.scenario import Scenario, Truth
from capturing.single import program

_OTHER, _ABORT, _KILLED = "python_exception_other", "abort_other", "killed_no_stderr"
_DLOPEN, _THREADS = "dlopen_failed", "thread_resource_exhausted"
_MLX = "import mlx.core as mx\n\n"
_HANDLER = {"PYTHONFAULTHANDLER": "1"}
_SHELL = 'import subprocess, sys\nsys.exit(subprocess.run(["bash", "-c", {command!r}]).returncode)'

_ROWS: tuple[tuple[str, Truth, str, dict[str, str], dict[str, int]], ...] = (
    ("memory_malloc_huge", Truth("metal_malloc_limit", marker=r"\[malloc(?:_or_wait)?\] Unable to allocate"),
     _MLX + "mx.eval(mx.zeros((1 << 23, 1 << 23), dtype=mx.float32))", {}, {}),
    ("memory_malloc_limited", Truth("metal_malloc_limit", marker=r"Unable to allocate"),
     _MLX + "mx.eval([mx.ones((1 << 26,)) * k for k in range(64)])", {}, {"RLIMIT_AS": 3 << 30}),
    ("memory_limited_segfault", Truth("segfault", exits=(-11,), without="Unable to allocate"),
     _MLX + "mx.eval([mx.ones((1 << 26,)) * k for k in range(64)])", {}, {"RLIMIT_AS": 3 << 30}),
    ("memory_limited_segfault_handler", Truth("segfault", marker="Fatal Python error: Segmentation fault", without="Unable to allocate"),
     _MLX + "mx.eval([mx.ones((1 << 26,)) * k for k in range(64)])", _HANDLER, {"RLIMIT_AS": 3 << 30}),
    ("memory_numpy", Truth(_OTHER, marker="MemoryError: Unable to allocate"),
     "import numpy\n\nnumpy.ones((1 << 50,))", {}, {}),
    ("memory_python", Truth(_OTHER, marker="^MemoryError"), "kept = bytearray(1 << 60)", {}, {}),
    ("files_exhausted", Truth(_OTHER, marker="Too many open files"),
     "import socket\n\nkept = [socket.socket() for _ in range(1000)]", {}, {"RLIMIT_NOFILE": 40}),
    ("disk_full_python", Truth("disk_full", marker="No space left"),
     'with open("/dev/full", "wb", buffering=0) as file:\n    file.write(b"x")', {}, {}),
    ("disk_full_logging", Truth("disk_full", marker="No space left"),
     'import json\n\nwith open("/dev/full", "w") as file:\n    json.dump(list(range(100000)), file)', {}, {}),
    ("disk_full_mlx", Truth("disk_full", marker=r"Unable to write"),
     _MLX + 'mx.save_safetensors("/app/w.safetensors", {"w": mx.ones((1 << 20,))})', {}, {"RLIMIT_FSIZE": 1 << 16}),
    ("threads_nproc", Truth(_THREADS, marker=r"can't start new thread"),
     "import os, resource, threading, time\n\nresource.setrlimit(resource.RLIMIT_NPROC, (5, 5))\nos.setuid(65534)\n"
     "for _ in range(100):\n    threading.Thread(target=time.sleep, args=(1,), daemon=True).start()", {}, {}),
    ("threads_mlx", Truth(_THREADS, marker=r"Resource temporarily unavailable"),
     _MLX + "import os, resource\n\nresource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\nos.setuid(65534)\n"
     "streams = [mx.new_stream(mx.cpu) for _ in range(8)]\n"
     "mx.eval([mx.add(mx.ones(4), 1, stream=stream) for stream in streams])", {}, {}),
    ("threads_fork", Truth(_THREADS, marker=r"Resource temporarily unavailable"),
     "import os, resource\n\nresource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\nos.setuid(65534)\nos.fork()\nos.fork()",
     {}, {}),
    *(
        (f"signal_{name}", Truth(kind, exits=(-number,)),
         f"{_MLX}import os\n\nmx.eval(mx.ones(4))\nos.kill(os.getpid(), {number})", {}, {})
        for name, kind, number in (
            ("segv", "segfault", 11), ("bus", "bus_error", 7), ("abrt", _ABORT, 6), ("kill", _KILLED, 9),
            ("term", _KILLED, 15), ("fpe", _ABORT, 8), ("ill", _ABORT, 4), ("hup", _KILLED, 1), ("int", _KILLED, 2),
        )
    ),
    *(
        (f"signal_{name}_handler", Truth(kind, marker=f"Fatal Python error: {words}", exits=(-number,)),
         f"{_MLX}import os\n\nmx.eval(mx.ones(4))\nos.kill(os.getpid(), {number})", _HANDLER, {})
        for name, kind, number, words in (
            ("segv", "segfault", 11, "Segmentation fault"), ("bus", "bus_error", 7, "Bus error"),
            ("abrt", _ABORT, 6, "Aborted"), ("fpe", _ABORT, 8, "Floating point exception"),
            ("ill", _ABORT, 4, "Illegal instruction"),
        )
    ),
    ("mapped_file_cut", Truth("bus_error", exits=(-7,)),
     'import mmap\n\nwith open("/app/f", "wb+") as file:\n    file.write(bytes(1 << 16))\n    file.flush()\n'
     "    mapped = mmap.mmap(file.fileno(), 0)\n    file.truncate(0)\n    print(mapped[9000])", {}, {}),
    ("null_pointer_handler", Truth("segfault", marker="Fatal Python error: Segmentation fault"),
     "import ctypes\n\nctypes.string_at(0)", _HANDLER, {}),
    ("interpreter_state", Truth(_ABORT, marker="^Fatal Python error: "),
     'import ctypes\n\nctypes.pythonapi.Py_FatalError(b"the evaluation loop is broken")', {}, {}),
    ("heap_double_free", Truth(_ABORT, marker=r"free\(\): |double free", exits=(-6,)),
     "import ctypes\n\nlibc = ctypes.CDLL(None)\nlibc.malloc.restype = ctypes.c_void_p\n"
     "block = ctypes.c_void_p(libc.malloc(100000))\nlibc.free(block)\nlibc.free(ctypes.c_void_p(block.value + 8))", {}, {}),
    ("terminate_no_exception", Truth(_ABORT, marker="terminate called without an active exception", exits=(-6,)),
     'import ctypes\n\nctypes.CDLL("libstdc++.so.6")._ZSt9terminatev()', {}, {}),
    ("shell_segfault", Truth("segfault", marker="Segmentation fault", exits=(139,)),
     _SHELL.format(command="bash -c 'kill -SEGV $$'; exit $?"), {}, {}),
    ("shell_killed", Truth(_KILLED, marker="Killed", exits=(137,)),
     _SHELL.format(command="bash -c 'kill -KILL $$'; exit $?"), {}, {}),
    ("shell_aborted", Truth(_ABORT, marker="Aborted", exits=(134,)),
     _SHELL.format(command="bash -c 'kill -ABRT $$'; exit $?"), {}, {}),
    ("library_absent", Truth(_DLOPEN, marker="cannot open shared object file"),
     'import ctypes\n\nctypes.CDLL("libjaccl-of-another-version.so")', {}, {}),
    ("library_garbage", Truth(_DLOPEN, marker=r"file too short|invalid ELF header|^OSError"),
     'import ctypes\nfrom pathlib import Path\n\nPath("/app/libw.so").write_bytes(b"garbage" * 100)\n'
     'ctypes.CDLL("/app/libw.so")', {}, {}),
    ("library_symbol", Truth(_DLOPEN, marker="undefined symbol"),
     'import ctypes\n\nctypes.CDLL(None).mlx_core_of_another_version', {}, {}),
    ("module_absent", Truth(_OTHER, marker="^ModuleNotFoundError"), "import mlx_of_another_world", {}, {}),
)  # fmt: skip

PROCESS: tuple[Scenario, ...] = tuple(
    program(name, "process", truth, source.replace("/app/", "./"), environ, limits)
    for name, truth, source, environ, limits in _ROWS
)
