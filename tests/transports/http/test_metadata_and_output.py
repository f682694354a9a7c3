"""A request's metadata reaches the gateway and no further; what a task prints never reaches its client."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.transports.http.scripted_gateway import TASK, Gate, ScriptedGateway, accepted, finished, token
from tests.transports.http.serving import RawClient, chat_body, serving, sse_events
from transports.messages import TaskEvent
from transports.output_events import TaskLog, TaskStderr, TaskStdout

PATHS = {"/v1/chat/completions": {}, "/v1/completions": {"prompt": "hi"}}
PRINTED = (TaskStdout(TASK, "out"), TaskStderr(TASK, "err", "shared"), TaskLog(TASK, 30, "logger", "text"))


def post(client: RawClient, path: str, **fields: Any) -> tuple[int, dict[str, str], Any]:
    client.request("POST", path, chat_body(**PATHS[path], **fields))
    return client.whole()


@pytest.mark.parametrize("path", PATHS)
def test_metadata_goes_to_the_gateway(path: str) -> None:
    gateway = ScriptedGateway()
    with serving(gateway) as running, RawClient(running.port) as client:
        assert post(client, path, metadata={"User-Id": "7", "note": ""})[0] == 200
        assert post(client, path, metadata=None)[0] == 200
    assert [one.metadata for one in gateway.submissions] == [{"User-Id": "7", "note": ""}, {}]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("metadata", "param", "words"),
    [
        ({str(number): "" for number in range(17)}, "metadata", "17 entries; at most 16"),
        ({"n" * 65: ""}, "metadata", "65 characters; 1 to 64"),
        ({"": "v"}, "metadata", "0 characters; 1 to 64"),
        ({"name": "v" * 513}, "metadata.name", "513 characters; at most 512"),
        ({"name": 5}, "metadata", "wrong type"),
        (["name"], "metadata", "wrong type"),
    ],
)
def test_bad_metadata_is_refused(path: str, metadata: Any, param: str, words: str) -> None:
    gateway = ScriptedGateway()
    with serving(gateway) as running, RawClient(running.port) as client:
        status, _, body = post(client, path, metadata=metadata)
    assert status == 400
    assert body["error"]["param"] == param
    assert words in body["error"]["message"]
    assert gateway.submissions == []


async def _printing(gate: Gate) -> AsyncIterator[TaskEvent]:
    del gate
    for event in (PRINTED[0], accepted(), *PRINTED, token("Hello"), *PRINTED, token(" world"), PRINTED[1]):
        yield event
    yield finished(2)


async def _silent(gate: Gate) -> AsyncIterator[TaskEvent]:
    del gate
    yield accepted()
    yield token("Hello")
    yield token(" world")
    yield finished(2)


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_task_prints_changes_nothing_about_its_answer(*, stream: bool) -> None:
    answers: list[list[Any]] = []
    for script in (_printing, _silent):
        with serving(ScriptedGateway(script)) as running, RawClient(running.port) as client:
            client.request("POST", "/v1/chat/completions", chat_body(stream=stream))
            if stream:
                assert client.head()[0] == 200
                *events, done = sse_events(client.chunked_body())
                assert done == "[DONE]"
                answers.append([json.loads(event)["choices"] for event in events])
            else:
                answers.append([client.whole()[2]["choices"]])
    assert answers[0] == answers[1]
    assert "Hello" in str(answers[0])


async def _chatting(gate: Gate) -> AsyncIterator[TaskEvent]:
    del gate
    yield accepted()
    for _ in range(60):
        yield PRINTED[0]
        await anyio.sleep(0.01)
    yield finished(0)


def test_a_chatting_task_does_not_silence_the_comments() -> None:
    with serving(ScriptedGateway(_chatting), comment_interval_s=0.1) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        assert client.head()[0] == 200
        assert b"assistant" in client.chunk()
        assert [client.chunk() for _ in range(3)] == [b": waiting\n\n"] * 3
        assert b"[DONE]" in client.chunked_body()
