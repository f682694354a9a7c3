"""Are the ports free that a daemon would take, and if not, who has them?"""

import socket
from contextlib import suppress

import msgspec
import psutil

from supervisor.doctor.finding import Finding, failed, ok, skipped
from supervisor.exit_code import ExitCode
from supervisor.settings import Settings
from transports.http.listening import CannotListen, PortTaken, listen

API, BUS, EVENTS = "port-api", "port-bus", "port-bus-events"
MAX_COMMAND_LETTERS = 120
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


class PortOwner(msgspec.Struct, frozen=True):
    """A process that listens on a port."""

    pid: int
    command: str


class PortFacts(msgspec.Struct, frozen=True):
    """What came of listening on an address. `taken` is one kind of `problem`; `owner` is None where it is not known."""

    check: str
    host: str
    port: int
    flag: str
    problem: str | None = None
    remedy: str = ""
    taken: bool = False
    owner: PortOwner | None = None


def read_ports(settings: Settings) -> tuple[PortFacts, ...]:
    """Try to listen on each port that these settings lead to, and stop at once. Blocks briefly."""
    wanted = [(API, settings.host, settings.port, "--port")]
    if settings.nodes and settings.bus_port:
        wanted.append((BUS, settings.bus_host, settings.bus_port, "--bus-port"))
        wanted.append((EVENTS, settings.bus_host, settings.bus_port + 1, "--bus-port"))
    return tuple(_try_port(*one) for one in wanted if one[2])


def judge_port(facts: PortFacts, daemon_pid: int | None) -> Finding:
    """Judge one port; the daemon of this very state folder may have it.

    Args:
        facts: What came of trying.
        daemon_pid: The process that holds the folder's lock, None when nobody does.
    """
    where = f"{facts.host} port {facts.port}"
    if facts.problem is None:
        return ok(facts.check, f"{where} is free")
    owner = facts.owner
    if owner is not None and owner.pid == daemon_pid:
        return ok(facts.check, f"{where} is taken by this folder's own daemon (pid {owner.pid})")
    if not facts.taken:
        return failed(facts.check, [facts.problem], "A daemon cannot listen there.", facts.remedy, ExitCode.CONFIG)
    who = "somebody; the system does not tell who" if owner is None else f"pid {owner.pid} ({owner.command})"
    find = f"Find it (`sudo lsof -nP -iTCP:{facts.port} -sTCP:LISTEN`) and stop it" if owner is None else "Stop it"
    return failed(
        facts.check,
        [f"{where} is taken by {who}"],
        "A daemon cannot start with these settings.",
        f"{find}, or choose another port with {facts.flag}.",
        ExitCode.UNAVAILABLE,
    )


def port_findings(settings: Settings, daemon_pid: int | None) -> tuple[Finding, ...]:
    """Return a finding for each port, also for those that nobody wants."""
    found = {facts.check: judge_port(facts, daemon_pid) for facts in read_ports(settings)}
    any_port = skipped(API, "Port 0 is set: any free port is taken.")
    no_bus = (
        "No nodes are set, so there is no bus." if not settings.nodes else "Bus port 0 is set: a free one is taken."
    )
    return (found.get(API, any_port), *(found.get(check, skipped(check, no_bus)) for check in (BUS, EVENTS)))


def _try_port(check: str, host: str, port: int, flag: str) -> PortFacts:
    try:
        listen(host, port).close()
    except PortTaken as taken:
        return PortFacts(check, host, port, flag, taken.reason, taken.remedy, taken=True, owner=find_owner(host, port))
    except CannotListen as refused:
        return PortFacts(check, host, port, flag, refused.reason, refused.remedy)
    return PortFacts(check, host, port, flag)


def find_owner(host: str, port: int) -> PortOwner | None:
    """Return the process that keeps others from listening there; None where the system does not tell."""
    pids = _listeners(port)
    in_the_way = {*_addresses(host), *_EVERYWHERE}
    pid = next((pid for address, pid in pids if host in _EVERYWHERE or address in in_the_way), None)
    if pid is None:
        return None
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        command = ""
    return PortOwner(pid, command[:MAX_COMMAND_LETTERS] or "its command line is hidden")


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return {host}


def _listeners(port: int) -> list[tuple[str, int]]:
    """The addresses on which processes listen on the port, and their pids, as far as the system shows them."""
    found: list[tuple[tuple[str | int, ...], int | None]] = []
    try:
        found += [(one.laddr, one.pid) for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    except psutil.AccessDenied:
        # macOS shows all connections to root only, but everybody their own processes'.
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                listening = (one for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
                found += [(one.laddr, process.pid) for one in listening]
    return [(str(place[0]), pid) for place, pid in found if place[1:2] == (port,) and pid is not None]
