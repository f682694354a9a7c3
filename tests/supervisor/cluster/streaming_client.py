"""A client that streams from a cluster in a thread, and remembers how its answer ended, byte for byte."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from tests.end_to_end.service import wait_until

MESSAGES = ({"role": "user", "content": "tell me about rings"},)


class StreamingClient:
    """One chat request, streamed. It never retries.

    Args:
        url: The API's address.
        max_tokens: How long the answer is to be.
        messages: What is asked.
        ignore_eos: Whether the answer has to be that long.
    """

    def __init__(
        self,
        url: str,
        max_tokens: int = 1_000_000,
        *,
        messages: Sequence[Mapping[str, str]] = MESSAGES,
        ignore_eos: bool = True,
    ) -> None:
        self._url = url
        self._body = {
            "model": "tiny",
            "messages": list(messages),
            "stream": True,
            "temperature": 0,
            "max_tokens": max_tokens,
            "ignore_eos": ignore_eos,
        }
        self.tokens = 0
        self.text = ""
        self.status: int | None = None
        self.errors: list[dict[str, Any]] = []
        self.finish_reasons: list[str] = []
        self.said_done = False
        self.broken: str | None = None
        self.ended_at: float | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_tokens(self, count: int = 3) -> None:
        """Wait until so many tokens came."""
        wait_until(lambda: self.tokens >= count or self.is_over, f"{count} tokens", 30)
        assert self.tokens >= count, self.described()

    @property
    def is_over(self) -> bool:
        """Whether its answer has ended, in whatever way."""
        return not self._thread.is_alive()

    def wait_end(self, deadline_s: float = 30.0) -> None:
        """Wait for the end of the answer."""
        self._thread.join(deadline_s)
        assert self.is_over, f"the stream did not end within {deadline_s} s: {self.described()}"

    def error(self) -> dict[str, Any]:
        """The one truthful end of an answer that an incident ended: one error, no success beside it."""
        self.wait_end()
        assert len(self.errors) == 1, self.described()
        assert self.broken is None, self.described()
        assert not self.said_done, self.described()
        assert self.finish_reasons in ([], ["error"]), self.described()
        return self.errors[0]

    def assert_finished(self) -> None:
        """The one truthful end of an answer that nothing ended but itself."""
        self.wait_end()
        assert (self.status, self.errors, self.broken) == (200, [], None), self.described()
        assert self.said_done, self.described()
        assert len(self.finish_reasons) == 1, self.described()

    def described(self) -> str:
        """Everything that it knows, for a failed test."""
        known = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return json.dumps(known, default=str)

    def _run(self) -> None:
        try:
            with (
                httpx2.Client(timeout=60) as client,
                client.stream("POST", self._url + "/v1/chat/completions", json=self._body) as answer,
            ):
                self.status = answer.status_code
                if answer.status_code != 200:
                    self.errors.append(json.loads(answer.read())["error"])
                    return
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        self._hear(line.removeprefix("data: "))
        except (httpx2.HTTPError, OSError) as problem:
            self.broken = repr(problem)
        finally:
            self.ended_at = time.monotonic()

    def _hear(self, data: str) -> None:
        assert not self.said_done, "nothing follows [DONE]"
        if data == "[DONE]":
            self.said_done = True
            return
        event = json.loads(data)
        if "error" in event:
            self.errors.append(event["error"])
        for choice in event.get("choices", ()):
            content = choice["delta"].get("content")
            self.tokens += bool(content)
            self.text += content or ""
            if choice["finish_reason"] is not None:
                self.finish_reasons.append(choice["finish_reason"])
