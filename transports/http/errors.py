"""What a failed request is told, and the exception that carries it to the edge."""

import math

import msgspec
from msgspec import UNSET, UnsetType

from diagnostics.incident import Incident

MIN_RETRY_AFTER_S = 1
MAX_RETRY_AFTER_S = 30  # anthropic-py 2.11 sleeps any value in full; openai-py 3.52 gives up above 120 s.

_MAX_QUOTING_CHARACTERS = 500
_FIRST_STATUS_TO_LOOK_UP = 429

_ENCODER = msgspec.json.Encoder()


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What every failed response and the last event of every failed stream say, each API in its own shape.

    The keys after `tokens_emitted` are there only when they have a value.
    """

    message: str
    type: str
    param: str | None
    code: str
    request_id: str
    incident_id: str | None
    node: str | None
    rank: int | None
    cause: str | None
    retryable: bool
    tokens_emitted: int
    advice: str | UnsetType = UNSET
    next_step: str | UnsetType = UNSET
    n_prompt_tokens: int | UnsetType = UNSET
    n_ctx: int | UnsetType = UNSET


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """The whole body of a failed response in OpenAI's shape."""

    error: ErrorBody


class ApiError(Exception):
    """A request failed in a way that its client is told.

    Args:
        status: HTTP status, used while the response head is still held.
        code: Machine-readable reason.
        message: For people: the input or the fault, the rule, the remedy.
        param: The request field at fault, as a path such as `messages[0].role`.
        retryable: Whether the same request may succeed later without anybody's help.
        retry_after_s: When; clamped to 1..30 s. Only read when `retryable`.
        incident: The incident behind it.
        tokens_emitted: Tokens that were generated before it.
        n_prompt_tokens: Length of a prompt that is too long.
        n_ctx: Tokens that would have been allowed.
        headers: Further response headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
        incident: Incident | None = None,
        tokens_emitted: int = 0,
        n_prompt_tokens: int | None = None,
        n_ctx: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.incident = incident
        self.tokens_emitted = tokens_emitted
        self.n_prompt_tokens = n_prompt_tokens
        self.n_ctx = n_ctx
        self.headers = headers or {}

    def body(self, request_id: str) -> ErrorBody:
        """Return the error as clients read it."""
        incident = self.incident
        return ErrorBody(
            message=self._sentence(request_id),
            type=_type_of(self.status),
            param=self.param,
            code=self.code,
            request_id=request_id,
            incident_id=incident.incident_id if incident else None,
            node=incident.node if incident else None,
            rank=incident.rank if incident else None,
            cause=incident.cause.value if incident else None,
            retryable=self.retryable,
            tokens_emitted=self.tokens_emitted,
            advice=(incident.advice or UNSET) if incident else UNSET,
            next_step=(incident.next_step or UNSET) if incident else UNSET,
            n_prompt_tokens=UNSET if self.n_prompt_tokens is None else self.n_prompt_tokens,
            n_ctx=UNSET if self.n_ctx is None else self.n_ctx,
        )

    def _sentence(self, request_id: str) -> str:
        """Many SDKs hand on the sentence alone. What a client did wrong is all in it; the rest has to be looked up."""
        return self.message if self.status < _FIRST_STATUS_TO_LOOK_UP else f"{self.message} (request {request_id})"

    def response_headers(self) -> dict[str, str]:
        """Return the headers that tell a client's SDK whether and when to try again."""
        if not self.retryable:
            return {**self.headers, "x-should-retry": "false"}
        wanted_s = MIN_RETRY_AFTER_S if self.retry_after_s is None else math.ceil(self.retry_after_s)
        retry_after_s = min(max(wanted_s, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
        return {**self.headers, "retry-after": str(retry_after_s)}

    def encode(self, request_id: str) -> bytes:
        """Return the whole response body in OpenAI's shape; `dialect.py` knows the others."""
        return _ENCODER.encode(ErrorEnvelope(self.body(request_id)))


def internal_error(tokens_emitted: int = 0) -> ApiError:
    """Return the error for a fault of our own; what it was is in the service's log, not in the response."""
    return ApiError(
        500,
        "internal_error",
        "The service failed while answering this request. Its log has the reason under this request id.",
        tokens_emitted=tokens_emitted,
    )


def stopping_error(tokens_emitted: int = 0) -> ApiError:
    """Return the error for a request that is still running when the service must end."""
    return ApiError(
        503,
        "service_stopping",
        "The service is stopping and could not finish this request. Send it again when the service is back.",
        retryable=True,
        tokens_emitted=tokens_emitted,
    )


def invalid_request(param: str | None, message: str) -> ApiError:
    """Return a 400 for the field `param`; a message that quotes a long input is cut."""
    shown = message if len(message) <= _MAX_QUOTING_CHARACTERS else f"{message[:_MAX_QUOTING_CHARACTERS]} [...]"
    return ApiError(400, "invalid_request_error", shown, param=param)


def _type_of(status: int) -> str:
    match status:
        case 401:
            return "authentication_error"
        case 404:
            return "not_found_error"
        case 429:
            return "rate_limit_error"
        case 499:
            return "request_cancelled"
        case _:
            return "invalid_request_error" if status < 500 else "server_error"
