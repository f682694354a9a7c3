"""The scripted engine's collective: rank 0 gives bytes to all others over TCP and waits until all have them.

It breaks as MLX's ring breaks when a rank dies: MLX 0.32.1 and later print and raise, before that a rank hangs.
"""

import json
import os
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Literal, NoReturn

_LENGTH = struct.Struct(">I")


class Star:
    """One rank's sockets. The places come from the file that MLX's ring would use.

    Args:
        on_peer_loss: `raise` as MLX >= 0.32.1, `hang` as MLX <= 0.32.0.
    """

    def __init__(
        self, rank: int, world_size: int, connect_timeout_s: float, on_peer_loss: Literal["raise", "hang"]
    ) -> None:
        self._rank = rank
        self._on_peer_loss = on_peer_loss
        self._peers: list[socket.socket] = []
        self._proposal = b""
        if world_size > 1:
            hosts = json.loads(Path(os.environ["MLX_HOSTFILE"]).read_text())
            host, _, port = hosts[0][0].rpartition(":")
            if rank == 0:
                self._accept((host, int(port)), world_size - 1, connect_timeout_s)
            else:
                self._connect((host, int(port)), connect_timeout_s)

    def _accept(self, place: tuple[str, int], count: int, timeout_s: float) -> None:
        with socket.create_server(place, backlog=count) as server:
            server.settimeout(timeout_s)
            self._peers = [server.accept()[0] for _ in range(count)]
        for peer in self._peers:
            peer.settimeout(None)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _connect(self, place: tuple[str, int], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                peer = socket.create_connection(place, timeout_s)
            except OSError as exc:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"[ring] Couldn't connect (error: {exc.errno})") from exc
                time.sleep(0.02)
                continue
            if peer.getsockname() == peer.getpeername():  # a connect to a free local port can meet itself
                peer.close()
                continue
            peer.settimeout(None)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers = [peer]
            return

    def propose(self, data: bytes) -> None:
        """Give rank 0's bytes away; the others have none."""
        if self._rank == 0:
            self._proposal = data
            for peer in self._peers:
                self._send(peer, _LENGTH.pack(len(data)) + data)

    def agreed(self) -> bytes:
        """Return rank 0's bytes once everybody has them."""
        if self._rank == 0:
            for peer in self._peers:
                self._receive(peer, 1)
            return self._proposal
        (peer,) = self._peers
        (length,) = _LENGTH.unpack(self._receive(peer, _LENGTH.size))
        data = self._receive(peer, length)
        self._send(peer, b"k")
        return data

    def close(self) -> None:
        """Close the sockets."""
        for peer in self._peers:
            peer.close()

    def _send(self, peer: socket.socket, data: bytes) -> None:
        try:
            peer.sendall(data)
        except OSError:
            self._lost(peer)

    def _receive(self, peer: socket.socket, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = peer.recv(count - len(data))
            except OSError:
                piece = b""
            if not piece:
                self._lost(peer)
            data += piece
        return data

    def _lost(self, peer: socket.socket) -> NoReturn:
        if self._on_peer_loss == "hang":
            while True:
                threading.Event().wait(3600)
        number = peer.fileno()
        os.write(2, f"[ring] Socket {number} was closed by the peer\n".encode())
        os.write(2, b"[ring] Too many send/recv errors. Failing pending tasks...\n")
        raise RuntimeError("[ring] connection to a peer was lost")
