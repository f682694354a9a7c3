"""Every row of the error table, provoked on a real service under every API, with all that its clients rely on."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.end_to_end.service import Service, scripted_service, wait_until

KEY = "a-key-of-more-than-sixteen-characters"
KEYS = {
    "type", "param", "code", "request_id", "incident_id", "node", "rank", "cause", "retryable", "tokens_emitted"
}  # fmt: skip
# One for all: making one costs more than most of these requests.
CLIENT = httpx2.Client(timeout=60.0, trust_env=False)


class Api(NamedTuple):
    """One dialect: where it generates, what it is asked, how it says that something failed."""

    name: str
    path: str
    nowhere: str
    request: Callable[[str], dict[str, Any]]
    error: Callable[[Any], dict[str, Any]]


def chat(text: str) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": 4000, "stream": False}


def anthropic_error(body: Any) -> dict[str, Any]:
    assert (body["type"], set(body)) == ("error", {"type", "error", "request_id"})
    assert body["request_id"] == body["error"]["request_id"]
    return body["error"]


APIS = (
    Api("openai", "/v1/chat/completions", "/v1/nothing", chat, lambda body: body["error"]),
    Api("anthropic", "/v1/messages", "/v1/messages/nothing", chat, anthropic_error),
    Api("ollama", "/api/chat", "/api/nothing", chat, lambda body: {**body, "message": body["error"]}),
)


class Row(NamedTuple):
    """What a client is told."""

    status: int
    code: str
    retryable: bool = False


def check(api: Api, response: httpx2.Response, row: Row) -> dict[str, Any]:
    """One response says its row, in its API's shape, and what the clients do next; returns the error."""
    told = (api.name, response.text)
    assert response.status_code == row.status, told
    error = api.error(response.json())
    assert set(error) >= KEYS, told
    assert (error["code"], error["retryable"]) == (row.code, row.retryable), told
    assert len(error["message"]) > 10, told
    headers = response.headers
    assert headers["x-request-id"] == error["request_id"], told
    assert api.name != "anthropic" or headers["request-id"] == error["request_id"], told
    if row.retryable:
        assert int(headers["retry-after"]) in range(1, 31), told
        assert "x-should-retry" not in headers, told
    else:
        assert headers["x-should-retry"] == "false", told
        assert "retry-after" not in headers, told
    return error


def post(service: Service, api: Api, text: str = "tell me", **arguments: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {KEY}", **arguments.pop("headers", {})}
    body = {**api.request(text), **arguments.pop("body", {})}
    url = service.url + arguments.pop("path", api.path)
    return CLIENT.post(url, json=body, headers=headers, **arguments)


@contextmanager
def service_with(settings: dict[str, Any], **arguments: Any) -> Iterator[Service]:
    """A service with these settings."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(f"RINGWARDEN_{name.upper()}", str(value))
            service = stack.enter_context(scripted_service(**arguments))
        yield service


def wait_ready(service: Service) -> None:
    wait_until(lambda: CLIENT.get(service.url + "/health/ready").status_code == 200, "the service is ready")


def open_requests(service: Service) -> list[Any]:
    answer = CLIENT.get(service.url + "/v1/requests", headers={"x-api-key": KEY}).json()
    return answer["requests"]


def all_at(service: Service, state: str) -> None:
    """Wait until each API's request has come so far."""
    wait_until(lambda: [one["state"] for one in open_requests(service)] == [state] * len(APIS), f"all are at {state}")


@contextmanager
def one_of_each(service: Service) -> Iterator[list[Callable[[], httpx2.Response]]]:
    """A long request of each API at once, under the id of its name."""
    with ThreadPoolExecutor(len(APIS)) as pool:
        asked = [pool.submit(post, service, api, headers={"x-request-id": api.name}) for api in APIS]
        yield [future.result for future in asked]


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    with CLIENT:
        yield


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    settings = {"api_key": KEY, "max_concurrent_tasks": len(APIS), "max_queued_tasks": 0}
    with service_with(settings, script={"answer_tokens": 4000}) as started:
        wait_ready(started)
        yield started


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_what_the_client_did_wrong(service: Service, api: Api) -> None:
    error = check(api, post(service, api, body={"messages": "hello"}), Row(400, "invalid_request_error"))
    assert error["param"] == "messages"
    too_long = check(api, post(service, api, "word " * 5000), Row(400, "context_length_exceeded"))
    assert (too_long["n_prompt_tokens"], too_long["n_ctx"]) == (5000, 4096)
    check(api, post(service, api, headers={"authorization": "Bearer wrong"}), Row(401, "invalid_api_key"))
    check(api, post(service, api, headers={"host": "evil.example"}), Row(403, "host_not_allowed"))
    check(api, post(service, api, headers={"origin": "http://evil.example"}), Row(403, "origin_not_allowed"))
    error = check(api, post(service, api, body={"model": "gpt-9"}), Row(404, "model_not_found"))
    assert error["param"] == "model"
    check(api, post(service, api, path=api.nowhere), Row(404, "not_found"))
    got = CLIENT.get(service.url + api.path, headers={"x-api-key": KEY})
    check(api, got, Row(405, "method_not_allowed"))
    assert got.headers["allow"] == "POST"
    check(api, post(service, api, "x" * 5_000_000), Row(413, "request_too_large"))
    check(api, post(service, api, headers={"x-request-timeout-s": "0.2"}), Row(504, "deadline_exceeded"))
    check(api, post(service, api, headers={"x-filler": "x" * 70_000}), Row(431, "headers_too_large"))
    check(api, post(service, api, headers={"x-filler": "x" * 700_000}), Row(431, "headers_too_large"))


def test_a_full_queue_and_an_end_by_id(service: Service) -> None:
    with one_of_each(service) as results:
        all_at(service, "decode")
        for api in APIS:
            check(api, post(service, api), Row(429, "queue_full", retryable=True))
        for api in APIS:
            path = f"{service.url}/v1/requests/{api.name}"
            answer = CLIENT.delete(path, headers={"x-api-key": KEY})
            assert answer.status_code == 200
            assert answer.json().keys() == {"id", "cancelled", "tokens_emitted"}
            again = CLIENT.delete(path, headers={"x-api-key": KEY})
            check(APIS[0], again, Row(404, "request_not_found"))
            check(APIS[0], CLIENT.delete(path), Row(401, "invalid_api_key"))
        for api, result in zip(APIS, results, strict=True):
            error = check(api, result(), Row(499, "request_cancelled"))
            assert error["request_id"] == api.name
            assert error["tokens_emitted"] > 0
    wait_until(lambda: open_requests(service) == [], "nothing is open any more")


def test_while_the_model_loads_and_when_the_group_was_given_up() -> None:
    settings = {"admission_wait_s": 0.05, "restart_intensity": 0}
    with service_with(settings, script={"layer_interval_s": 60.0}) as service:
        for api in APIS:
            check(api, post(service, api), Row(503, "model_loading", retryable=True))
        wait_until(lambda: len(service.pids()) == 2, "both ranks run")
        os.kill(service.pids()[1], signal.SIGKILL)
        wait_until(lambda: service.get("/cluster")["state"] == "failed", "the group is given up")
        for api in APIS:
            error = check(api, post(service, api), Row(503, "cluster_degraded"))
            assert error["rank"] == 1


def test_a_rank_that_dies_and_the_time_after_it() -> None:
    settings = {"admission_wait_s": 0.05, "backoff_first_s": 60.0, "backoff_cap_s": 60.0}
    with service_with(settings, script={"answer_tokens": 4000}) as service:
        wait_ready(service)
        _, pid = service.pids()
        with one_of_each(service) as results:
            all_at(service, "decode")
            os.kill(pid, signal.SIGKILL)
            for api, result in zip(APIS, results, strict=True):
                error = check(api, result(), Row(500, "runner_crashed", retryable=True))
                assert (error["rank"], error["cause"]) == (1, "killed_no_stderr")
                assert error["incident_id"].startswith("inc-")
                assert error["tokens_emitted"] > 0
        for api in APIS:
            error = check(api, post(service, api), Row(503, "runner_restarting", retryable=True))
            assert error["incident_id"].startswith("inc-")


@pytest.mark.soak
def test_a_stall_is_told_by_its_phase() -> None:
    settings = {"stall_timeout_s": 1.0, "stall_floor_s": 0.5, "admission_wait_s": 60.0}
    faults = [{"rank": 1, "at": "step", "step": 0, "action": "hang"}]
    with service_with(settings, faults=faults, script={"answer_tokens": 4000}) as service:
        wait_ready(service)
        with one_of_each(service) as results:
            for api, result in zip(APIS, results, strict=True):
                error = check(api, result(), Row(504, "prefill_timeout", retryable=True))
                assert (error["cause"], error["tokens_emitted"]) == ("stalled", 0)
        service.wait_ready(2)
        _, pid = service.pids()
        with one_of_each(service) as results:
            all_at(service, "decode")
            os.kill(pid, signal.SIGSTOP)
            for api, result in zip(APIS, results, strict=True):
                error = check(api, result(), Row(504, "decode_stalled", retryable=True))
                assert (error["rank"], error["cause"]) == (1, "stalled")
                assert error["tokens_emitted"] > 0
