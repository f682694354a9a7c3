"""Traces at a real collector, and the log as JSON, of a daemon whose rank is killed."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextvars import copy_context
from datetime import datetime
from typing import Any

import anyio.to_thread
import openai
import pytest
from loguru import logger
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from supervisor.settings import Settings
from supervisor.tracing.pipeline import Tracing
from supervisor.tracing.request_spans import RequestSpans
from supervisor.tracing.setup import TracingUnavailable, check_tracing
from tests.end_to_end.otlp_receiver import Collector, ReceivedSpan, collector
from tests.end_to_end.service import Service, scripted_service, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def span_of(collected: Collector, request_id: str) -> ReceivedSpan:
    wait_until(lambda: collected.of_request(request_id) is not None, f"the span of {request_id} is there", 20)
    span = collected.of_request(request_id)
    assert span is not None
    return span


@pytest.fixture(scope="module")
def traced() -> Iterator[tuple[Service, Collector]]:
    with pytest.MonkeyPatch.context() as patch, collector() as collected:
        patch.setenv("RINGWARDEN_OTEL", "true")
        patch.setenv("RINGWARDEN_LOG_FORMAT", "json")
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with scripted_service(script={"token_interval_s": 0.005}) as service:
            service.wait_ready()
            yield service, collected


def test_a_request_is_one_span_within_its_client_s_trace(traced: tuple[Service, Collector]):
    service, collected = traced
    answer = service.post(
        "/v1/chat/completions",
        {"model": "tiny", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 20},
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "req-good"},
    )
    assert answer.status_code == 200
    span = span_of(collected, "req-good")
    assert (span.trace_id, span.parent_id, span.name, span.is_error) == (TRACE, PARENT, "chat tiny", False)
    usage = answer.json()["usage"]
    expected: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "tiny",
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.response.finish_reasons": ["length"],
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "ringwarden.generation": 1,
    }
    assert span.attributes.items() >= expected.items()
    assert span.resource["service.name"] == "ringwarden"
    assert span.resource["deployment.environment.name"] == "test"
    stages = collected.children(span)
    assert set(stages) == {"queue", "prefill", "decode"}
    assert span.began_ns <= stages["queue"].began_ns <= stages["queue"].ended_ns == stages["prefill"].began_ns
    assert stages["prefill"].ended_ns == stages["decode"].began_ns
    assert stages["decode"].ended_ns - stages["decode"].began_ns >= 19 * 0.005 * 1e9
    assert stages["decode"].ended_ns <= span.ended_ns + 1_000_000
    assert "hello" not in str([each.attributes for each in collected.spans])


def test_a_refused_request_is_a_span(traced: tuple[Service, Collector]):
    service, collected = traced
    body = {"model": "another", "prompt": "x"}
    assert service.post("/v1/completions", body, headers={"x-request-id": "req-bad"}).status_code == 404
    span = span_of(collected, "req-bad")
    assert (span.name, span.is_error) == ("text_completion", False)
    assert span.attributes["error.type"] == "model_not_found"
    assert "gen_ai.request.model" not in span.attributes
    assert len(span.trace_id) == 32
    assert span.parent_id == ""


def test_a_failure_is_told_in_the_span_and_in_the_log(traced: tuple[Service, Collector]):
    service, collected = traced
    stream = service.client().completions.create(
        model="tiny",
        prompt="x",
        max_tokens=4000,
        stream=True,
        extra_body={"ignore_eos": True},
        extra_headers={"x-request-id": "req-dead"},
    )
    with pytest.raises(openai.APIError) as caught:
        for index, _ in enumerate(stream):
            if index == 3:
                os.kill(service.pids()[1], signal.SIGKILL)
    body: Any = caught.value.body
    span = span_of(collected, "req-dead")
    assert span.is_error
    expected = {"ringwarden.rank": 1, "ringwarden.cause": "killed_no_stderr", "error.type": "killed_no_stderr"}
    assert span.attributes.items() >= expected.items()
    assert span.attributes["gen_ai.usage.output_tokens"] == body["tokens_emitted"] > 0
    assert span.events["ringwarden.incident"]["ringwarden.incident_id"] == body["incident_id"]
    assert body["message"].startswith(span.events["ringwarden.incident"]["message"])
    assert collected.children(span)["decode"].is_error
    service.wait_ready(2)

    lines = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line
        datetime.fromisoformat(line["time"])
        assert line["level"] in ("INFO", "IO", "WARNING", "ERROR"), line
        assert isinstance(line["message"], str)
    death = next(line for line in lines if line["level"] == "WARNING" and line.get("rank") == 1)
    assert (death["generation"], "killed" in death["message"].lower()) == (1, True)
    incident = next(line for line in lines if line["level"] == "ERROR")
    assert (incident["incident"], incident["rank"], incident["generation"]) == (body["incident_id"], 1, 1)


@pytest.mark.soak
def test_a_collector_that_is_not_there_costs_one_warning_and_no_request():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINGWARDEN_OTEL", "true")
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        patch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        with scripted_service(script={"token_interval_s": 0.0}) as service:
            service.wait_ready()
            body = {"model": "tiny", "prompt": "x", "max_tokens": 5}
            assert service.post("/v1/completions", body).status_code == 200
            wait_until(lambda: "traces are lost" in service.log, "the failure is logged", 20)
            assert service.post("/v1/completions", body).status_code == 200
            assert service.log.count("traces are lost") == 1


async def test_nobody_s_odd_words_use_up_the_warning_about_a_collector(monkeypatch: pytest.MonkeyPatch):
    logged: list[str] = []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "tight")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    sink = logger.add(lambda message: logged.append(message.record["message"]), level="WARNING")
    tracing = Tracing("tiny")
    scope: dict[str, Any] = {
        "path": "/api/chat",
        "method": "POST",
        "headers": [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()), (b"tracestate", b"\xff odd, odder")],
    }
    try:
        for _ in range(3):
            trace = tracing.spans.begin(scope, "req-1")
            assert trace is not None
            trace.end(200, None)
        await anyio.to_thread.run_sync(wait_until, lambda: "traces are lost" in str(logged), "the loss is told", 20)
    finally:
        await tracing.close()
        logger.remove(sink)
    assert [line.partition(":")[0] for line in logged[:2]] == ["OpenTelemetry says, once"] * 2
    assert "tight" in logged[0]
    assert "odd" in logged[1]
    assert len(logged) == 3


def test_a_request_is_no_part_of_the_one_before_it_on_its_connection():
    exported = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    spans = RequestSpans(provider.get_tracer("test"), "tiny")
    scope: dict[str, Any] = {"path": "/v1/messages", "method": "POST", "headers": []}

    def pipelined() -> None:
        trace = spans.begin(scope, "req-1")
        assert trace is not None
        # uvicorn begins a pipelined request in the context of the one before it.
        copy_context().run(counted)
        trace.end(200, None)

    def counted() -> None:
        spans.begin({**scope, "path": "/v1/messages/count_tokens"}, "req-2")
        spans.on_task_open("task-2", 1)

    copy_context().run(pipelined)
    [span] = exported.get_finished_spans()
    assert span.attributes is not None
    assert "ringwarden.task_id" not in span.attributes


def test_without_its_packages_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "supervisor.tracing.pipeline", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    check_tracing(Settings())
    with pytest.raises(TracingUnavailable, match=r"opentelemetry\S* is not installed") as caught:
        check_tracing(Settings(otel=True))
    assert "pip install 'ringwarden[otel]'" in caught.value.remedy


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "max_queue_size"), ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x", "ATTRIBUTE_COUNT")],
)
def test_a_variable_that_cannot_be_used_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
):
    monkeypatch.setenv(variable, value)
    check_tracing(Settings())
    with pytest.raises(TracingUnavailable, match=words) as caught:
        check_tracing(Settings(otel=True))
    assert caught.value.remedy.startswith("Correct that variable.")
