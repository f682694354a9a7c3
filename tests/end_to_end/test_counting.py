"""A count is fenced as every task is: a rank that dies over it is named, and the next count is answered."""

from typing import Any

import anthropic
import pytest

from tests.end_to_end.service import scripted_service

QUESTION: Any = [{"role": "user", "content": "one two three"}]


@pytest.mark.soak
def test_a_rank_that_dies_while_it_counts() -> None:
    fault = {"rank": 0, "at": "prepare", "action": "sigkill", "generation": 1}
    with scripted_service(faults=[fault]) as service:
        service.wait_ready()
        with anthropic.Anthropic(base_url=service.url, api_key="none", max_retries=0, timeout=60) as client:
            with pytest.raises(anthropic.InternalServerError) as caught:
                client.messages.count_tokens(model="tiny", messages=QUESTION)
            error: Any = caught.value.body
            assert (error["error"]["rank"], error["error"]["cause"]) == (0, "killed_no_stderr")
            # It waits for the group that starts again.
            assert client.messages.count_tokens(model="tiny", messages=QUESTION).input_tokens == 3
            with pytest.raises(anthropic.NotFoundError):
                client.messages.count_tokens(model="other", messages=QUESTION)
        figures = service.get("/cluster")["figures"]
        assert (figures["finished"], figures["failed"], figures["running"]) == (0, 1, 0)
