"""The private channel's vocabulary: commands go down to a runner, events come up from it.

Everything here is a frozen tagged struct; the unions at the end are the whole protocol. `ErrorChunk`,
`TaskStopped`, `TaskQueued` and `RunnerFailed` are made by the supervisor only: a runner cannot tell its own death.
"""

from enum import StrEnum
from typing import Any, Literal

import msgspec

from diagnostics.evidence import RunnerTerminationError
from diagnostics.incident import Incident
from diagnostics.phase import Phase
from transports.answers import TaskFinished, TokenChunk, ToolCallChunk
from transports.output_events import OutputEvent, TaskOutputEnded
from transports.progress import Progress

Parallelism = Literal["tensor", "pipeline"]
Backend = Literal["none", "ring", "jaccl", "mpi", "nccl"]


# --- what a task is ---


class ChatPrompt(msgspec.Struct, frozen=True, tag=True):
    """Messages as the client sent them (OpenAI shape, validated), rendered by the model's own chat template.

    `requires_thinking` refuses the task where the model has no marks for what it thinks.
    """

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    template_arguments: dict[str, Any] = {}
    requires_thinking: bool = False


class TextPrompt(msgspec.Struct, frozen=True, tag=True):
    """Text that goes to the tokenizer as it is."""

    text: str


class TokenPrompt(msgspec.Struct, frozen=True, tag=True):
    """Token ids, as `/v1/completions` allows."""

    tokens: tuple[int, ...]


Prompt = ChatPrompt | TextPrompt | TokenPrompt


class SamplingParameters(msgspec.Struct, frozen=True):
    """How tokens are chosen. A `temperature` below 0.001 is greedy.

    `max_tokens` None means: up to the end of the context.
    `logprobs` asks for log-probabilities: None for none, 0 for those of the chosen tokens, n for n alternatives too.
    `max_tool_calls` ends the answer after so many calls: 1 for APIs that let a client refuse parallel calls.
    `max_tokens` 0 asks for no answer but the number of the prompt's tokens: the task ends as soon as it is accepted.
    """

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    max_tool_calls: int | None = None


# --- commands: supervisor -> runner ---


class Configure(msgspec.Struct, frozen=True, tag=True):
    """First frame downward, exactly once. `engine` is `module:Class`; `model` is a local folder.

    `layers` are how many each rank of a pipeline gets; None splits them evenly.
    `marker_token` makes the runner mark whose output is whose (`transports/markers.py`); it is a secret of the two.
    """

    rank: int
    world_size: int
    generation: int
    engine: str
    model: str
    parallel: Parallelism
    backend: Backend
    max_concurrent_tasks: int
    prefill_step_tokens: int
    dead_man_s: float
    marker_token: str | None = None
    layers: tuple[int, ...] | None = None


class StartTask(msgspec.Struct, frozen=True, tag=True):
    """Work for rank 0, which shares it with the other ranks through the engine's collective."""

    task_id: str
    prompt: Prompt
    sampling: SamplingParameters


class WakeForTask(msgspec.Struct, frozen=True, tag=True):
    """Tells a rank above 0 that rank 0 has been sent `task_id`, so that it joins the collective instead of idling."""

    task_id: str


class CancelTask(msgspec.Struct, frozen=True, tag=True):
    """Ends a task at the next token boundary. Unknown and finished ids are ignored."""

    task_id: str


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    """Leave at the next token boundary; open tasks end as cancelled."""


Command = Configure | StartTask | WakeForTask | CancelTask | Shutdown


# --- events: runner -> supervisor ---


class RunnerHello(msgspec.Struct, frozen=True, tag=True):
    """First frame upward: the runner's bootstrap is alive. Versions are None when the package is absent."""

    pid: int
    python_version: str
    platform: str
    mlx_version: str | None
    mlx_lm_version: str | None


class PhaseChanged(msgspec.Struct, frozen=True, tag=True):
    """The runner announces its phase. `done`/`total` count layers while loading, steps while warming up."""

    phase: Phase
    done: int = 0
    total: int = 0


class ModelFacts(msgspec.Struct, frozen=True, tag=True):
    """What the engine knows after loading; sent by every rank before `READY`.

    `calls_tools` and `thinks` say whether the model's own format has calls of tools and marks for what it thinks.
    """

    context_tokens: int
    vocabulary_size: int
    layers: int
    calls_tools: bool = False
    thinks: bool = False


class TaskAccepted(msgspec.Struct, frozen=True, tag=True):
    """Rank 0 validated and queued the task: from here on it ends with exactly one terminal event."""

    task_id: str
    prompt_tokens: int


class RejectionCode(StrEnum):
    """Why one task was refused; the runner itself is fine."""

    INVALID_REQUEST = "invalid_request_error"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    TASK_FAILED = "task_failed"


class TaskRejected(msgspec.Struct, frozen=True, tag=True):
    """Terminal. The task, not the runner, is at fault: template error, too long, bad parameter.

    `traceback` is for the journal, never for clients; empty for what is a client's own mistake.
    """

    task_id: str
    code: RejectionCode
    message: str
    parameter: str | None = None
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None
    traceback: str = ""


class PrefillProgress(msgspec.Struct, frozen=True, tag=True):
    """`done` of `total` prompt tokens are computed."""

    task_id: str
    done: int
    total: int


class ErrorChunk(msgspec.Struct, frozen=True, tag=True):
    """Terminal, made by the supervisor: the task's runner group failed after `tokens_emitted` tokens."""

    task_id: str
    incident: Incident
    tokens_emitted: int


class StopReason(StrEnum):
    """Why the supervisor stopped one task before its end, while its runners are fine."""

    REQUEST_CANCELLED = "request_cancelled"
    DEADLINE_EXCEEDED = "deadline_exceeded"


class TaskStopped(msgspec.Struct, frozen=True, tag=True):
    """Terminal, made by the supervisor: somebody cancelled the task by its id, or its time is over."""

    task_id: str
    reason: StopReason
    message: str
    tokens_emitted: int


class TaskQueued(msgspec.Struct, frozen=True, tag=True):
    """Made by the supervisor: an accepted task waits as number `position`, from 1, of `waiting` for a place.

    Told when the position has changed, not more often than somebody can use it.
    """

    task_id: str
    position: int
    waiting: int


class RunnerFailed(msgspec.Struct, frozen=True, tag=True):
    """Made by the supervisor, once per dead runner. `incident` is this runner's own; a verdict may differ."""

    rank: int
    generation: int
    node: str
    incident: Incident


RunnerEvent = (
    RunnerHello
    | PhaseChanged
    | Progress
    | ModelFacts
    | TaskAccepted
    | TaskRejected
    | PrefillProgress
    | TokenChunk
    | ToolCallChunk
    | TaskFinished
    | OutputEvent
    | TaskOutputEnded
)
TaskEvent = (
    TaskAccepted
    | TaskRejected
    | PrefillProgress
    | TokenChunk
    | ToolCallChunk
    | TaskFinished
    | ErrorChunk
    | TaskQueued
    | TaskStopped
    | OutputEvent
)
TERMINAL_EVENTS = (TaskRejected, TaskFinished, ErrorChunk, TaskStopped)
Upward = RunnerEvent | RunnerTerminationError


class UpwardEnvelope(msgspec.Struct, frozen=True, array_like=True):
    """One frame from a runner. `sequence` starts at 0 and grows by one; `generation` fences late frames."""

    generation: int
    sequence: int
    body: Upward


class DownwardEnvelope(msgspec.Struct, frozen=True, array_like=True):
    """One frame to a runner, numbered like the frames upward."""

    generation: int
    sequence: int
    body: Command
