"""A TCP proxy on loopback whose connections a test cuts, stops, delays or lets vanish."""

import socket
import threading
import time
from collections import deque
from contextlib import suppress

_READ_BYTES = 64 * 1024
_LOOK_S = 0.01
_TO_SERVER = "to server"
_TO_CLIENT = "to client"


class TcpProxy:
    """Carries bytes between clients and one server, in threads of its own; `close` ends them.

    Args:
        upstream_port: Where to connect, on `upstream_host`.
        port: Where to listen on `host`; 0 takes a free one.
        host: Where to listen.
        upstream_host: The server's address.
    """

    def __init__(
        self, upstream_port: int, port: int = 0, host: str = "127.0.0.1", upstream_host: str = "127.0.0.1"
    ) -> None:
        self._upstream = (upstream_host, upstream_port)
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._delay_s = 0.0
        self._is_refusing = False
        self._dropped: set[str] = set()
        self._is_closed = False
        self.recorded_to_server: list[bytes] = []
        self._listener = socket.create_server((host, port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, refuse: bool = False) -> None:
        """Close every connection. With `refuse`, new ones are closed at once until `accept`."""
        self._is_refusing = refuse
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.close()

    def accept(self) -> None:
        """Take connections again."""
        self._is_refusing = False

    def pause(self) -> None:
        """Let nothing through: connections stay open and are silent, new ones too."""
        self._flows.clear()

    def resume(self) -> None:
        """Let through what came meanwhile, and everything after it."""
        self._flows.set()

    def drop(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Swallow every byte of a direction from now on: nothing arrives, not even later. Only `cut` helps then."""
        wanted = {_TO_SERVER: to_server, _TO_CLIENT: to_client}
        self._dropped = {direction for direction, is_wanted in wanted.items() if is_wanted}

    def stop_dropping(self) -> None:
        """Let new connections through; those that lost bytes are cut, nothing sensible comes from them any more."""
        self._dropped = set()
        self.cut()

    def delay(self, seconds: float) -> None:
        """Deliver every byte this much later, in both directions, in order."""
        self._delay_s = seconds

    @property
    def open_connections(self) -> int:
        """How many connections are carried now."""
        with self._lock:
            return sum(not pair.is_closed for pair in self._pairs)

    def close(self) -> None:
        """Stop listening and cut everything."""
        self._is_closed = True
        self._flows.set()
        # Closing alone leaves `accept` waiting on Linux.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut(refuse=True)

    def __enter__(self) -> "TcpProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._is_refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self._upstream, timeout=10)
                server.settimeout(None)
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                client.close()
                continue
            pair = _Pair(client, server)
            with self._lock:
                self._pairs = [one for one in self._pairs if not one.is_closed]
                self._pairs.append(pair)
            for source, target, direction in ((client, server, _TO_SERVER), (server, client, _TO_CLIENT)):
                recorded = self.recorded_to_server if direction is _TO_SERVER else None
                queue: deque[tuple[float, bytes]] = deque()
                more = threading.Condition()
                threading.Thread(target=self._read, args=(pair, source, queue, more, recorded), daemon=True).start()
                threading.Thread(target=self._write, args=(pair, target, queue, more, direction), daemon=True).start()

    def _read(
        self,
        pair: "_Pair",
        source: socket.socket,
        queue: "deque[tuple[float, bytes]]",
        more: threading.Condition,
        recorded: list[bytes] | None,
    ) -> None:
        data = b"x"
        while data:
            try:
                data = source.recv(_READ_BYTES)
            except OSError:
                data = b""
            if recorded is not None and data:
                recorded.append(data)
            with more:
                queue.append((time.monotonic() + self._delay_s, data))
                more.notify()
            # Nothing is read ahead without end while nothing flows.
            while not self._flows.is_set() and len(queue) > 64 and not pair.is_closed:
                time.sleep(_LOOK_S)

    def _write(
        self,
        pair: "_Pair",
        target: socket.socket,
        queue: "deque[tuple[float, bytes]]",
        more: threading.Condition,
        direction: str,
    ) -> None:
        while not pair.is_closed:
            with more:
                if not more.wait_for(lambda: bool(queue), timeout=0.2):
                    continue
                due_at, data = queue.popleft()
            while (wait_s := due_at - time.monotonic()) > 0 or not self._flows.is_set():
                if pair.is_closed:
                    return
                time.sleep(min(max(wait_s, 0.0), _LOOK_S) or _LOOK_S)
            if direction in self._dropped:
                continue
            try:
                target.sendall(data)
            except OSError:
                data = b""
            if not data:
                pair.close()
                return


class _Pair:
    """The two connections of one client."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._sockets = (client, server)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class ProxyPair:
    """A proxy for each of a head's two neighbouring ports, on two neighbouring ports of its own."""

    def __init__(self, upstream_port: int, host: str = "127.0.0.1", upstream_host: str = "127.0.0.1") -> None:
        while True:
            self.nodes = TcpProxy(upstream_port, host=host, upstream_host=upstream_host)
            try:
                self.events = TcpProxy(upstream_port + 1, self.nodes.port + 1, host, upstream_host)
            except OSError:
                self.nodes.close()
            else:
                break
        self.port = self.nodes.port

    def cut(self, *, refuse: bool = False) -> None:
        """Close every connection; see `TcpProxy.cut`."""
        self.nodes.cut(refuse=refuse)
        self.events.cut(refuse=refuse)

    def accept(self) -> None:
        """Take connections again."""
        self.nodes.accept()
        self.events.accept()

    def pause(self) -> None:
        """Let nothing through."""
        self.nodes.pause()
        self.events.pause()

    def resume(self) -> None:
        """Let everything through."""
        self.nodes.resume()
        self.events.resume()

    def drop(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Swallow every byte of a direction."""
        self.nodes.drop(to_server=to_server, to_client=to_client)
        self.events.drop(to_server=to_server, to_client=to_client)

    def stop_dropping(self) -> None:
        """Let new connections through."""
        self.nodes.stop_dropping()
        self.events.stop_dropping()

    def delay(self, seconds: float) -> None:
        """Deliver every byte later."""
        self.nodes.delay(seconds)
        self.events.delay(seconds)

    def __enter__(self) -> "ProxyPair":
        return self

    def __exit__(self, *_: object) -> None:
        self.nodes.close()
        self.events.close()
