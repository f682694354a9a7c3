"""The rule of the matrix: what holds it, and each way to break it."""

from typing import Any

import pytest

from tests.acceptance.known_exceptions import verdict
from tests.acceptance.rule import Expected, Seen, complaint

ANSWER = "one two"
CRASHED = Expected("either", ("Rank 1 ", "killed"), code="runner_crashed", cause="killed_no_stderr")
REFUSED = Expected("error", ("temperature",), code="invalid_request_error", request_id="beside the fields")
REQUEST_ID = "req-" + "0a" * 12
FIELDS = {"code": "runner_crashed", "cause": "killed_no_stderr", "request_id": REQUEST_ID}
SENTENCE = f"Rank 1 on here was killed by SIGKILL. (request {REQUEST_ID})"


def returned(text: str = ANSWER, finish: str | None = "stop", finished_tasks: int = 1) -> Seen:
    return Seen({"outcome": "returned", "text": text, "finish": finish}, finished_tasks)


def raised(message: str = "no", **more: Any) -> Seen:
    return Seen({"outcome": "raised", "message": message, **more}, 0)


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (Expected("answer"), returned()),
        (Expected("answer"), returned(finish=None)),
        (CRASHED, returned()),
        (CRASHED, raised(SENTENCE)),
        (CRASHED, raised(body=FIELDS)),
        (CRASHED, raised(body={"type": "error", "error": FIELDS})),
        (CRASHED, raised(behind=[SENTENCE])),
        (CRASHED, raised("Rank 1 was killed", request_id=REQUEST_ID)),
        (REFUSED, raised("temperature is 9")),
        (REFUSED, raised(body={"code": "invalid_request_error", "cause": None, "request_id": REQUEST_ID})),
        (Expected("either", request_id="never"), raised("connection lost")),
        (Expected("left"), Seen({"outcome": "left"}, 0)),
    ],
)
def test_it_holds(expected: Expected, seen: Seen) -> None:
    assert complaint(expected, seen, ANSWER) is None


@pytest.mark.parametrize(
    ("expected", "seen", "words"),
    [
        (CRASHED, returned(text="one"), "returned 3 of 7 characters"),
        (CRASHED, returned(finish="error"), "ended with 'error'"),
        (CRASHED, returned(finished_tasks=0), "no task was finished"),
        (REFUSED, returned(), "returned normally"),
        (Expected("answer"), raised(), "nothing was wrong"),
        (CRASHED, raised("an error occurred", request_id=REQUEST_ID), "does not name the cause"),
        (CRASHED, raised(body={**FIELDS, "cause": "unknown"}), "does not name the cause"),
        (CRASHED, raised("Rank 1 was killed"), "does not name the request"),
        (REFUSED, raised("temperature", body={"code": "invalid_request_error"}), "does not name the request"),
        (CRASHED, Seen({"outcome": "hung for 150 s"}, 0), "hung"),
        (Expected("left"), Seen({"outcome": "was answered to the end"}, 0), "answered to the end"),
    ],
)
def test_it_is_broken(expected: Expected, seen: Seen, words: str) -> None:
    assert words in str(complaint(expected, seen, ANSWER))


def test_a_known_exception_is_neither_green_nor_forgotten() -> None:
    swallowed = returned(text="one", finished_tasks=0)
    assert verdict("ai-sdk-text", "stream", REFUSED, swallowed, "returned normally")[0] == "known"
    assert verdict("ai-sdk-text", "stream", REFUSED, raised("temperature"), None)[0] == "broken"
    assert verdict("ai-sdk-text", "stream", Expected("answer"), returned(), None)[0] == "holds"
    assert verdict("ai-sdk-text", "stream", CRASHED, raised(), "does not name the cause")[0] == "broken"
    assert verdict("ai-sdk", "stream", REFUSED, swallowed, "returned normally") == ("broken", "returned normally")
