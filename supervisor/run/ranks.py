"""Where the ranks of a local run meet: ring addresses and the environment of each rank."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from supervisor.hostfile import HostfileError, read_hosts
from supervisor.ports import free_ports

_NOT_INHERITED = "RINGWARDEN_API_KEY"
_JOIN = "Ranks on other machines come with `ringwarden join`, which is not there yet; use addresses of this machine."


def read_hostfile(path: Path) -> list[list[str]]:
    """Return the ring's addresses, a list for each rank. Blocks on the disk.

    Every form of `supervisor.hostfile` is read; where it names no ports, free ones are found.

    Raises:
        HostfileError: It cannot be read, has no known form, or names another machine.
    """
    entries = read_hosts(path).entries
    ours = _our_addresses()
    for rank, entry in enumerate(entries):
        for host in (entry.name, *entry.addresses):
            if host and host.lower() not in ours and not host.startswith("127."):
                raise HostfileError(
                    f"{path}: rank {rank} is on {host}, which is not this machine", _JOIN, is_remote=True
                )
    places = [entry.addresses or ("127.0.0.1",) for entry in entries]
    found = iter(free_ports(sum(map(len, places))))
    ports = [entry.ports or [next(found) for _ in of_rank] for entry, of_rank in zip(entries, places, strict=True)]
    return [
        [f"{host}:{port}" for host, port in zip(of_rank, numbers, strict=True)]
        for of_rank, numbers in zip(places, ports, strict=True)
    ]


def loopback_ring(world_size: int) -> list[list[str]]:
    """Return addresses for a ring on this machine alone."""
    return [[f"127.0.0.1:{port}"] for port in free_ports(world_size)]


def write_ring_file(path: Path, addresses: Sequence[Sequence[str]]) -> None:
    """Write what MLX's ring backend reads."""
    path.write_bytes(msgspec.json.encode(addresses))


def rank_environment(base: Mapping[str, str], rank: int, ring_file: Path | None) -> dict[str, str]:
    """Our own environment, without our secret, with the rank's place in the ring if there is one.

    Python programs write every line as it comes unless `PYTHONUNBUFFERED` is set to something else: their stdout is a
    pipe, and what they hold back nobody sees.
    """
    environment = {name: value for name, value in base.items() if name != _NOT_INHERITED}
    environment.setdefault("PYTHONUNBUFFERED", "1")
    if ring_file is not None:
        environment["MLX_RANK"] = str(rank)
        environment["MLX_HOSTFILE"] = str(ring_file)
    return environment


def _our_addresses() -> frozenset[str]:
    """Names and addresses of this machine."""
    name = socket.gethostname().lower()
    names = {"localhost", "::1", name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}
    found = {address.address.partition("%")[0] for card in psutil.net_if_addrs().values() for address in card}
    return frozenset(names | found)
