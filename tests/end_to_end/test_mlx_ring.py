"""The story on real MLX: two ranks of `tiny` over a real ring, one dies in mid-stream, the next request is answered."""

import os
import signal
from typing import Any

import openai
import pytest

from tests.end_to_end.service import Service, service

pytestmark = [pytest.mark.mlx, pytest.mark.timeout(300)]

QUESTION: Any = [{"role": "user", "content": "What is Ringwarden?"}]
ANSWER = (
    "Ringwarden stands between an MLX cluster and the people who use it. It starts the runners, watches them, "
    "explains why they die, and makes sure that every request ends exactly once, with the truth."
)


def ask(running: Service, **arguments: Any) -> str | None:
    client = running.client(max_retries=2)
    answer = client.chat.completions.create(model="tiny", messages=QUESTION, temperature=0, **arguments)
    return answer.choices[0].message.content


@pytest.mark.parametrize("parallel", ["tensor", pytest.param("pipeline", marks=pytest.mark.soak)])
def test_a_killed_rank_is_named_and_the_group_serves_again(parallel: str) -> None:
    with service("--ranks=2", f"--parallel={parallel}") as running:
        view = running.wait_ready()
        assert [rank["rank"] for rank in view["ranks"]] == [0, 1]
        assert ask(running) == ANSWER
        for rank in (1, 0):
            stream = running.client().chat.completions.create(
                model="tiny", messages=QUESTION, stream=True, max_tokens=1500, extra_body={"ignore_eos": True}
            )
            chunks = iter(stream)
            for _ in range(5):
                next(chunks)
            os.kill(running.pids()[rank], signal.SIGKILL)
            with pytest.raises(openai.APIError) as caught:
                list(chunks)
            body: Any = caught.value.body
            assert (body["rank"], body["cause"]) == (rank, "killed_no_stderr")
            assert body["message"].startswith(running.get(f"/incidents/{body['incident_id']}")["message"])
            assert ask(running) == ANSWER
        assert running.get("/cluster")["generation"] == 3


def test_one_rank_streams_the_same_answer_with_usage() -> None:
    with service("--ranks=1") as running:
        running.wait_ready()
        stream = running.client().chat.completions.create(
            model="tiny", messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        usage = chunks[-1].usage
        assert usage is not None
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.soak
def test_what_one_request_does_wrong_harms_no_other() -> None:
    with service("--ranks=2") as running:
        running.wait_ready()
        too_long = running.post("/v1/completions", {"model": "tiny", "prompt": "ring " * 5000})
        assert too_long.status_code == 400
        error = too_long.json()["error"]
        assert error["code"] == "context_length_exceeded"
        assert error["n_prompt_tokens"] > error["n_ctx"] == 2048
        outside = running.post("/v1/completions", {"model": "tiny", "prompt": [1, 99_999_999]})
        assert outside.status_code == 400
        assert outside.json()["error"]["param"] == "prompt"
        assert ask(running) == ANSWER
        assert running.get("/cluster")["generation"] == 1
