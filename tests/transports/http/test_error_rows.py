"""Every fault has a row, and the rows keep the rules that clients rely on."""

import pytest

from diagnostics.cause import Cause
from tests.transports.http.scripted_gateway import INCIDENT, failed
from transports.http.error_rows import (
    CAUSE_ROWS,
    REFUSAL_ROWS,
    REJECTION_ROWS,
    error_of_incident,
    error_of_refusal,
    error_of_rejection,
)
from transports.http.gateway import Refusal, RefusalCode
from transports.messages import RejectionCode, TaskRejected


def test_every_fault_has_a_row() -> None:
    assert set(CAUSE_ROWS) == set(Cause)
    assert set(REFUSAL_ROWS) == set(RefusalCode)
    assert set(REJECTION_ROWS) == set(RejectionCode)


def test_a_fault_of_the_service_is_never_the_clients() -> None:
    """404 reads as "no such model", 408 and 409 are retried at once by every SDK."""
    assert {row.status for row in CAUSE_ROWS.values()} <= {500, 503, 504}


@pytest.mark.parametrize("cause", list(Cause))
def test_incident(cause: Cause) -> None:
    import msgspec

    error = error_of_incident(failed(0, msgspec.structs.replace(INCIDENT, cause=cause)))
    body = error.body("req-1")
    assert body.cause == cause.value
    assert (body.rank, body.node, body.incident_id) == (1, "node-a", "inc-7")
    assert body.next_step == INCIDENT.next_step


def test_a_stall_says_in_which_half_of_the_work_it_was() -> None:
    import msgspec

    stalled = msgspec.structs.replace(INCIDENT, cause=Cause.STALLED)
    assert error_of_incident(failed(0, stalled)).code == "prefill_timeout"
    assert error_of_incident(failed(3, stalled)).code == "decode_stalled"


@pytest.mark.parametrize("code", list(RefusalCode))
@pytest.mark.parametrize(("retry_after_s", "header"), [(0.0, "1"), (4.2, "5"), (600.0, "30"), (None, None)])
def test_refusal(code: RefusalCode, retry_after_s: float | None, header: str | None) -> None:
    headers = error_of_refusal(Refusal(code, "no", retry_after_s=retry_after_s)).response_headers()
    if code is RefusalCode.MODEL_NOT_FOUND or header is None:
        assert headers == {"x-should-retry": "false"}
    else:
        assert headers == {"retry-after": header}


@pytest.mark.parametrize("code", list(RejectionCode))
def test_rejection(code: RejectionCode) -> None:
    error = error_of_rejection(TaskRejected("t", code, "why", "messages"))
    assert error.code == code.value
    assert not error.retryable
