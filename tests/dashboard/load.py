"""Clients that keep a service busy."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import httpx2


class Client(threading.Thread):
    """Asks for long answers, one after the other, whatever becomes of them."""

    def __init__(self, url: str, tokens: int, headers: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._headers = headers
        self._body = {
            "model": "tiny",
            "messages": [{"role": "user", "content": "Tell me a long story about a ring."}],
            "max_tokens": tokens,
            "stream": True,
            "ignore_eos": True,
        }
        self.stopping = threading.Event()
        self.start()

    def run(self) -> None:
        """Ask until told to stop."""
        while not self.stopping.is_set():
            try:
                with httpx2.stream(
                    "POST", f"{self._url}/v1/chat/completions", json=self._body, headers=self._headers, timeout=90
                ) as answer:
                    for _ in answer.iter_bytes():
                        if self.stopping.is_set():
                            return
            except httpx2.HTTPError:
                time.sleep(0.2)


@contextmanager
def load(url: str, clients: int, *, tokens: int = 1500, key: str | None = None) -> Generator[None]:
    """Keep a service busy for the length of the block."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    started = [Client(url, tokens, headers) for _ in range(clients)]
    try:
        yield
    finally:
        for client in started:
            client.stopping.set()
        for client in started:
            client.join(30)
