"""What the clients of the other APIs see when a rank dies: an error with the truth in it, never a good end."""

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import anthropic
import httpx2
import openai
import pytest

from tests.end_to_end.service import Service, scripted_service, wait_until

PROMPT: Any = [{"role": "user", "content": "tell me about rings"}]
# How long a step of the engine takes, so that the death comes before the first token or long after it.
STEP_S = {"before the first token": 10.0, "in the middle": 0.01}


class Outcome(NamedTuple):
    """What one client made of a request in the end: the error's fields, the HTTP status."""

    error: dict[str, Any]
    status: int


def anthropic_messages(service: Service, stream: bool, heard: list[str]) -> Outcome:
    with anthropic.Anthropic(base_url=service.url, api_key="none", max_retries=0, timeout=60) as client:
        request: dict[str, Any] = {"model": "tiny", "max_tokens": 4000, "messages": PROMPT}
        with pytest.raises(anthropic.APIStatusError) as caught:
            if stream:
                with client.messages.stream(**request) as answer:
                    for text in answer.text_stream:
                        heard.append(text)
            else:
                client.messages.create(**request)
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["request_id"] == body["error"]["request_id"]
    return Outcome(body["error"], caught.value.status_code)


def openai_responses(service: Service, stream: bool, heard: list[str]) -> Outcome:
    request: dict[str, Any] = {"model": "tiny", "max_output_tokens": 4000, "input": PROMPT}
    with pytest.raises(openai.APIError) as caught:
        if stream:
            for event in service.client().responses.create(stream=True, **request):
                assert event.type not in ("response.completed", "response.incomplete")
                if event.type == "response.output_text.delta":
                    heard.append(event.delta)
        else:
            service.client().responses.create(**request)
    assert not isinstance(caught.value, openai.APIConnectionError)
    body: Any = caught.value.body
    return Outcome(body, getattr(caught.value, "status_code", 200))


def ollama_chat(service: Service, stream: bool, heard: list[str]) -> Outcome:
    request = {"model": "tiny", "messages": PROMPT, "stream": stream, "options": {"num_predict": 4000}}
    return _ollama(service, "/api/chat", request, heard, lambda line: line["message"]["content"])


def ollama_generate(service: Service, stream: bool, heard: list[str]) -> Outcome:
    request = {"model": "tiny", "prompt": "tell me about rings", "stream": stream, "options": {"num_predict": 4000}}
    return _ollama(service, "/api/generate", request, heard, lambda line: line["response"])


def _ollama(service: Service, path: str, request: Any, heard: list[str], text_of: Callable[[Any], str]) -> Outcome:
    with httpx2.stream("POST", service.url + path, json=request, timeout=60) as response:
        for line in map(json.loads, response.iter_lines()):
            assert not line.get("done")
            if "error" in line:
                return Outcome({**line, "message": line["error"]}, response.status_code)
            heard.append(text_of(line))
    raise AssertionError("the answer ended without an error")


CLIENTS = (anthropic_messages, openai_responses, ollama_chat, ollama_generate)


@pytest.mark.parametrize("moment", STEP_S)
def test_a_rank_killed_under_every_client_at_once(moment: str) -> None:
    script = {"token_interval_s": STEP_S[moment], "answer_tokens": 4000}
    with scripted_service(script=script) as service, ThreadPoolExecutor(8) as pool:
        service.wait_ready()
        _, pid = service.pids()
        asked: list[tuple[bool, list[str], Future[Outcome]]] = []
        for client in CLIENTS:
            for stream in (True, False):
                heard: list[str] = []
                asked.append((stream, heard, pool.submit(client, service, stream, heard)))
        wait_until(lambda: service.get("/cluster")["tasks_in_flight"] == len(asked), "all requests are computed")
        if moment == "in the middle":
            wait_until(lambda: all(len(heard) > 2 for stream, heard, _ in asked if stream), "all streams have begun")
        os.kill(pid, signal.SIGKILL)
        for stream, heard, future in asked:
            error, status = future.result(timeout=60)
            assert (error["rank"], error["cause"], error["code"]) == (1, "killed_no_stderr", "runner_crashed")
            assert "Rank 1 " in error["message"]
            assert error["incident_id"].startswith("inc-")
            assert error["request_id"]
            assert stream or status == 500
            assert any(heard) is (stream and moment == "in the middle")
