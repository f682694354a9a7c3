"""What a benchmark's process is asked to do: one JSON line on its input, one on its output, each with a deadline."""

import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import anyio
import anyio.to_thread

_ROOT = Path(__file__).parents[2]

Answers = Mapping[str, Callable[..., Awaitable[dict[str, Any]]]]


async def obey(answers: Answers) -> None:
    """Carry out what is asked by the process that started this one, until its end of the pipe closes."""
    while True:
        line = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        if not line:
            return
        order = json.loads(line)
        answer = await answers[order.pop("do")](**order)
        print(json.dumps(answer), flush=True)


class Ordered:
    """A Python module that runs in a process of its own and obeys. Used from one thread.

    Args:
        module: What to run.
        deadline_s: Longest time until an answer.
    """

    def __init__(self, module: str, deadline_s: float = 180.0) -> None:
        self._deadline_s = deadline_s
        self._module = module
        self._answers: Queue[str] = Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, do: str, **arguments: object) -> None:
        """Ask for something; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the next answer."""
        try:
            line = self._answers.get(timeout=self._deadline_s)
        except Empty:
            raise TimeoutError(f"{self._module} did not answer within {self._deadline_s:g} s") from None
        if not line:
            raise RuntimeError(f"{self._module} ended before it answered")
        return json.loads(line)

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """Ask for something and return the answer."""
        self.tell(do, **arguments)
        return self.answer()

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(timeout=10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")
