"""What the machine itself adds to a message between two processes: the floor under every latency."""

import socket
import subprocess
import sys
import time

_SENDER = """
import socket, sys, time
port, interval_s, count = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
with socket.create_connection(("127.0.0.1", port)) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(count):
        time.sleep(interval_s)
        connection.sendall(b"%020d" % time.monotonic_ns())
"""
_MESSAGE_BYTES = 20
_TIMEOUT_S = 60.0


def bare_latencies_ms(interval_s: float, count: int) -> list[float]:
    """Return how late each of `count` messages was that another process sent at this pace. Blocks."""
    latencies: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_TIMEOUT_S)
        port = str(server.getsockname()[1])
        arguments = [sys.executable, "-c", _SENDER, port, str(interval_s), str(count)]
        with subprocess.Popen(arguments, stdin=subprocess.DEVNULL) as sender:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(_TIMEOUT_S)
                pending = b""
                while data := connection.recv(4096):
                    now = time.monotonic_ns()
                    pending += data
                    while len(pending) >= _MESSAGE_BYTES:
                        latencies.append((now - int(pending[:_MESSAGE_BYTES])) / 1e6)
                        pending = pending[_MESSAGE_BYTES:]
            if sender.wait(_TIMEOUT_S) != 0 or len(latencies) != count:
                raise RuntimeError(f"{count} messages were sent, {len(latencies)} arrived")
    return latencies
