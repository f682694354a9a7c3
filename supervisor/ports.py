"""Ports that were free a moment ago, on any address of this machine."""

import errno
import socket

MAX_PORTS_AT_ONCE = 1024


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Return distinct ports on `address`.

    Nothing can hold them for the ring: MLX binds them itself. Should a stranger be faster, the start fails with
    `ring_bind_failed` and the next generation takes others.

    Raises:
        OSError: The address is not this machine's, no port is free there, or `count` is not 1 to 1024.
    """
    if not 0 < count <= MAX_PORTS_AT_ONCE:
        raise OSError(errno.EINVAL, f"{count} ports cannot be found at once, only 1 to {MAX_PORTS_AT_ONCE}")
    listeners: list[socket.socket] = []
    try:
        for _ in range(count):
            listeners.append(bound_socket(address))
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


def bound_socket(address: str, port: int = 0) -> socket.socket:
    """Return a TCP socket bound to an IPv4 or IPv6 address (with `%scope` if it needs one); any free port for 0.

    Raises:
        OSError: With the system's errno; EINVAL when `address` is no address.
    """
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError) as exc:
        # Its numbers are not those of errno.
        raise OSError(errno.EINVAL, f"{address!r} is no IP address") from exc
    family, kind, protocol, _, place = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.bind(place)
    except OSError:
        bound.close()
        raise
    return bound
