"""Log-probabilities as chat and completions tell them, and how many may be asked for."""

from collections.abc import Sequence
from typing import Any

from transports.answers import TokenCandidate, TokenLogprobs
from transports.http.errors import invalid_request
from transports.http.sampling_rules import Range, check_range

TOP_OF_CHAT = Range(0, 20)
TOP_OF_COMPLETIONS = Range(0, 5)


def chat_logprobs_asked(logprobs: bool | None, top_logprobs: int | None) -> int | None:
    """Return `SamplingParameters.logprobs` for a chat request.

    Raises:
        ApiError: 400 when `top_logprobs` is out of its range, or comes without `logprobs`, as OpenAI answers.
    """
    check_range("top_logprobs", top_logprobs, TOP_OF_CHAT)
    if logprobs:
        return top_logprobs or 0
    if top_logprobs:
        raise invalid_request(
            "top_logprobs", "`top_logprobs` is only allowed with `logprobs: true`. Set `logprobs` or leave it out."
        )
    return None


def completion_logprobs_asked(logprobs: int | None) -> int | None:
    """Return `SamplingParameters.logprobs` for a completion request.

    Raises:
        ApiError: 400 when it is out of its range.
    """
    check_range("logprobs", logprobs, TOP_OF_COMPLETIONS)
    return logprobs


def chat_logprobs(tokens: Sequence[TokenLogprobs]) -> dict[str, Any]:
    """Return the `logprobs` of a chat choice."""
    return {
        "content": [
            {**_candidate(token.chosen), "top_logprobs": [_candidate(candidate) for candidate in token.top]}
            for token in tokens
        ],
        "refusal": None,
    }


def completion_logprobs(tokens: Sequence[TokenLogprobs]) -> dict[str, Any]:
    """Return the `logprobs` of a completion choice: one list for each thing, all of one length."""
    return {
        "tokens": [token.chosen.text for token in tokens],
        "token_logprobs": [token.chosen.logprob for token in tokens],
        "top_logprobs": [_alternatives(token) for token in tokens] if any(token.top for token in tokens) else None,
        "text_offset": [token.offset for token in tokens],
    }


def _alternatives(token: TokenLogprobs) -> dict[str, float]:
    """The likeliest and, as in OpenAI's answers, the chosen token, which may not be one of them."""
    return {candidate.text: candidate.logprob for candidate in (*token.top, token.chosen)}


def _candidate(candidate: TokenCandidate) -> dict[str, Any]:
    return {"token": candidate.text, "logprob": candidate.logprob, "bytes": list(candidate.data)}
