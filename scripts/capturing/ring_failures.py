"""Rings on this machine in which one rank fails, is absent, or is set up wrongly."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

from capturing.scenario import ALIVE, Command, Scenario, Truth, Workshop

_RANK = Path(__file__).with_name("ring_rank.py")
_STANDS = frozenset({"SIGSTOP", "sleep", "other_shape"})
_LAST_LINE = r"^ValueError: synthetic failure"

WAYS: dict[str, Truth] = {
    "SIGKILL": Truth("killed_no_stderr", exits=(-9,)),
    "SIGTERM": Truth("killed_no_stderr", exits=(-15,)),
    "SIGINT": Truth("killed_no_stderr", exits=(-2, 130)),
    "SIGSEGV": Truth("segfault", exits=(-11,)),
    "SIGBUS": Truth("bus_error", exits=(-7,)),
    "SIGABRT": Truth("abort_other", exits=(-6,)),
    "exit_0": Truth("exited_early", exits=(0,)),
    "immediate_exit_0": Truth("exited_early", exits=(0,)),
    "exit_3": Truth("unknown", exits=(3,)),
    "raise": Truth("python_exception_other", marker=_LAST_LINE),
    "raise_chained": Truth("python_exception_other", marker=r"^KeyError: 'step'|^RuntimeError: decode failed"),
    "missing_weights": Truth("model_load_missing_weights", marker=r"Failed to open file model-00002"),
    "memory": Truth("python_exception_other", marker=r"MemoryError: Unable to allocate"),
    "disk_full": Truth("disk_full", marker=r"No space left on device"),
    "faulthandler_segfault": Truth("segfault", marker=r"Fatal Python error: Segmentation fault", exits=(-11,)),
    "close_sockets": Truth("ring_recv_errno|ring_send_errno", marker=r"errno 9$"),
    "SIGSTOP": Truth("stalled", exits=(ALIVE,)),
    "sleep": Truth("stalled", exits=(ALIVE,)),
    "other_shape": Truth("stalled", exits=(ALIVE,)),
}

_MATRIX = (
    *((way, "all_sum", 3, 1) for way in WAYS),
    *((way, "all_sum", size, victim) for way in ("SIGKILL", "raise") for size, victim in ((2, 0), (2, 1), (4, 3))),
    *(("exit_0", "all_sum", size, victim) for size, victim in ((2, 0), (3, 2), (4, 1))),
    ("SIGSEGV", "all_sum", 2, 1),
    ("SIGABRT", "all_sum", 4, 2),
    ("SIGTERM", "all_sum", 3, 0),
    ("SIGKILL", "big_all_sum", 3, 1),
    ("raise", "big_all_sum", 2, 0),
    ("SIGKILL", "gather", 3, 2),
    ("exit_0", "gather", 3, 0),
    ("SIGKILL", "send_recv", 3, 1),
    ("raise", "send_recv", 3, 0),
    ("exit_0", "send_recv", 2, 1),
    ("SIGKILL", "idle", 2, 0),
    ("SIGSEGV", "idle", 3, 2),
    ("raise", "idle", 3, 1),
)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _rank_command(workshop: Workshop, hosts: object, rank: int, *arguments: str) -> Command:
    program, hostfile = workshop.scratch / "ring_rank.py", workshop.scratch / "hosts.json"
    program.write_text(_RANK.read_text())
    hostfile.write_text(hosts if isinstance(hosts, str) else json.dumps(hosts))
    environ = {"MLX_RANK": str(rank), "MLX_HOSTFILE": str(hostfile)}
    return Command((str(workshop.environment.python), str(program), *arguments), environ)


def ring(way: str, mode: str, size: int, victim: int) -> Callable[[Workshop], list[Command]]:
    """The commands of `size` ranks of which `victim` does `way`, in `mode` (see `ring_rank.py`)."""

    def commands(workshop: Workshop) -> list[Command]:
        hosts = [[f"127.0.0.1:{port}"] for port in free_ports(size)]
        return [_rank_command(workshop, hosts, rank, mode, way, str(victim)) for rank in range(size)]

    return commands


def _failing(way: str, mode: str, size: int, victim: int) -> Scenario:
    truth = WAYS[way]
    # Nobody ends, and nothing that the ranks leave tells which of them stood first.
    rank = None if way in _STANDS else victim
    watch_s = 5.0 if way in _STANDS else 20.0
    return Scenario(
        f"ring_{way}_{mode}_{victim}_of_{size}",
        "ring",
        Truth(truth.kind, rank, truth.marker, truth.exits),
        ring(way, mode, size, victim),
        watch_s,
        settle_s=0.8,
    )


def _set_up(hosts: Callable[[list[int]], object], rank: int = 0) -> Callable[[Workshop], list[Command]]:
    def commands(workshop: Workshop) -> list[Command]:
        return [_rank_command(workshop, hosts(free_ports(3)), rank, "all_sum", "none", "0")]

    return commands


def _absent(workshop: Workshop) -> list[Command]:
    """Rank 0 of three was never started; rank 2 gives up connecting to it, and rank 1 waits for ever."""
    hosts = [[f"127.0.0.1:{port}"] for port in free_ports(3)]
    return [_rank_command(workshop, hosts, rank, "all_sum", "none", "0") for rank in (1, 2)]


def _bind_in_use(workshop: Workshop) -> list[Command]:
    """A listener that lives as long as this process holds rank 0's port."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    _HELD.append(holder)
    first, second = holder.getsockname()[1], free_ports(1)[0]
    hosts = [[f"127.0.0.1:{first}"], [f"127.0.0.1:{second}"]]
    return [_rank_command(workshop, hosts, rank, "all_sum", "none", "0") for rank in range(2)]


_HELD: list[socket.socket] = []
_FAILED = "ring_connect_failed"

RING: tuple[Scenario, ...] = (
    *(_failing(*row) for row in _MATRIX),
    Scenario(
        "ring_absent_rank", "ring", Truth(_FAILED, 0, r"Couldn't connect \(error: 111"), _absent, 45.0, ranks=(1, 2)
    ),
    Scenario("ring_bind_in_use", "ring", Truth("ring_bind_failed", 0, r"Couldn't bind socket"), _bind_in_use),
    Scenario(
        "ring_hostfile_no_json", "ring", Truth(_FAILED, 0, r"json\.exception"), _set_up(lambda _: "hosts: [a, b]")
    ),
    Scenario("ring_hostfile_cut", "ring", Truth(_FAILED, 0, r"json\.exception"), _set_up(lambda _: '[["127.0.0.1:50')),
    Scenario(
        "ring_hostfile_launcher_style",
        "ring",
        Truth(_FAILED, 0, r"json\.exception"),
        _set_up(lambda ports: [{"ssh": "a", "ips": [f"127.0.0.1:{port}"]} for port in ports]),
    ),
    Scenario(
        "ring_hostfile_no_port", "ring", Truth(_FAILED, 0, r"Can't parse address"), _set_up(lambda _: [["127.0.0.1"]])
    ),
    Scenario(
        "ring_hostfile_unknown_host",
        "ring",
        Truth(_FAILED, 0, r"Can't parse address"),
        _set_up(lambda ports: [[f"no-such-host.invalid:{port}"] for port in ports]),
    ),
    Scenario(
        "ring_hostfile_empty_lists", "ring", Truth(_FAILED, 0, r"has no sockets"), _set_up(lambda _: [[], [], []])
    ),
    Scenario(
        "ring_rank_too_large",
        "ring",
        Truth(_FAILED, 0, r"Rank cannot be larger"),
        _set_up(lambda ports: [[f"127.0.0.1:{port}"] for port in ports], rank=7),
    ),
    Scenario("ring_hostfile_empty_array", "ring", Truth("abort_other", 0, exits=(-8,)), _set_up(lambda _: [])),
)
