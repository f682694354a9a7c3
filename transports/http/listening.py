"""Takes the port before anything else starts, so that a taken one is an error and not a half-started service."""

import errno
import socket

_BACKLOG = 1024
_PROBE_TIMEOUT_S = 0.25


class CannotListen(Exception):
    """The address cannot be listened on: `reason` says why, `remedy` what to do; the message is both."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        self.remedy = remedy


class PortTaken(CannotListen):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is taken by another program",
            f"Stop that program (`lsof -nP -iTCP:{port} -sTCP:LISTEN` names it) or choose another port with --port.",
        )
        self.host = host
        self.port = port


def listen(host: str, port: int) -> socket.socket:
    """Return a listening, non-blocking TCP socket. Port 0 takes a free one. Blocks briefly.

    Raises:
        PortTaken: Another program listens there.
        CannotListen: The host cannot be resolved or is not one of this machine, or the port is not allowed.
    """
    if not 0 <= port <= 65_535:
        raise CannotListen(f"{port} is not a port: ports are 0 to 65535", "Choose another with --port.")
    family, address = _resolve(host, port)
    if port != 0 and _is_answered(family, address):
        raise PortTaken(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it, connections of a predecessor in TIME_WAIT block the port for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from exc
        raise _refused(host, port, exc) from exc
    return listener


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        raise CannotListen(f"cannot resolve {host}:{port}: {exc}", "Use an address of this machine.") from exc
    # `localhost` can give ::1 first, but most clients of a local service are told 127.0.0.1.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]))


def _is_answered(family: socket.AddressFamily, address: tuple[str, int]) -> bool:
    """Darwin lets SO_REUSEADDR bind 127.0.0.1 beside another program's 0.0.0.0: ask whether somebody is there."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        # A free port in the ephemeral range can be given to the probe itself, which then talks to itself.
        return probe.connect_ex(address) == 0 and probe.getsockname() != probe.getpeername()


def _refused(host: str, port: int, exc: OSError) -> CannotListen:
    if exc.errno == errno.EADDRNOTAVAIL:
        return CannotListen(
            f"{host} is not an address of this machine", "Use 127.0.0.1, or an address that this machine has."
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return CannotListen(f"port {port} may not be used by this user", "Choose a port above 1023 with --port.")
    return CannotListen(f"cannot listen on {host}:{port}: {exc}", "Choose another host or port.")
