"""A user's own hostfile, in every form that MLX or `mlx.launch` takes (MLX 0.32.4, `_distributed_utils/common.py`).

- `[["10.0.0.1:5000"], ["10.0.0.2:5000"]]`: what the ring backend itself reads, ports and all;
- `[{"ssh": "studio-1", "ips": ["10.0.0.1"], "rdma": [null, "rdma_en2"]}, …]`: what `mlx.launch --hostfile` reads;
- `{"backend": "jaccl", "envs": ["NAME=VALUE"], "hosts": […]}`: what `mlx.distributed_config` writes;
- `["10.0.0.1", "studio-2.local"]`: what `mlx.launch --hosts` reads, as a list.
"""

import ipaddress
import re
from pathlib import Path
from typing import Literal

import msgspec

from supervisor.core.rank_places import RdmaNames

MAX_BYTES = 1024 * 1024
MAX_RANKS = 256
_MAX_ADDRESSES = 16
_MAX_VARIABLES = 64
_BACKENDS: dict[str, Literal["ring", "jaccl"]] = {"ring": "ring", "jaccl": "jaccl", "jaccl-ring": "jaccl"}
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLE = (
    'It is a JSON list with one entry for each rank, for example [["127.0.0.1:5000"], ["127.0.0.1:5001"]] '
    'or [{"ssh": "studio-1", "ips": ["10.0.0.1"]}, {"ssh": "studio-2", "ips": ["10.0.0.2"]}].'
)


class HostfileError(ValueError):
    """A hostfile that cannot be used. `remedy` says what to do; `is_remote` that it names other machines."""

    def __init__(self, message: str, remedy: str, *, is_remote: bool = False) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.is_remote = is_remote


class HostEntry(msgspec.Struct, frozen=True):
    """One rank's host.

    Args:
        name: Where `mlx.launch` would log in, without the user; empty in the ring's own form.
        addresses: Where its ring listens: IPv4 addresses or names.
        ports: One for each address in the ring's own form, else empty.
        rdma: Its devices to each rank, None to itself; empty when there are none.
    """

    name: str
    addresses: tuple[str, ...]
    ports: tuple[int, ...] = ()
    rdma: tuple[RdmaNames, ...] = ()


class Hostfile(msgspec.Struct, frozen=True):
    """What the user's file says: a host for each rank, the backend if it names one, and variables for every rank.

    `jaccl-ring` is JACCL with the variable that makes it a ring.
    """

    entries: tuple[HostEntry, ...]
    backend: Literal["ring", "jaccl"] | None = None
    environment: dict[str, str] = {}


class _LauncherHost(msgspec.Struct, frozen=True):
    ssh: str
    ips: tuple[str, ...] = ()
    rdma: tuple[RdmaNames, ...] = ()


_Entry = list[str] | str | _LauncherHost


class _LauncherFile(msgspec.Struct, frozen=True):
    hosts: list[_Entry]
    backend: str = ""
    envs: list[str] = []


def read_hosts(path: Path) -> Hostfile:
    """Return what the file says. Blocks on the disk.

    Raises:
        HostfileError: It cannot be read, has none of the forms, or an entry breaks a rule; the message names the entry.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise HostfileError(f"{path} is no hostfile: it is larger than {MAX_BYTES} bytes", _EXAMPLE)
        told = msgspec.json.decode(text, type=list[_Entry] | _LauncherFile)
    except OSError as problem:
        raise HostfileError(f"{path} cannot be read: {problem.strerror}", "Name a readable hostfile.") from problem
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise HostfileError(f"{path} is no hostfile: {problem}", _EXAMPLE) from problem
    file = told if isinstance(told, _LauncherFile) else _LauncherFile(told)
    if not file.hosts:
        raise HostfileError(f"{path} names no address for any rank", _EXAMPLE)
    if len(file.hosts) > MAX_RANKS:
        raise HostfileError(f"{path} has {len(file.hosts)} ranks, more than {MAX_RANKS}", "Use fewer.")
    entries = tuple(_entry(path, rank, entry) for rank, entry in enumerate(file.hosts))
    if file.backend not in ("", *_BACKENDS):
        raise HostfileError(f"{path}: the backend is {file.backend!r}", f"Use one of {', '.join(_BACKENDS)}.")
    backend = _BACKENDS.get(file.backend)
    if backend == "jaccl":
        _check_rdma(path, entries, only_neighbours=file.backend == "jaccl-ring")
    elif any(_rdma_problem(entries, rank, only_neighbours=False) for rank in range(len(entries))):
        # `mlx.launch` does not look at them for a ring.
        entries = tuple(msgspec.structs.replace(entry, rdma=()) for entry in entries)
    environment = _environment(path, file.envs)
    if file.backend == "jaccl-ring":
        environment["MLX_JACCL_RING"] = "1"
    return Hostfile(entries, backend, environment)


def _entry(path: Path, rank: int, entry: _Entry) -> HostEntry:
    if isinstance(entry, list):
        if not entry:
            raise HostfileError(f"{path} names no address for rank {rank}", _EXAMPLE)
        places = [_address_and_port(path, rank, text) for text in entry]
        read = HostEntry("", tuple(host for host, _ in places), tuple(port for _, port in places))
    elif isinstance(entry, str):
        read = HostEntry(entry, (entry,) if _is_ip(entry) else ())
    else:
        read = HostEntry(entry.ssh.rpartition("@")[2], entry.ips, rdma=entry.rdma)
        if not _NAME.fullmatch(read.name) and not _is_ip(read.name):
            raise HostfileError(f"{path}: rank {rank} has the host {entry.ssh!r}", "Write it as NAME or USER@NAME.")
    if len(read.addresses) > _MAX_ADDRESSES:
        raise HostfileError(f"{path}: rank {rank} has more than {_MAX_ADDRESSES} addresses", "Leave some out.")
    for address in read.addresses or (read.name,):
        if not _NAME.fullmatch(address):
            remedy = "MLX connects ranks by IPv4 addresses and names only."
            raise HostfileError(f"{path}: rank {rank} has the address {address!r}", remedy)
    return read


def _address_and_port(path: Path, rank: int, text: str) -> tuple[str, int]:
    host, _, number = text.rpartition(":")
    if not host or not (number.isascii() and number.isdigit()) or not 0 < int(number[:6]) < 65_536:
        raise HostfileError(f"{path}: rank {rank} has the address {text!r}", "Write it as ADDRESS:PORT.")
    return host, int(number)


def _check_rdma(path: Path, entries: tuple[HostEntry, ...], *, only_neighbours: bool) -> None:
    for rank in range(len(entries)):
        problem = _rdma_problem(entries, rank, only_neighbours=only_neighbours)
        if problem is not None:
            remedy = "Write one device for each rank, null for the rank itself, or use another backend."
            raise HostfileError(f"{path}: the rdma list of rank {rank} {problem}", remedy)


def _rdma_problem(entries: tuple[HostEntry, ...], rank: int, *, only_neighbours: bool) -> str | None:
    """What `mlx.launch --backend jaccl` would not accept of an entry; None when it would."""
    rdma, count = entries[rank].rdma, len(entries)
    if len(rdma) != count:
        return f"has {len(rdma)} devices for {count} ranks"
    if rdma[rank] is not None:
        return "names a device to the rank itself"
    peers = {(rank - 1) % count, (rank + 1) % count} if only_neighbours else set(range(count))
    missing = [peer for peer in sorted(peers - {rank}) if not rdma[peer]]
    return f"names no device to rank {missing[0]}" if missing else None


def _environment(path: Path, variables: list[str]) -> dict[str, str]:
    if len(variables) > _MAX_VARIABLES:
        raise HostfileError(f"{path} sets more than {_MAX_VARIABLES} variables", "Leave some out.")
    environment: dict[str, str] = {}
    for text in variables:
        name, _, value = text.partition("=")
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise HostfileError(f"{path}: envs has {text!r}", "Write it as NAME=VALUE.")
        environment[name] = value
    return environment


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
