"""What a client's SDK sees when a rank dies, in every phase: an error with the truth in it, then answers again."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.end_to_end.service import Service, scripted_service, wait_until

RING_ABORT = "[ring] Too many send/recv errors. Aborting..."
MESSAGES: Any = [{"role": "user", "content": "tell me about rings"}]
LONG: dict[str, Any] = {
    "model": "tiny",
    "messages": MESSAGES,
    "max_tokens": 2000,
    "extra_body": {"ignore_eos": True},
}


def tokens(stream: Any) -> Iterator[str]:
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def assert_truth(body: Any, rank: int, cause: str) -> None:
    assert body["rank"] == rank
    assert body["cause"] == cause
    assert f"Rank {rank} " in body["message"]
    assert body["incident_id"].startswith("inc-")
    assert body["request_id"]
    assert body["code"] == "runner_crashed"


def assert_serves_again(service: Service) -> None:
    # No retries by the client, no waiting by us: the very next request is held until the group is back.
    answer = service.client().chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=5)
    assert answer.choices[0].message.content == "word0 word1 word2 word3 word4"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_killed_mid_stream(rank: int) -> None:
    with scripted_service() as service:
        service.wait_ready()
        pids = service.pids()
        stream = service.client().chat.completions.create(stream=True, **LONG)
        heard = tokens(stream)
        for _ in range(5):
            next(heard)
        os.kill(pids[rank], signal.SIGKILL)
        with pytest.raises(openai.APIError) as caught:
            list(heard)
        assert not isinstance(caught.value, openai.APIConnectionError)
        body: Any = caught.value.body
        assert_truth(body, rank, "killed_no_stderr")
        assert body["tokens_emitted"] >= 5
        incident = service.get(f"/incidents/{body['incident_id']}")
        assert incident["rank"] == rank
        assert body["request_id"] in incident["task_ids"]
        assert_serves_again(service)
        assert service.get("/incidents")["incidents"][0]["recovered_after_s"] > 0


def test_both_ranks_killed_mid_stream() -> None:
    with scripted_service() as service:
        service.wait_ready()
        pids = service.pids()
        heard = tokens(service.client().chat.completions.create(stream=True, **LONG))
        next(heard)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(openai.APIError) as caught:
            list(heard)
        body: Any = caught.value.body
        assert body["rank"] in (0, 1)
        assert body["cause"] == "killed_no_stderr"
        assert_serves_again(service)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_killed_under_a_plain_request(rank: int) -> None:
    with scripted_service(faults=[{"rank": rank, "at": "step", "step": 5, "action": "sigkill"}]) as service:
        service.wait_ready()
        with pytest.raises(openai.InternalServerError) as caught:
            service.client().chat.completions.create(**LONG)
        assert caught.value.status_code == 500
        assert_truth(caught.value.body, rank, "killed_no_stderr")
        assert int(caught.value.response.headers["retry-after"]) in range(1, 31)
        assert_serves_again(service)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"action": "exit", "exit_code": 0}, "exited_early"),
        ({"action": "raise", "message": "[METAL] Command buffer execution failed: Caused GPU Timeout Error "
          "(00000002:kIOGPUCommandBufferCallbackErrorTimeout)."}, "metal_gpu_timeout"),
        pytest.param({"action": "raise", "message": "no luck"}, "python_exception_other", marks=pytest.mark.soak),
        pytest.param({"action": "sigabrt", "line": RING_ABORT}, "ring_abort", marks=pytest.mark.soak),
        ({"action": "sigabrt", "line": "libc++abi: terminating due to uncaught exception of type std::runtime_error: "
          "[METAL] Command buffer execution failed: Insufficient Memory "
          "(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"}, "metal_out_of_memory"),
    ],
)  # fmt: skip
def test_other_ways_to_die_mid_stream(fault: dict[str, Any], cause: str) -> None:
    with scripted_service(faults=[{"rank": 1, "at": "step", "step": 5, **fault}]) as service:
        service.wait_ready()
        with pytest.raises(openai.APIError) as caught:
            list(service.client().chat.completions.create(stream=True, **LONG))
        assert_truth(caught.value.body, 1, cause)
        assert_serves_again(service)


@pytest.mark.parametrize(
    ("rank", "at"),
    [
        (0, "warm_up"),
        (1, "load"),
        *(pytest.param(*one, marks=pytest.mark.soak) for one in ((0, "load"), (1, "warm_up"))),
    ],
)
def test_a_rank_killed_while_starting_is_kept_as_an_incident_and_the_waiting_request_is_answered(
    at: str, rank: int
) -> None:
    with scripted_service(faults=[{"rank": rank, "at": at, "step": 1, "action": "sigkill"}]) as service:
        assert_serves_again(service)
        (incident,) = service.get("/incidents")["incidents"]
        assert (incident["rank"], incident["cause"]) == (rank, "killed_no_stderr")
        assert incident["phase"] == {"load": "loading", "warm_up": "warming_up"}[at]
        assert service.get("/cluster")["generation"] == 2


@pytest.mark.soak
def test_while_it_loads_the_service_says_so_with_a_time_to_retry() -> None:
    with scripted_service(script={"layer_interval_s": 60.0}) as service:
        assert service.get("/health/live") == {"status": "live"}
        assert service.get("/health/ready")["error"]["code"] == "model_loading"
        with pytest.raises(openai.InternalServerError) as caught:
            service.client().chat.completions.create(model="tiny", messages=MESSAGES, timeout=30)
        assert caught.value.status_code == 503
        body: Any = caught.value.body
        assert body["code"] == "model_loading"
        assert int(caught.value.response.headers["retry-after"]) in range(1, 31)


@pytest.mark.soak
def test_a_group_that_cannot_start_says_why_and_stays_up_to_say_it() -> None:
    fault = {"rank": 1, "at": "load", "action": "exit", "exit_code": 3, "generation": None}
    with scripted_service(faults=[fault]) as service:
        wait_until(lambda: service.get("/cluster")["state"] == "failed", "the group is given up")
        reason = service.get("/cluster")["reason"]
        assert "ank 1" in reason
        with pytest.raises(openai.InternalServerError) as caught:
            service.client().chat.completions.create(model="tiny", messages=MESSAGES)
        body: Any = caught.value.body
        assert body["code"] == "cluster_degraded"
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert "ank 1" in body["message"]


def test_stopping_the_service_tells_the_streams() -> None:
    with scripted_service() as service:
        service.wait_ready()
        heard = tokens(service.client().chat.completions.create(stream=True, **LONG))
        next(heard)
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(openai.APIError) as caught:
            list(heard)
        body: Any = caught.value.body
        assert "stopped by its operator" in body["message"]
        assert (body["code"], body["retryable"]) == ("service_stopping", True)
        assert service.process.wait(timeout=30) == 0
