"""Ollama's API, line by line: its clients raise on a line with `error`, and believe a line with `done`."""

import json
from typing import Any

import httpx2
import pytest

from tests.transports.http.scripted_gateway import (
    INCIDENT,
    MODEL,
    ScriptedGateway,
    accepted,
    failed,
    finished,
    play,
    play_then_wait,
    token,
)
from tests.transports.http.serving import RawClient, Serving, serving
from transports.http.errors import ApiError
from transports.http.gateway import Refusal, RefusalCode
from transports.http.limits import HttpSecurity
from transports.http.ollama.chat import OllamaChatSurface
from transports.http.ollama.generate import OllamaGenerateSurface
from transports.http.task_timing import TaskTiming
from transports.messages import ChatPrompt, PrefillProgress, SamplingParameters, TextPrompt

CHAT: dict[str, Any] = {"model": f"{MODEL}:latest", "messages": [{"role": "user", "content": "hi"}]}
GENERATE: dict[str, Any] = {"model": MODEL, "prompt": "hi"}


def lines_of(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.text.endswith("\n")
    return [json.loads(line) for line in response.iter_lines()]


def test_chat_streams_unless_told_not_to(server: Serving, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), token("a\u2028"), token(""), token("b", 2), finished(3, "!", "length"))
    lines = lines_of(httpx2.post(f"{server.url}/api/chat", json=CHAT))
    assert "".join(line["message"]["content"] for line in lines) == "a\u2028b!"
    assert {line["message"]["role"] for line in lines} == {"assistant"}
    assert {line["model"] for line in lines} == {MODEL}
    assert [line["done"] for line in lines] == [False, False, False, True]
    last = lines[-1]
    assert (last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("length", 5, 3)
    assert last["total_duration"] >= last["load_duration"] + last["prompt_eval_duration"] + last["eval_duration"] > 0


@pytest.mark.parametrize(
    ("path", "request_body", "text"),
    [
        ("/api/chat", CHAT, lambda body: body["message"]["content"]),
        ("/api/generate", GENERATE, lambda body: body["response"]),
    ],
)
def test_whole_answers(server: Serving, path: str, request_body: Any, text: Any) -> None:
    response = httpx2.post(server.url + path, json={**request_body, "stream": False})
    body = response.json()
    assert (response.status_code, text(body), body["done"], body["done_reason"]) == (200, "Hello world", True, "stop")
    assert body["eval_count"] == 2


@pytest.mark.parametrize("request_body", [{"model": MODEL}, {"model": MODEL, "stream": False, "prompt": ""}])
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_a_request_without_a_prompt_waits_for_the_model(
    server: Serving, gateway: ScriptedGateway, path: str, request_body: Any
) -> None:
    gateway.script = play(accepted(1), finished(0, reason="length"))
    response = httpx2.post(server.url + path, json={**request_body, "messages": []})
    (line,) = response.iter_lines()
    assert (json.loads(line)["done"], json.loads(line)["done_reason"]) == (True, "load")
    assert gateway.submissions[0].sampling.max_tokens == 0


def test_generate_streams(server: Serving) -> None:
    lines = lines_of(httpx2.post(f"{server.url}/api/generate", json=GENERATE))
    assert [line["response"] for line in lines] == ["Hello", " world", ""]
    assert lines[-1]["done"] is True


def test_options_and_prompts_are_understood() -> None:
    options = {
        "temperature": 0, "top_p": 0.5, "top_k": 3, "min_p": 0.1, "num_predict": 9, "seed": 4, "stop": ["END"],
        "repeat_penalty": 1.2, "num_ctx": 4096,
    }  # fmt: skip
    parsed = OllamaGenerateSurface().parse(json.dumps({**GENERATE, "system": "Be brief.", "options": options}).encode())
    assert parsed.prompt == ChatPrompt(
        messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"})
    )
    assert parsed.stream
    assert parsed.sampling == SamplingParameters(
        max_tokens=9, temperature=0, top_p=0.5, top_k=3, min_p=0.1, seed=4, stop=("END",), repetition_penalty=1.2
    )
    raw = OllamaGenerateSurface().parse(json.dumps({**GENERATE, "raw": True}).encode())
    assert raw.prompt == TextPrompt("hi")
    assert raw.sampling == SamplingParameters(temperature=0.8, top_p=0.9, top_k=40)
    any_words = {"num_predict": -1, "seed": -1}
    chat = OllamaChatSurface().parse(json.dumps({**CHAT, "options": any_words, "stream": False}).encode())
    assert (chat.model, chat.stream, chat.sampling) == (MODEL, False, raw.sampling)


def test_silence_is_filled_with_lines_without_text(gateway: ScriptedGateway) -> None:
    gateway.script = play_then_wait([accepted(), PrefillProgress("task-1", 1, 2)], [token("Hello"), finished(1)])
    with serving(gateway, comment_interval_s=0.1) as running, RawClient(running.port) as client:
        client.request("POST", "/api/chat", json.dumps(CHAT).encode())
        client.head()
        body = client.chunk() + client.chunk()
        gateway.gate.open()
        body += client.chunked_body()
    texts = [json.loads(line)["message"]["content"] for line in body.splitlines()]
    assert texts[:2] == ["", ""]
    assert "".join(texts) == "Hello"


@pytest.mark.parametrize(("path", "request_body"), [("/api/chat", CHAT), ("/api/generate", GENERATE)])
def test_a_failure_in_a_stream_is_a_last_line_with_error(
    server: Serving, gateway: ScriptedGateway, path: str, request_body: Any
) -> None:
    gateway.script = play(accepted(), token("Hello"), failed(1))
    lines = lines_of(httpx2.post(server.url + path, json=request_body))
    assert [line["done"] for line in lines] == [False, False]
    last = lines[-1]
    assert last["error"].startswith(f"{INCIDENT.message} {INCIDENT.next_step} (request ")
    assert (last["code"], last["incident_id"], last["rank"], last["tokens_emitted"]) == (
        "runner_crashed",
        "inc-7",
        1,
        1,
    )
    assert last["request_id"] == gateway.submissions[0].request_id


@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_before_the_first_token_has_a_status(server: Serving, gateway: ScriptedGateway, stream: bool) -> None:
    gateway.script = play(failed(0))
    response = httpx2.post(f"{server.url}/api/chat", json={**CHAT, "stream": stream})
    assert response.status_code == 500
    assert response.json()["error"].startswith(f"{INCIDENT.message} {INCIDENT.next_step} (request ")
    assert response.json()["code"] == "runner_crashed"


def test_a_failure_of_a_whole_answer_has_a_status(server: Serving, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), token("Hello"), failed(1))
    response = httpx2.post(f"{server.url}/api/generate", json={**GENERATE, "stream": False})
    assert (response.status_code, response.json()["tokens_emitted"]) == (500, 1)


@pytest.mark.parametrize(
    ("surface", "body", "param"),
    [
        (OllamaChatSurface(), {**CHAT, "messages": [], "keep_alive": 0}, "keep_alive"),
        (OllamaChatSurface(), {**CHAT, "messages": [{"role": "assistant", "content": "Then"}]}, "messages"),
        (OllamaChatSurface(), {**CHAT, "messages": [{"role": "critic", "content": "x"}]}, "messages[0].role"),
        (
            OllamaChatSurface(),
            {**CHAT, "messages": [{"role": "user", "content": "x", "images": ["aGk="]}]},
            "messages[0].images",
        ),
        (OllamaChatSurface(), {**CHAT, "tools": [{"at": 2**70}]}, "tools"),
        (OllamaChatSurface(), {**CHAT, "format": "json"}, "format"),
        (OllamaChatSurface(), {**CHAT, "think": "very"}, "think"),
        (OllamaGenerateSurface(), {**GENERATE, "raw": True, "think": True}, "think"),
        (OllamaChatSurface(), {**CHAT, "options": {"temperature": -1}}, "options.temperature"),
        (OllamaChatSurface(), {**CHAT, "options": {"num_predict": -3}}, "options.num_predict"),
        (OllamaGenerateSurface(), {"model": MODEL, "keep_alive": "0s"}, "keep_alive"),
        (OllamaGenerateSurface(), {"model": ""}, "model"),
        (OllamaGenerateSurface(), {"prompt": "hi"}, "model"),
        (OllamaGenerateSurface(), {**GENERATE, "suffix": "x"}, "suffix"),
        (OllamaGenerateSurface(), {**GENERATE, "context": [1]}, "context"),
    ],
)
def test_bad_requests_name_the_field(surface: Any, body: Any, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        surface.parse(json.dumps(body).encode())
    assert (caught.value.status, caught.value.param) == (400, param)


def test_every_error_of_the_paths_has_ollamas_shape() -> None:
    gateway = ScriptedGateway(refusal=Refusal(RefusalCode.MODEL_NOT_FOUND, "There is no such model."))
    key = {"authorization": "Bearer secret"}
    asked: list[tuple[str, str, dict[str, str], int]] = [
        ("POST", "/api/chat", {}, 401),
        ("POST", "/api/chat", key, 404),
        ("POST", "/api/pull", key, 404),
        ("GET", "/api/chat", key, 405),
        ("POST", "/api/show", key, 404),
    ]
    with serving(gateway, security=HttpSecurity(api_key="secret")) as running:
        for method, path, headers, status in asked:
            response = httpx2.request(method, running.url + path, json={**CHAT, "model": "gone"}, headers=headers)
            body = response.json()
            assert (response.status_code, type(body["error"])) == (status, str)
            assert body["request_id"] == response.headers["x-request-id"]


def test_what_clients_read_first(server: Serving, gateway: ScriptedGateway) -> None:
    tags = httpx2.get(f"{server.url}/api/tags").json()["models"]
    assert [model["model"] for model in tags] == [MODEL, "org/other"]
    loaded = httpx2.get(f"{server.url}/api/ps").json()["models"]
    assert [(model["name"], model["context_length"]) for model in loaded] == [(MODEL, 2048)]
    gateway.is_ready = False
    assert httpx2.get(f"{server.url}/api/ps").json() == {"models": []}
    assert httpx2.get(f"{server.url}/api/version").json()["version"]
    shown = httpx2.post(f"{server.url}/api/show", json={"name": f"{MODEL}:latest"}).json()
    assert shown["model_info"] == {"general.architecture": "mlx", "mlx.context_length": 2048}
    assert shown["capabilities"] == ["completion"]
    assert httpx2.post(f"{server.url}/api/show", json={}).status_code == 400


def test_durations_add_up() -> None:
    moments = iter([100, 130, 180, 400])
    timing = TaskTiming(lambda: next(moments))
    timing.submitted()
    timing.first_token()
    assert timing.durations() == (30, 50, 220, 300)
