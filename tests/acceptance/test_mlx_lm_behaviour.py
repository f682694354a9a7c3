"""What clients of mlx-lm's own server rely on, asked of ours on real MLX."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.end_to_end.service import Service, service

pytestmark = pytest.mark.mlx

HELLO = {"role": "user", "content": "What is Ringwarden?"}


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    with service("--ranks=1") as started:
        started.wait_ready()
        yield started


def completion(server: Service, **fields: Any) -> dict[str, Any]:
    answer = server.post(
        "/v1/completions", {"model": "default_model", "prompt": "A ring is", "max_tokens": 8, **fields}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def chat(server: Service, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    body = {"model": "chat_model", "messages": messages, "max_tokens": 8, **fields}
    answer = server.post("/v1/chat/completions", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def content(answer: dict[str, Any]) -> str:
    (choice,) = answer["choices"]
    return choice["message"]["content"]


@pytest.mark.parametrize("name", ["default_model", "chat_model", "tiny"])
def test_the_names_under_which_its_clients_ask(server: Service, name: str) -> None:
    assert completion(server, model=name)["model"] == name


def test_a_name_that_nobody_knows_is_not_one_of_them(server: Service) -> None:
    answer = server.post("/v1/completions", {"model": "other_model", "prompt": "A ring is"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_seed_gives_the_same_text_again(server: Service) -> None:
    sampling = {"temperature": 1.5, "top_p": 0.95, "repetition_penalty": 1.1, "max_tokens": 16, "ignore_eos": True}
    texts = [completion(server, seed=seed, **sampling)["choices"][0]["text"] for seed in (7, 7, 8, 9)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_fields_that_only_mlx_lm_has_do_no_harm(server: Service) -> None:
    fields = {"repetition_context_size": 20, "num_draft_tokens": 3, "adapters": None, "draft_model": "default_model"}
    answer = completion(server, stop="a stop that never comes", ignore_eos=True, **fields)
    assert answer["usage"]["completion_tokens"] == 8


def test_content_in_fragments_is_the_text_that_they_make(server: Service) -> None:
    fragments = [{"type": "text", "text": "What is "}, {"type": "text", "text": "Ringwarden?"}]
    plain = chat(server, [HELLO], temperature=0)
    assert content(plain)
    assert content(chat(server, [{"role": "user", "content": fragments}], temperature=0)) == content(plain)


def test_a_call_without_content_and_its_result_are_read(server: Service) -> None:
    call = {"id": "one", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    messages = [
        {"role": "user", "content": "what is 1+2?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_call_id": "one"},
    ]
    assert chat(server, messages, temperature=0)["usage"]["completion_tokens"] > 0


def test_the_models_are_listed(server: Service) -> None:
    listed = server.get("/v1/models")
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert (model["id"], model["object"]) == ("tiny", "model")
    assert isinstance(model["created"], int)


def test_each_event_of_a_stream_has_one_choice_with_a_delta(server: Service) -> None:
    body = {"model": "chat_model", "messages": [HELLO], "max_tokens": 8, "temperature": 0, "stream": True}
    with httpx2.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=60) as answer:
        assert answer.status_code == 200
        data = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    chunks = [json.loads(one) for one in data[:-1]]
    assert all(len(chunk["choices"]) == 1 and "delta" in chunk["choices"][0] for chunk in chunks)
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == content(chat(server, [HELLO], temperature=0))


def test_prompts_that_begin_alike_are_answered_one_after_the_other(server: Service) -> None:
    begun = {"role": "system", "content": "You tell stories about rings."}
    for more in ("Tell me one", "Tell me one about a cluster."):
        assert content(chat(server, [begun, {"role": "user", "content": more}], temperature=0)) is not None
