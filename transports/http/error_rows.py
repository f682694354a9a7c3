"""Which status and code each fault has: one row per cause, refusal and rejection, and nothing else decides it."""

from typing import NamedTuple

from diagnostics.cause import Cause
from transports.http.errors import ApiError
from transports.http.gateway import Refusal, RefusalCode
from transports.messages import ErrorChunk, RejectionCode, StopReason, TaskRejected, TaskStopped


class Row(NamedTuple):
    """`status` counts while the response head is held; `code` is told in a stream as well.

    `code_after_first_token` differs where clients must know in which half of the work it happened.
    """

    status: int
    code: str
    code_after_first_token: str | None = None


_CRASHED = Row(500, "runner_crashed")

CAUSE_ROWS: dict[Cause, Row] = {
    Cause.METAL_GPU_TIMEOUT: _CRASHED,
    Cause.METAL_OUT_OF_MEMORY: _CRASHED,
    Cause.METAL_COMMAND_BUFFER_OTHER: _CRASHED,
    Cause.METAL_MALLOC_LIMIT: _CRASHED,
    Cause.METAL_RESOURCE_LIMIT: _CRASHED,
    Cause.RING_PEER_CLOSED: _CRASHED,
    Cause.RING_RECV_ERRNO: _CRASHED,
    Cause.RING_SEND_ERRNO: _CRASHED,
    Cause.RING_ABORT: _CRASHED,
    Cause.RING_CONNECT_FAILED: _CRASHED,
    Cause.RING_BIND_FAILED: _CRASHED,
    Cause.JACCL_INIT_FAILED: _CRASHED,
    Cause.JACCL_TRANSPORT: _CRASHED,
    Cause.NCCL_ERROR: _CRASHED,
    Cause.MPI_ERROR: _CRASHED,
    Cause.MODEL_LOAD_MISSING_WEIGHTS: _CRASHED,
    Cause.MODEL_LOAD_CORRUPT: _CRASHED,
    Cause.MODEL_UNSUPPORTED: _CRASHED,
    Cause.TOKENIZER_ERROR: _CRASHED,
    Cause.PYTHON_EXCEPTION_OTHER: _CRASHED,
    Cause.SEGFAULT: _CRASHED,
    Cause.BUS_ERROR: _CRASHED,
    Cause.ABORT_OTHER: _CRASHED,
    Cause.KILLED_NO_STDERR: _CRASHED,
    Cause.FORK_SAFETY: _CRASHED,
    Cause.DISK_FULL: _CRASHED,
    Cause.DOWNLOAD_FAILED: _CRASHED,
    Cause.PORT_IN_USE: _CRASHED,
    Cause.DLOPEN_FAILED: _CRASHED,
    Cause.THREAD_RESOURCE_EXHAUSTED: _CRASHED,
    Cause.STALLED: Row(504, "prefill_timeout", "decode_stalled"),
    Cause.NODE_LOST: Row(503, "cluster_degraded"),
    Cause.KILLED_BY_SUPERVISOR: Row(503, "service_stopping"),
    Cause.PROTOCOL_VIOLATION: _CRASHED,
    Cause.START_TIMEOUT: _CRASHED,
    Cause.EXITED_EARLY: _CRASHED,
    Cause.UNKNOWN: _CRASHED,
}

REFUSAL_ROWS: dict[RefusalCode, Row] = {
    RefusalCode.MODEL_NOT_FOUND: Row(404, "model_not_found"),
    RefusalCode.MODEL_LOADING: Row(503, "model_loading"),
    RefusalCode.RUNNER_RESTARTING: Row(503, "runner_restarting"),
    RefusalCode.CLUSTER_DEGRADED: Row(503, "cluster_degraded"),
    RefusalCode.SERVICE_STOPPING: Row(503, "service_stopping"),
    RefusalCode.QUEUE_FULL: Row(429, "queue_full"),
    RefusalCode.TASK_FAILED: Row(500, "task_failed"),
    RefusalCode.REQUEST_CANCELLED: Row(499, "request_cancelled"),
    RefusalCode.DEADLINE_EXCEEDED: Row(504, "deadline_exceeded"),
}

REJECTION_ROWS: dict[RejectionCode, Row] = {
    RejectionCode.INVALID_REQUEST: Row(400, "invalid_request_error"),
    RejectionCode.CONTEXT_LENGTH_EXCEEDED: Row(400, "context_length_exceeded"),
    RejectionCode.TASK_FAILED: Row(500, "task_failed"),
}

# 499 is what nginx and Anthropic's client call a closed request; no client that was looked at tries it again.
STOP_ROWS: dict[StopReason, Row] = {
    StopReason.REQUEST_CANCELLED: Row(499, "request_cancelled"),
    StopReason.DEADLINE_EXCEEDED: Row(504, "deadline_exceeded"),
}


def error_of_incident(event: ErrorChunk) -> ApiError:
    """Return what a client is told when its task's runner group failed: which rank, why, and what happens next."""
    incident = event.incident
    row = CAUSE_ROWS[incident.cause]
    code = row.code if event.tokens_emitted == 0 else row.code_after_first_token or row.code
    return ApiError(
        row.status,
        code,
        " ".join(part for part in (incident.message, incident.next_step) if part),
        retryable=incident.retryable,
        retry_after_s=incident.retry_after_s,
        incident=incident,
        tokens_emitted=event.tokens_emitted,
    )


def error_of_refusal(refusal: Refusal) -> ApiError:
    """Return what a client is told when no runner was asked. Retryable when the refusal says after how long."""
    row = REFUSAL_ROWS[refusal.code]
    return ApiError(
        row.status,
        row.code,
        refusal.message,
        param="model" if refusal.code is RefusalCode.MODEL_NOT_FOUND else None,
        retryable=refusal.retry_after_s is not None and refusal.code is not RefusalCode.MODEL_NOT_FOUND,
        retry_after_s=refusal.retry_after_s,
        incident=refusal.incident,
    )


def error_of_rejection(event: TaskRejected, tokens_emitted: int = 0) -> ApiError:
    """Return what a client is told when a runner refused its task, or the task alone failed."""
    row = REJECTION_ROWS[event.code]
    return ApiError(
        row.status,
        row.code,
        event.message,
        param=event.parameter,
        tokens_emitted=tokens_emitted,
        n_prompt_tokens=event.n_prompt_tokens,
        n_ctx=event.n_ctx,
    )


def error_of_stop(event: TaskStopped) -> ApiError:
    """Return what a client is told when its task was stopped by somebody's wish. Nobody is to send it again."""
    row = STOP_ROWS[event.reason]
    return ApiError(row.status, row.code, event.message, tokens_emitted=event.tokens_emitted)
