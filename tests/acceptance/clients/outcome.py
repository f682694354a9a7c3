"""What every Python client of the matrix shares: its command line and its one line of outcome. Standard library only.

A client program runs in an environment of its own, without this project. It reads `Question`, asks once with its SDK's
default settings, and prints what an ordinary user of that SDK sees: `begun` at the first piece of a stream, then one
JSON object.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Question(NamedTuple):
    """What to ask whom. `url` has no path."""

    url: str
    key: str
    model: str
    stream: bool
    prompt: str
    temperature: float | None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as one user message."""
        return [{"role": "user", "content": self.prompt}]

    @property
    def options(self) -> dict[str, Any]:
        """Only what was asked for, so that defaults stay the SDK's."""
        return {} if self.temperature is None else {"temperature": self.temperature}


class Answer:
    """What has arrived of an answer."""

    def __init__(self) -> None:
        self.text = ""
        self.pieces = 0
        self.finish: str | None = None

    def add(self, text: str | None) -> None:
        """Take one piece of a stream."""
        if not text:
            return
        if not self.pieces:
            print("begun", flush=True)
        self.pieces += 1
        self.text += text


def main(ask: Callable[[Question, Answer], None]) -> None:
    """Run one client: `ask` fills the answer, or raises what its SDK raises."""
    question, answer = read_question(), Answer()
    began_at = time.monotonic()
    try:
        ask(question, answer)
        outcome: dict[str, Any] = {"outcome": "returned"}
    except Exception as exc:  # noqa: BLE001 - every exception of every SDK is what the matrix is about
        outcome = {"outcome": "raised", **described(exc)}
    report(outcome, answer, time.monotonic() - began_at)


def report(outcome: dict[str, Any], answer: Answer, seconds: float) -> None:
    """Print the one line of outcome."""
    facts = {"text": answer.text, "pieces": answer.pieces, "finish": answer.finish, "seconds": round(seconds, 3)}
    print(json.dumps({**outcome, **facts}, default=repr), flush=True)


def described(exc: BaseException) -> dict[str, Any]:
    """What can be read off an exception by attributes that the SDKs document."""
    kind = type(exc)
    response = getattr(exc, "response", None)
    headers: Any = getattr(response, "headers", None) or {}
    return {
        "exception": f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}",
        "message": str(exc),
        "body": getattr(exc, "body", None),
        "status": getattr(exc, "status_code", None),
        "request_id": getattr(exc, "request_id", None) or headers.get("x-request-id"),
        "behind": [str(other) for other in _behind(exc)],
    }


def _behind(exc: BaseException) -> Iterable[BaseException]:
    seen = {id(exc)}
    while True:
        following = getattr(exc, "original_exception", None) or exc.__cause__
        if not isinstance(following, BaseException) or id(following) in seen:
            return
        seen.add(id(following))
        yield following
        exc = following


def read_question() -> Question:
    parser = argparse.ArgumentParser(prog=sys.argv[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", default="unused-but-needed")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--mode", choices=["stream", "whole"], required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--temperature", type=float)
    arguments = parser.parse_args()
    return Question(
        arguments.url,
        arguments.key,
        arguments.model,
        arguments.mode == "stream",
        arguments.prompt,
        arguments.temperature,
    )
