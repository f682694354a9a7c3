"""The HTTP surface under bad requests: each gets a documented answer in its API's shape, and nothing is left of it."""

import asyncio
import json
from typing import Any, NamedTuple

import psutil
import pytest

from tests.end_to_end.bad_requests import BadRequest, bad_requests
from tests.end_to_end.service import Service, scripted_service, service, wait_until

ANSWER_DEADLINE_S = 30.0
AT_ONCE = 6
STATUSES = {200, 400, 401, 403, 404, 405, 411, 413, 415, 417, 422, 431, 499, 504}


class Answer(NamedTuple):
    """What came back until the connection was closed; status 0 when nothing that is HTTP did."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(port: int, request: BadRequest) -> Answer:
    """Send the bytes and read to the end of the connection; bytes that are no request are then cut off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            writer.write(request.data)
            if not request.is_http:
                writer.write_eof()
            data = await reader.read(-1)
    except ConnectionResetError:
        data = b""
    finally:
        writer.close()
    data = data.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    parts = status_line.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0, headers, body)


def complaint(request: BadRequest, answer: Answer) -> str | None:
    """What is wrong with an answer; None when nothing is."""
    if not request.is_http:
        return None if answer.status in {0, *STATUSES} else f"status {answer.status}"
    if answer.status not in STATUSES:
        return f"status {answer.status}"
    if "x-request-id" not in answer.headers:
        return "no x-request-id"
    if answer.status < 400 or request.method == "HEAD":
        return None
    try:
        body: Any = json.loads(answer.body)
    except ValueError:
        return "the body is no JSON"
    if request.path.startswith("/v1/messages"):
        error = body.get("error")
        return None if body.get("type") == "error" and error.get("message") else "not Anthropic's shape"
    if request.path.startswith("/api/"):
        return None if isinstance(body.get("error"), str) else "not Ollama's shape"
    error = body.get("error")
    return None if error["message"] and error["code"] and error["request_id"] else "not OpenAI's shape"


async def all_complaints(port: int, count: int, seed: int) -> list[str]:
    """Send all of them, a few at a time."""
    requests = bad_requests(count, seed)
    found: list[str] = []

    async def work() -> None:
        for request in requests:
            answer = await ask(port, request)
            wrong = complaint(request, answer)
            if wrong is not None:
                found.append(f"{wrong}: {request.data[:300]!r} -> {answer.body[:300]!r}")

    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_ONCE):
            workers.create_task(work())
    return found


def assert_all_answered(running: Service, count: int, seed: int) -> None:
    before = running.wait_ready()
    port = int(running.url.rpartition(":")[2])
    asyncio.run(all_complaints(port, 100, seed + 1))  # Whatever is loaded once is loaded now.
    process = psutil.Process(running.process.pid)
    descriptors, threads, resident = process.num_fds(), process.num_threads(), process.memory_info().rss

    assert asyncio.run(all_complaints(port, count, seed)) == []

    after = running.get("/cluster")
    assert (after["state"], after["generation"], after["restarts"]) == ("ready", before["generation"], 0)
    wait_until(lambda: running.get("/cluster")["tasks_in_flight"] == 0, "no task is left", 20)
    wait_until(lambda: process.num_fds() <= descriptors + 2, "no descriptor is left", 20)
    wait_until(lambda: process.num_threads() <= threads + 1, "no thread is left", 20)
    assert process.memory_info().rss - resident < 48 * 1024 * 1024
    answer = running.post("/v1/completions", {"model": "tiny", "prompt": "one two", "max_tokens": 2})
    assert answer.status_code == 200


def test_bad_requests_are_answered_and_leave_nothing() -> None:
    with scripted_service("--ranks=1") as running:
        assert_all_answered(running, 500, seed=1)


@pytest.mark.soak
@pytest.mark.mlx
@pytest.mark.timeout(1_200)
def test_ten_thousand_bad_requests_on_a_real_model() -> None:
    with service("--ranks=1") as running:
        assert_all_answered(running, 10_000, seed=2)
