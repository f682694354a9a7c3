"""Where the ranks of a local run meet: ring addresses and the environment of each rank."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from supervisor.launch import free_loopback_ports

_MAX_HOSTFILE_BYTES = 1024 * 1024
_NOT_INHERITED = "RINGWARDEN_API_KEY"
_JOIN = "Ranks on other machines come with `ringwarden join`, which is not there yet; use addresses of this machine."


class HostfileError(ValueError):
    """A hostfile that cannot be used. `remedy` says what to do; `is_remote` that it names other machines."""

    def __init__(self, message: str, remedy: str, *, is_remote: bool = False) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.is_remote = is_remote


class _LauncherHost(msgspec.Struct, frozen=True):
    """One host as `mlx.launch --hostfile` takes it."""

    ssh: str
    ips: tuple[str, ...] = ()


def read_hostfile(path: Path) -> list[list[str]]:
    """Return the ring's addresses, a list for each rank. Blocks on the disk.

    Both forms are read: MLX's own (`[["127.0.0.1:5000"], …]`, `MLX v0.32.1 ring.cpp`) and that of `mlx.launch`
    (`[{"ssh": …, "ips": […]}, …]`), whose ranks get free ports.

    Raises:
        HostfileError: It cannot be read, has neither form, or names another machine.
    """
    remedy = 'It is a JSON list with one entry for each rank, for example [["127.0.0.1:5000"], ["127.0.0.1:5001"]].'
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_HOSTFILE_BYTES)
        ranks = msgspec.json.decode(text, type=list[list[str] | _LauncherHost])
    except OSError as problem:
        raise HostfileError(f"{path} cannot be read: {problem.strerror}", "Name a readable hostfile.") from problem
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise HostfileError(f"{path} is no hostfile: {problem}", remedy) from problem
    if not ranks or not all(ranks):
        raise HostfileError(f"{path} names no address for some rank", remedy)
    ports = iter(free_loopback_ports(len(ranks)))
    ours = _our_addresses()
    return [_addresses(path, rank, entry, next(ports), ours) for rank, entry in enumerate(ranks)]


def loopback_ring(world_size: int) -> list[list[str]]:
    """Return addresses for a ring on this machine alone."""
    return [[f"127.0.0.1:{port}"] for port in free_loopback_ports(world_size)]


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


def _addresses(path: Path, rank: int, entry: list[str] | _LauncherHost, port: int, ours: frozenset[str]) -> list[str]:
    if isinstance(entry, _LauncherHost):
        _check_local(path, rank, entry.ssh, ours)
        addresses = [f"{ip}:{port}" for ip in (entry.ips or ("127.0.0.1",))]
    else:
        addresses = entry
    for address in addresses:
        host, colon, number = address.rpartition(":")
        if not colon or not number.isdigit() or not 0 < int(number) < 65_536:
            raise HostfileError(f"{path}: rank {rank} has the address {address!r}", "Write it as ADDRESS:PORT.")
        _check_local(path, rank, host, ours)
    return addresses


def _check_local(path: Path, rank: int, host: str, ours: frozenset[str]) -> None:
    if host.strip("[]").lower() not in ours and not host.startswith("127."):
        raise HostfileError(f"{path}: rank {rank} is on {host}, which is not this machine", _JOIN, is_remote=True)


def _our_addresses() -> frozenset[str]:
    """Names and addresses of this machine."""
    name = socket.gethostname().lower()
    names = {"localhost", "::1", name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}
    found = {address.address.partition("%")[0] for card in psutil.net_if_addrs().values() for address in card}
    return frozenset(names | found)
