"""What can be read about the service."""

import pytest

from tests.transports.http.scripted_gateway import INCIDENT, ScriptedGateway
from tests.transports.http.serving import RawClient, serving
from transports.http.gateway import GroupState


def test_cluster_shows_each_rank_as_an_object() -> None:
    with serving(ScriptedGateway()) as running, RawClient(running.port) as client:
        client.request("GET", "/cluster")
        status, headers, body = client.whole()
        assert status == 200
        assert "x-request-id" in headers
        assert body["ranks"][1] == {
            "rank": 1,
            "pid": 101,
            "node": "node-a",
            "state": "ready",
            "generation": 3,
            "progress": None,
            "footprint_bytes": None,
        }
        assert body["state"] == "ready"


def test_incidents() -> None:
    with serving(ScriptedGateway()) as running, RawClient(running.port) as client:
        client.request("GET", "/incidents")
        listed = client.whole()[2]["incidents"]
        client.request("GET", f"/incidents/{INCIDENT.incident_id}")
        assert [client.whole()[2]] == listed
        assert listed[0]["cause"] == "killed_no_stderr"


@pytest.mark.parametrize(
    ("state", "code", "retryable"),
    [
        (GroupState.STARTING, "model_loading", True),
        (GroupState.RESTARTING, "runner_restarting", True),
        (GroupState.FAILED, "cluster_degraded", False),
        (GroupState.READY, "cluster_degraded", True),
        (GroupState.STOPPING, "service_stopping", True),
        (GroupState.STOPPED, "service_stopping", True),
    ],
)
def test_not_ready_says_why(state: GroupState, code: str, *, retryable: bool) -> None:
    gateway = ScriptedGateway()
    gateway.is_ready, gateway.state = False, state
    with serving(gateway) as running, RawClient(running.port) as client:
        client.request("GET", "/health/ready")
        status, headers, body = client.whole()
        assert (status, body["error"]["code"]) == (503, code)
        assert headers.get("retry-after") == ("5" if retryable else None)
        assert "scripted" in body["error"]["message"]
        assert "rank 1 ready" in body["error"]["message"]
        client.request("GET", "/health/live")
        assert client.whole()[0] == 200


def test_ready() -> None:
    with serving(ScriptedGateway()) as running, RawClient(running.port) as client:
        client.request("GET", "/health/ready")
        assert client.whole()[2] == {"status": "ready"}
        client.request("HEAD", "/health/ready")
        assert client.head()[0] == 200
