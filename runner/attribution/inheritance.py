"""Threads work for the task that started them.

Python gives a new thread an empty context (up to 3.13 always, from 3.14 on unless a flag of the interpreter says
otherwise), so `Thread.start` and `ThreadPoolExecutor.submit` are wrapped, once. asyncio's tasks inherit by themselves.
A pool's threads belong to no task, what is submitted to it belongs to the one who submits.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from runner.attribution.context import bound, current_task, task

_MARK = "_ringwarden_inherits"


def install_inheritance() -> None:
    """Wrap both. Doing it again does nothing, unless somebody replaced them meanwhile."""
    if not hasattr(threading.Thread.start, _MARK):
        threading.Thread.start = _inheriting_start(threading.Thread.start)
    if not hasattr(ThreadPoolExecutor.submit, _MARK):
        ThreadPoolExecutor.submit = _inheriting_submit(ThreadPoolExecutor.submit)  # type: ignore[method-assign]


def _inheriting_start(original: Callable[[threading.Thread], None]) -> Any:
    def start(self: threading.Thread) -> None:
        task_id = current_task()
        if task_id is not None and "run" not in vars(self):
            run = self.run

            def run_for_task() -> None:
                # The attribute would keep the thread alive in a cycle.
                del self.run  # type: ignore[method-assign]
                with task(task_id):
                    run()

            self.run = run_for_task  # type: ignore[method-assign]
        original(self)

    setattr(start, _MARK, True)
    return start


def _inheriting_submit(original: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    def submit(self: ThreadPoolExecutor, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        task_id = current_task()
        if task_id is None:
            return original(self, function, *arguments, **named)
        # A thread that the pool starts for this must not belong to the task for ever.
        with task(None):
            return original(self, bound(task_id, function), *arguments, **named)

    setattr(submit, _MARK, True)
    return submit
