"""The rule of the matrix, pure: a failed request never returns normally, and its exception names cause and request."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

GOOD_ENDS = (None, "stop", "end_turn", "completed")
_REQUEST_ID = re.compile(r"\breq-[0-9a-f]{24}\b")


class Expected(NamedTuple):
    """What has to come out of one fault.

    `either` is for faults that a client's own retry can outlive: then its answer has to be whole. `left` is a client
    that was killed, and whose task has to end. `words` are parts of the sentence that names the cause; `code` and
    `cause` are the fields of the same meaning. Of what a client did wrong itself nothing has to be looked up: there the
    request id is needed only where an SDK hands the fields over. A fault that leaves nobody to say anything has none.
    """

    outcome: Literal["answer", "error", "either", "left"]
    words: tuple[str, ...] = ()
    code: str | None = None
    cause: str | None = None
    request_id: Literal["always", "beside the fields", "never"] = "always"


class Seen(NamedTuple):
    """What one client made of it: its line of outcome, and the tasks that the daemon has finished for it."""

    outcome: Mapping[str, Any]
    finished_tasks: int

    @property
    def fields(self) -> Mapping[str, Any]:
        """The error's fields where the SDK hands them over, in OpenAI's or Anthropic's shape."""
        body = self.outcome.get("body")
        if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
            body = body["error"]
        return body if isinstance(body, Mapping) else {}

    @property
    def text(self) -> str:
        """What the exception and those behind it say."""
        return "\n".join([str(self.outcome.get("message") or ""), *self.outcome.get("behind", ())])

    @property
    def request_id(self) -> str | None:
        """The request's id, from wherever a user of this SDK finds it."""
        told = self.fields.get("request_id") or self.outcome.get("request_id")
        found = _REQUEST_ID.search(told or self.text)
        return found.group() if found else None


def complaint(expected: Expected, seen: Seen, whole_answer: str) -> str | None:
    """Return how the outcome breaks the rule, None when it holds."""
    match seen.outcome["outcome"]:
        case "left" if expected.outcome == "left":
            return None
        case "returned":
            return _about_answer(expected, seen, whole_answer)
        case "raised":
            return _about_error(expected, seen)
        case other:
            return f"the client {other}"


def _about_answer(expected: Expected, seen: Seen, whole_answer: str) -> str | None:
    if expected.outcome == "error":
        return "returned normally"
    if not seen.finished_tasks:
        return "returned normally, but no task was finished"
    if seen.outcome["text"] != whole_answer:
        return f"returned {len(seen.outcome['text'])} of {len(whole_answer)} characters"
    if seen.outcome["finish"] not in GOOD_ENDS:
        return f"ended with {seen.outcome['finish']!r}"
    return None


def _about_error(expected: Expected, seen: Seen) -> str | None:
    if expected.outcome == "answer":
        return "raised, but nothing was wrong"
    if not names_cause(expected, seen):
        return "does not name the cause"
    is_needed = expected.request_id == "always" or (expected.request_id == "beside the fields" and seen.fields)
    return "does not name the request" if is_needed and seen.request_id is None else None


def names_cause(expected: Expected, seen: Seen) -> bool:
    """Return whether the sentence has the words, or the fields are those expected."""
    if all(word in seen.text for word in expected.words):
        return True
    fields = seen.fields
    return bool(fields) and (fields.get("code"), fields.get("cause")) == (expected.code, expected.cause)
