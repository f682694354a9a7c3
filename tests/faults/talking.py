"""Engines that talk: per task, in every way that Python has, and natively.

`TalkingMlx` talks from each hook that the MLX engine runs for one task. `TalkingScript` does what the first word of a
task's prompt says, once, while it prepares the task.
"""

import asyncio
import io
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from runner.attribution import current_task, task
from runner.mlx_engine import MlxEngine, MlxText
from runner.plan import PreparedTask
from tests.faults.scripted import ScriptedEngine
from transports.messages import Configure, StartTask, TextPrompt

if TYPE_CHECKING:
    from runner.mlx_binding import LogitsProcessor, Sampler

_LOG = logging.getLogger("tests.talking")
_LOG.propagate = False
_POOL = ThreadPoolExecutor(2)


def say(place: str, number: int) -> None:
    """Say the same in every way. Each line begins with the task that the caller works for, as it knows itself."""
    what = f"{place}|{number}"
    task_id = current_task()
    print(f"{task_id}|print|{what}")
    print(f"{task_id}|stderr|{what}", file=sys.stderr)
    _LOG.warning("%s|log|%s", task_id, what)
    warnings.warn(f"{task_id}|warning|{what}", stacklevel=1)
    thread = threading.Thread(target=lambda: print(f"{task_id}|thread|{what}"))
    thread.start()
    thread.join()
    os.write(2, f"{task_id}|native|{what}\n".encode())


class _TalkingText(MlxText):
    _number = 0

    def add(self, token: int) -> str:
        say("text", self._number)
        self._number += 1
        return super().add(token)


class TalkingMlx(MlxEngine):
    """The MLX engine with hooks that talk."""

    def __init__(self, configuration: Configure) -> None:
        super().__init__(configuration)
        # Every warning, as many times as it is given.
        warnings.simplefilter("always")

    def prepare(self, task: StartTask) -> PreparedTask:
        say("prepare", 0)
        return super().prepare(task)

    def text_stream(self, task: PreparedTask) -> MlxText:
        del task
        return _TalkingText(self._tokenizer.detokenizer, self._tokenizer.eos_token_ids)

    def logits_processors(self, task: PreparedTask, usual: "list[LogitsProcessor]") -> "Sequence[LogitsProcessor]":
        calls = iter(range(1000))

        def talk(tokens: Any, logits: Any) -> Any:
            del tokens
            if task.task_id != "warm-up":
                say("logits", next(calls))
            return logits

        return [*usual, talk]

    def sampler(self, task: PreparedTask, usual: "Sampler") -> "Sampler":
        calls = iter(range(1000))

        def talk(log_probabilities: Any) -> Any:
            if task.task_id != "warm-up":
                say("sampler", next(calls))
            return usual(log_probabilities)

        return talk


class TalkingScript(ScriptedEngine):
    """The scripted engine, told by its prompts what to say."""

    def prepare(self, task: StartTask) -> PreparedTask:
        prepared = super().prepare(task)
        assert isinstance(task.prompt, TextPrompt)
        _SPEECHES[task.prompt.text.partition(" ")[0]](task.task_id)
        return prepared

    def step(self) -> Any:
        outputs = super().step()
        print("nobody: printed in a step")
        for output in outputs:
            with task(output.task_id):
                print(f"{output.task_id}: a token")
        return outputs


def _partial(task_id: str) -> None:
    sys.stdout.write(f"{task_id}: begun ")
    sys.stdout.write("and finished\n")
    sys.stderr.write(f"{task_id}: never finished")


def _huge(task_id: str) -> None:
    print(task_id + "é" * 300_000)


def _replaced(task_id: str) -> None:
    sys.stderr = io.StringIO()
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", write_through=True)
    print(f"{task_id}: through a wrapper of the buffer")


def _stream_interface(task_id: str) -> None:
    facts = [sys.stderr.fileno(), sys.stderr.isatty(), sys.stderr.encoding, sys.stderr.writable()]
    print(task_id, facts)
    sys.stdout.buffer.write(f"{task_id}: bytes\n".encode())
    sys.stdout.writelines([f"{task_id}: one\n", f"{task_id}: two\n"])
    sys.stdout.close()
    print(f"{task_id}: open after close")
    try:
        sys.stdout.write(5)  # type: ignore[arg-type]
    except TypeError as exc:
        print(f"{task_id}: {exc}")


def _inheritance(task_id: str) -> None:
    class Thread(threading.Thread):
        def run(self) -> None:
            print(f"{task_id}: a thread's own run")

    async def inner() -> None:
        await asyncio.gather(*(asyncio.to_thread(print, f"{task_id}: asyncio") for _ in range(2)))

    for thread in (Thread(), threading.Timer(0.0, print, [f"{task_id}: a timer"])):
        thread.start()
        thread.join()
    _POOL.submit(print, f"{task_id}: a pool").result()
    asyncio.run(inner())


def _late(task_id: str) -> None:
    threading.Thread(target=_talk_on, args=(task_id,), daemon=True).start()


def _talk_on(task_id: str) -> None:
    for number in range(400):
        print(f"{task_id}: {number}")
        time.sleep(0.002)


def _child(task_id: str) -> None:
    subprocess.run(["sh", "-c", f"echo {task_id}: a child >&2; echo {task_id}: a child"], check=True)


def _logging(task_id: str) -> None:
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("other").info("%s: formatted by %s", task_id, "basicConfig")
    try:
        int(f"{task_id}: inside")
    except ValueError:
        _LOG.exception("%s: with a traceback", task_id)
    _LOG.error("%d arguments that do not fit", "five")


def _fail(task_id: str) -> None:
    print(f"{task_id}: about to fail")
    raise KeyError(f"{task_id}: failed")


def _flood(task_id: str) -> None:
    for number in range(20_000):
        print(f"{task_id}: {number}")


def _dying(task_id: str) -> None:
    sys.stderr.write(f"{task_id}: last words without an end")
    os.write(2, f"\n{task_id}: native last words".encode())
    os.kill(os.getpid(), 9)


def _forge(task_id: str) -> None:
    sys.stderr.write("\x1e" + "A" * 22 + f"-1 1\x1f{task_id}: forged\n")
    os.write(2, b"\x1e" + b"A" * 22 + b"=7 3\x1f" + f"{task_id}: forged natively\n".encode())


_SPEECHES: dict[str, Callable[[str], None]] = {
    "quiet": lambda _: None,
    "partial": _partial,
    "huge": _huge,
    "replaced": _replaced,
    "interface": _stream_interface,
    "inheritance": _inheritance,
    "late": _late,
    "child": _child,
    "logging": _logging,
    "fail": _fail,
    "flood": _flood,
    "dying": _dying,
    "forge": _forge,
}
