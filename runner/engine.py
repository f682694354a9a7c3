"""What the compute loop needs from an engine, and how one is found by name."""

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol, cast

import msgspec

from runner.answer_scanner import AnswerScanner
from runner.plan import PreparedTask
from transports.answers import TokenCandidate
from transports.messages import Configure, ModelFacts, RejectionCode, StartTask


class Report(Protocol):
    """How an engine says how far it is while it starts, as often as there is something to say.

    A rank that says nothing for too long, and waits for no other, has stalled (`docs/hangs.md`).
    """

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` layers, or of the steps of warm-up."""
        ...

    def loaded(self, count: int) -> None:
        """So many bytes more are in memory."""
        ...

    def agreeing(self, collective: str) -> AbstractContextManager[None]:
        """A context in which this rank takes part in a collective, at most 40 characters of name, and may wait."""
        ...


class TaskRejection(Exception):
    """The task is at fault, not the runner."""

    def __init__(
        self,
        code: RejectionCode,
        message: str,
        *,
        parameter: str | None = None,
        n_prompt_tokens: int | None = None,
        n_ctx: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.parameter = parameter
        self.n_prompt_tokens = n_prompt_tokens
        self.n_ctx = n_ctx


class Prefilled(msgspec.Struct, frozen=True):
    """`done` of `total` prompt tokens of a task are computed."""

    task_id: str
    done: int
    total: int


class Generated(msgspec.Struct, frozen=True):
    """One more token of a task. `token` None: the model ended the sequence; that token is not part of the answer.

    A set `finish` means that the engine has let go of the task, on all ranks in the same step. `candidates` are the
    token itself and then the likeliest ones, best first: on rank 0 for tasks that ask for log-probabilities.
    """

    task_id: str
    token: int | None
    finish: Literal["stop", "length"] | None = None
    candidates: tuple[TokenCandidate, ...] = ()


StepOutput = Prefilled | Generated


class TextStream(Protocol):
    """Turns the tokens of one task into text, holding back what is not a whole character yet."""

    def add(self, token: int) -> str:
        """Return the text that this token completes, maybe none."""
        ...

    def finish(self) -> str:
        """Return what was held back."""
        ...


class Engine(Protocol):
    """One rank's share of a model. All methods are called by the compute thread, in the order of this class.

    An exception from `prepare`, `answer_scanner` or a `TextStream` ends that task; from anything else, the runner.
    """

    def connect(self) -> None:
        """Join the other ranks. Blocks until all are there."""
        ...

    def load(self, report: Report) -> ModelFacts:
        """Load this rank's share and return the facts, equal on all ranks."""
        ...

    def warm_up(self, report: Report) -> None:
        """Run a few tokens through the model on all ranks, so that the first request does not pay for it."""
        ...

    def prepare(self, task: StartTask) -> PreparedTask:
        """Validate a task and make its tokens. Rank 0 only.

        Raises:
            TaskRejection: When the task cannot be run as it is.
        """
        ...

    def text_stream(self, task: PreparedTask) -> TextStream:
        """Return a fresh stream for a prepared task. Rank 0 only."""
        ...

    def answer_scanner(self, command: StartTask, task: PreparedTask) -> AnswerScanner:
        """Return what takes the prepared task's text apart, fresh. Rank 0 only."""
        ...

    def propose(self, plan: bytes) -> None:
        """Begin the collective that gives rank 0's bytes to all ranks; the others pass nothing. Need not block."""
        ...

    def agreed(self) -> bytes:
        """Finish what `propose` began: block until all ranks have it, and return rank 0's bytes."""
        ...

    def admit(self, task: PreparedTask) -> None:
        """Take a task into the batch."""
        ...

    def remove(self, task_ids: Sequence[str]) -> None:
        """Let go of tasks. Ids that have ended are ignored."""
        ...

    def step(self) -> Sequence[StepOutput]:
        """Compute once: at most one token per task and one chunk of prompts. Called only while tasks are admitted."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class EngineNotFound(Exception):
    """`--engine` does not name an engine class."""


def load_engine(name: str, configuration: Configure) -> Engine:
    """Import `module:Class` and make the engine of it.

    Raises:
        EngineNotFound: When the name has another shape or the module has no such class. Whatever importing the module
            or making the engine raises comes through as it is.
    """
    module_name, separator, class_name = name.partition(":")
    if not (separator and module_name and class_name.isidentifier()):
        raise EngineNotFound(f"engine {name!r} is not of the form module:Class, as in runner.mlx_engine:MlxEngine")
    module = importlib.import_module(module_name)
    engine_class: object = getattr(module, class_name, None)
    if not isinstance(engine_class, type):
        raise EngineNotFound(f"engine {name!r}: the module {module_name} has no class {class_name}")
    return cast(Callable[[Configure], Engine], engine_class)(configuration)
