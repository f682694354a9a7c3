"""`/metrics` as the HTTP surface gives it out: who may read it, and what is counted about answers."""

import httpx2
import msgspec
import pytest
from prometheus_client import parser

from supervisor.metrics.group_metrics import group_metrics
from tests.end_to_end.service import wait_until
from tests.transports.http.scripted_gateway import DEADLINE_S, Gate, ScriptedGateway
from tests.transports.http.serving import RawClient, chat_body, serving
from transports.http.gateway import NodeView
from transports.http.limits import HttpSecurity


def scrape(url: str, path: str = "/metrics", **headers: str) -> httpx2.Response:
    return httpx2.get(url + path, headers=headers, timeout=30)


def answers(text: str) -> dict[tuple[str, str], float]:
    samples = [sample for family in parser.text_string_to_metric_families(text) for sample in family.samples]
    counted = [sample for sample in samples if sample.name == "ringwarden_http_requests_total"]
    return {(sample.labels["route"], sample.labels["status"]): sample.value for sample in counted}


def test_an_api_key_guards_metrics():
    with serving(ScriptedGateway(), security=HttpSecurity(api_key="s3cret")) as running:
        assert scrape(running.url).status_code == 401
        allowed = scrape(running.url, authorization="Bearer s3cret")
    assert allowed.status_code == 200
    # Who is refused at the door has not come to a route.
    assert answers(allowed.text) == {("none", "401"): 1}


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=new", "text/plain;version=1.x", "é;;=,"])
def test_an_accept_header_that_means_nothing_gets_the_plain_format(accept: str):
    with serving(ScriptedGateway()) as running:
        answer = httpx2.get(running.url + "/metrics", headers={"accept": accept.encode()}, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "ringwarden_build_info" in answer.text


def test_who_leaves_before_an_answer_is_counted_too():
    gateway = ScriptedGateway()
    gateway.enter_gate = Gate()
    with serving(gateway) as running:
        with RawClient(running.port) as client:
            client.request("POST", "/v1/chat/completions", chat_body(stream=False))
            assert gateway.submitted.wait(DEADLINE_S)
            assert gateway.submissions[0].entered.wait(DEADLINE_S)
        assert gateway.submissions[0].left.wait(DEADLINE_S)
        wait_until(lambda: ("/v1/chat/completions", "499") in answers(scrape(running.url).text), "it is counted", 10)
        gateway.enter_gate.open()


def test_a_node_s_heartbeat_and_a_rank_s_phase():
    view = msgspec.structs.replace(
        ScriptedGateway().cluster(),
        nodes=(
            NodeView("head", True, "a", "Darwin", "M4", 1),
            NodeView("mac-2", False, "b", "Darwin", "M4", 1, heard_s_ago=2.5),
        ),
    )
    families = {family.name: family for family in group_metrics(view)}
    heartbeats = [(one.labels, one.value) for one in families["ringwarden_heartbeat_age_seconds"].samples]
    assert heartbeats == [({"node": "mac-2"}, 2.5)]
    phases = [one.labels for one in families["ringwarden_runner_phase"].samples if one.value]
    assert phases == [{"rank": "0", "phase": "ready"}, {"rank": "1", "phase": "ready"}]
    states = [one.labels["state"] for one in families["ringwarden_group_state"].samples if one.value]
    assert states == ["ready"]
