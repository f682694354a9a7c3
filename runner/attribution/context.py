"""Which task the running code works for."""

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import ParamSpec, TypeVar

_current: ContextVar[str | None] = ContextVar("ringwarden_task", default=None)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _Hook:
    """What is done whenever a task's code begins to run; set by the installation."""

    on_enter: Callable[[], object] | None = None


hook = _Hook()


def current_task() -> str | None:
    """Return the id of the task that the running code works for, None when it works for none."""
    return _current.get()


class task:  # noqa: N801 - used like a function
    """A context in which everything that is printed, logged or warned about belongs to one task.

    Threads started in it inherit it, and so does what is submitted to an executor in it. Contexts nest; the task is the
    outer one's again afterwards, whatever was raised. Never blocks.

    Args:
        task_id: The task; None for none.
    """

    __slots__ = ("_task_id", "_token")

    def __init__(self, task_id: str | None) -> None:
        self._task_id = task_id
        self._token: Token[str | None] | None = None

    def __enter__(self) -> None:
        if hook.on_enter is not None:
            hook.on_enter()
        self._token = _current.set(self._task_id)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)


def bound(task_id: str | None, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return the function such that whoever calls it, it runs in the context of this task."""

    def run(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        with task(task_id):
            return function(*arguments, **named)

    return run
