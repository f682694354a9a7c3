"""`/metrics` of a real daemon: while it serves, after a rank was killed, and when it serves again."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator

import httpx2
import openai
import pytest
from prometheus_client import parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from tests.end_to_end.service import PROJECT, Service, scripted_service, wait_until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def exposition(service: Service, accept: str = "", **headers: str) -> httpx2.Response:
    return httpx2.get(service.url + "/metrics", headers={"accept": accept, **headers}, timeout=30)


def scrape(service: Service) -> Samples:
    families: Iterator[Metric] = parser.text_string_to_metric_families(exposition(service).text)
    return {
        (sample.name.removeprefix("ringwarden_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def exported_names(service: Service) -> set[str]:
    """What a query may name; a family without samples counts, too."""
    families = list(parser.text_string_to_metric_families(exposition(service).text))
    whole = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    return whole | {sample.name for family in families for sample in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


@pytest.fixture(scope="module")
def after_a_death() -> Iterator[tuple[Service, Samples, Samples]]:
    """A service, its metrics after two requests, and after the death of a rank in the third one and a recovery."""
    with scripted_service(script={"token_interval_s": 0.002}) as service:
        service.wait_ready()
        client = service.client()
        for _ in range(2):
            client.completions.create(model="tiny", prompt="three little words", max_tokens=20)
        before = scrape(service)
        stream = client.completions.create(
            model="tiny", prompt="three", max_tokens=4000, stream=True, extra_body={"ignore_eos": True}
        )
        with pytest.raises(openai.APIError):
            for index, _ in enumerate(stream):
                if index == 5:
                    os.kill(service.pids()[1], signal.SIGKILL)
        service.wait_ready(2)
        wait_until(lambda: value(scrape(service), "recovery_seconds_count") == 1, "the recovery is counted")
        yield service, before, scrape(service)


def test_what_was_served_is_counted(after_a_death: tuple[Service, Samples, Samples]):
    _, before, _ = after_a_death
    assert value(before, "generation_tokens_total") == 40
    assert value(before, "request_success_total", finished_reason="length") == 2
    assert value(before, "prompt_tokens_total") == value(before, "request_prompt_tokens_sum") > 0
    assert value(before, "request_generation_tokens_sum") == 40
    for name in ("time_to_first_token", "e2e_request_latency", "request_queue_time", "request_prefill_time"):
        assert value(before, f"{name}_seconds_count") == 2
    assert value(before, "inter_token_latency_seconds_count") == 38
    assert 38 * 0.002 <= value(before, "inter_token_latency_seconds_sum") < 10
    assert value(before, "inter_token_latency_seconds_sum") == pytest.approx(
        value(before, "request_decode_time_seconds_sum")
    )
    assert value(before, "num_requests_running") == 0
    assert value(before, "http_requests_total", route="/v1/completions", status="200") == 2
    assert value(before, "group_state", state="ready") == 1
    assert value(before, "runner_phase", rank="1", phase="ready") == 1
    assert value(before, "runner_restarts_total") == 0
    assert value(before, "process_resident_memory_bytes") > 1_000_000


def test_a_death_is_counted_and_counters_survive_it(after_a_death: tuple[Service, Samples, Samples]):
    _, before, after = after_a_death
    assert value(after, "runner_exits_total", cause="killed_no_stderr", signal="SIGKILL") == 1
    # The other rank falls with it.
    assert sum(one for (name, _), one in after.items() if name == "runner_exits_total") == 2
    assert value(after, "incidents_total", cause="killed_no_stderr") == 1
    assert value(after, "runner_restarts_total") == 2
    assert value(after, "failure_detect_seconds_count") == 1
    assert value(after, "failure_detect_seconds_sum") < 1
    assert 0 < value(after, "recovery_seconds_sum") < 60
    assert value(after, "request_failure_total", reason="failed") == 1
    assert value(after, "request_success_total", finished_reason="length") == 2
    assert value(after, "generation_tokens_total") >= value(before, "generation_tokens_total") + 5
    assert value(after, "group_generation") == 2


def test_openmetrics_for_who_asks_for_it(after_a_death: tuple[Service, Samples, Samples]):
    service, _, _ = after_a_death
    answer = exposition(service, OPENMETRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = list(openmetrics_parser.text_string_to_metric_families(answer.text))
    assert len(families) > 25
    assert exposition(service).headers["content-type"].startswith("text/plain")


def test_clients_make_no_labels(after_a_death: tuple[Service, Samples, Samples]):
    service, _, _ = after_a_death
    for path in ("/no-such-place/xyzzy", "/v1/models/xyzzy", "/incidents/xyzzy"):
        httpx2.get(service.url + path, headers={"x-request-id": "xyzzy"})
    samples = scrape(service)
    assert "xyzzy" not in str(samples)
    assert value(samples, "http_requests_total", route="none", status="404") == 1
    assert value(samples, "http_requests_total", route="/v1/models/{model_id}", status="404") == 1


def test_every_metric_is_documented(after_a_death: tuple[Service, Samples, Samples]):
    service, _, _ = after_a_death
    families = parser.text_string_to_metric_families(exposition(service).text)
    exported = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    documented = set(
        re.findall(r"^\| `((?:ringwarden|process)_\w+)", (PROJECT / "docs/metrics.md").read_text(), re.MULTILINE)
    )
    assert documented == exported


@pytest.mark.parametrize("file", ["ringwarden.json", "alerts.yml"])
def test_boards_and_alerts_use_what_is_exported(after_a_death: tuple[Service, Samples, Samples], file: str):
    service, _, _ = after_a_death
    text = (PROJECT / "docs/grafana" / file).read_text()
    if file.endswith("json"):
        queries = [target["expr"] for panel in json.loads(text)["panels"] for target in panel.get("targets", ())]
    else:
        queries = re.findall(r"^ +expr: (.+)$", text, re.MULTILINE)
    assert len(queries) >= 5
    exported = exported_names(service)
    for query in queries:
        used = set(re.findall(r"\b(?:ringwarden|process)_\w+", query))
        assert used, query
        assert used <= exported, query


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say(after_a_death: tuple[Service, Samples, Samples]):
    service, _, _ = after_a_death
    checks = [(["check", "metrics"], exposition(service).content)]
    checks.append((["check", "rules", str(PROJECT / "docs/grafana/alerts.yml")], b""))
    for arguments, text in checks:
        outcome = subprocess.run(["promtool", *arguments], input=text, capture_output=True, timeout=30, check=False)
        assert (outcome.returncode, outcome.stderr) == (0, b"")
