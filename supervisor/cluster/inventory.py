"""What this node tells a head about itself. Nothing here loads MLX: versions come from the installed distributions."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import psutil

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.addresses import best_addresses, read_interfaces
from supervisor.cluster.mac_hardware import hardware_ports, joined, rdma_devices, thunderbolt_links
from supervisor.launch import runner_environment
from supervisor.version import version
from transports.cluster.node_facts import NodeFacts, RdmaDevice

MAX_TEXT_LETTERS = 256
MAX_VARIABLES = 64
_MAX_OUTPUT_BYTES = 1024 * 1024
_COMMAND_TIMEOUT_S = 5.0
_MAX_RDMA_DEVICES = 64
_CPU_INFO = Path("/proc/cpuinfo")
LINUX_RDMA = Path("/sys/class/infiniband")
_ACTIVE = "4:"
"""How Linux writes the state of a port that works: `4: ACTIVE` (Documentation/infiniband/sysfs)."""


def read_facts() -> NodeFacts:
    """Return this node's facts as they are now. Blocks: a call of the system's tools on macOS takes seconds at worst.

    What cannot be found out is left empty; it never raises for that.
    """
    system = OperatingSystem.DARWIN if sys.platform == "darwin" else OperatingSystem.LINUX
    on_mac = system == OperatingSystem.DARWIN
    ports = hardware_ports(_text(command_output("networksetup", "-listallhardwareports"))) if on_mac else {}
    memory = psutil.virtual_memory()
    return NodeFacts(
        hostname=_short(platform.node()),
        system=system,
        system_version=_short(platform.mac_ver()[0] if on_mac else platform.release()),
        chip=_short(_mac_chip() if on_mac else linux_chip(_CPU_INFO, platform.machine())),
        machine=_short(platform.machine()),
        cores=psutil.cpu_count() or 1,
        memory_bytes=memory.total,
        available_memory_bytes=memory.available,
        ringwarden_version=version(),
        python_version=platform.python_version(),
        mlx_version=installed_version("mlx"),
        mlx_lm_version=installed_version("mlx-lm"),
        mlx_environment=mlx_environment(os.environ),
        addresses=best_addresses(read_interfaces(), system, ports),
        rdma_devices=_mac_rdma(ports) if on_mac else linux_rdma(LINUX_RDMA),
    )


def installed_version(distribution: str) -> str | None:
    """Return the installed distribution's version, None when it is not installed."""
    try:
        return _short(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return None


def mlx_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the first 64 variables, by name, that steer MLX and that a runner of this process would inherit."""
    inherited = runner_environment(environment, 0, None)
    names = sorted(name for name in inherited if name.startswith(("MLX_", "JACCL_")))
    return {_short(name): _short(inherited[name]) for name in names[:MAX_VARIABLES]}


def linux_chip(cpu_info: Path, machine: str) -> str:
    """Return the processor's name as `/proc/cpuinfo` has it, or the machine's architecture: ARM kernels name none."""
    try:
        with cpu_info.open("rb") as file:
            lines = file.read(_MAX_OUTPUT_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"} and value.strip():
            return value.strip()
    return machine


def linux_rdma(folder: Path) -> tuple[RdmaDevice, ...]:
    """Return the RDMA devices that Linux lists in `/sys/class/infiniband`; one is up when any port of it is."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())[:_MAX_RDMA_DEVICES]
    except OSError:
        return ()
    return tuple(RdmaDevice(_short(name), _is_up(folder / name)) for name in names)


def _is_up(device: Path) -> bool:
    states = sorted(device.glob("ports/*/state"))
    return any(_read_start(state).startswith(_ACTIVE) for state in states)


def _read_start(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(64).decode("ascii", "replace")
    except OSError:
        return ""


def _mac_chip() -> str:
    return _text(command_output("sysctl", "-n", "machdep.cpu.brand_string")).strip() or platform.machine()


def _mac_rdma(ports: Mapping[str, str]) -> tuple[RdmaDevice, ...]:
    devices = rdma_devices(_text(command_output("ibv_devinfo")))
    if not devices:
        return ()
    links = thunderbolt_links(command_output("system_profiler", "SPThunderboltDataType", "-json"))
    return joined(devices, ports, links)


def command_output(*command: str, timeout_s: float = _COMMAND_TIMEOUT_S) -> bytes:
    """Return what a command of the system prints; nothing when it is not there, fails, or prints too much.

    Blocks for `timeout_s` at most; a command that takes longer counts as one that fails.
    """
    try:
        outcome = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=plain_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return outcome.stdout if outcome.returncode == 0 and len(outcome.stdout) <= _MAX_OUTPUT_BYTES else b""


def plain_environment() -> dict[str, str]:
    """Return the variables that commands of the system are run with."""
    # A launch agent's PATH may lack /usr/sbin, where sysctl and networksetup are; and their words must be English.
    path = os.pathsep.join(filter(None, [os.environ.get("PATH"), "/usr/bin:/bin:/usr/sbin:/sbin"]))
    return {"PATH": path, "LC_ALL": "C"}


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def _short(text: str) -> str:
    return text[:MAX_TEXT_LETTERS]
