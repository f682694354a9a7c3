"""What a node with a trusted key may say, and what a head makes of it."""

import math

import msgspec
import pytest

from diagnostics.evidence import RunnerTerminationError
from diagnostics.incident import DeathCertificate, Incident
from supervisor.cluster.clipped import clipped
from supervisor.cluster.cluster_log import ClusterLog
from supervisor.cluster.node_requests import NodeRequests
from tests.supervisor.cluster.lines import certificate, hello
from tests.supervisor.cluster.test_cluster_start import AB, Cluster
from transports.cluster.bus_errors import MessageTooLong
from transports.cluster.handshake import RunningRank
from transports.cluster.messages import ClusterEvent, IncidentDeclared
from transports.cluster.requests import (
    NodeRequest,
    PortsReserved,
    ProbeOpened,
    RequestFailed,
    ReservePorts,
    VerifyGone,
)

pytestmark = pytest.mark.anyio


def test_a_certificate_is_brought_to_our_own_bounds() -> None:
    long = "x" * 1_000_000
    huge = msgspec.structs.replace(
        certificate(0),
        node="somebody else",
        died_at_s=math.nan,
        stacks=long,
        stderr_tail=(long,) * 1000,
        diagnosis=msgspec.structs.replace(certificate(0).diagnosis, message=long, evidence=(long,) * 1000),
        termination_error=RunnerTerminationError(long, long, long, long + "the end"),
    )
    kept = clipped(huge, "a")
    assert kept.node == "a"
    assert math.isfinite(kept.died_at_s)
    assert kept.termination_error is not None
    assert kept.termination_error.traceback.endswith("the end")
    assert len(msgspec.msgpack.encode(kept)) < 3_000_000


def test_an_ordinary_certificate_stays_as_it_is() -> None:
    assert clipped(certificate(0, node="a"), "a") == certificate(0, node="a")


@pytest.mark.parametrize("generation", [-1, 2**53, 2**64])
def test_numbers_that_nobody_could_count_to_are_refused(generation: int) -> None:
    fields = msgspec.to_builtins(certificate(0)) | {"generation": generation}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, DeathCertificate)
    told = {"rank": 0, "world_size": 1, "pid": 1, "phase": "ready", "step": 1, "plan": "", "parallel": "tensor"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**told, "backend": "ring", "generation": generation}, RunningRank)


@pytest.mark.parametrize("port", [-1, 65_536, 2**63])
def test_a_port_is_one(port: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "ProbeOpened", "port": port, "errno": None}, ProbeOpened)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "PortsReserved", "ports": [port]}, PortsReserved)


async def test_a_request_that_fails_in_a_way_nobody_thought_of_is_answered() -> None:
    class Broken(NodeRequests):
        async def _carry_out(self, request: NodeRequest) -> RequestFailed:
            raise OverflowError(f"{type(request).__name__} is too much")

    answer = await Broken.__new__(Broken).answer(ReservePorts("127.0.0.1", 1), 10.0)
    assert answer == RequestFailed("OverflowError: ReservePorts is too much")


class Heard:
    """Takes what is written down and what is published; refuses long events."""

    def __init__(self) -> None:
        self.kept: list[Incident] = []
        self.published: list[ClusterEvent] = []

    def on_incident(self, incident: Incident) -> None:
        """Keep it."""
        self.kept.append(incident)

    def publish(self, event: ClusterEvent) -> None:
        """Refuse what is long."""
        if isinstance(event, IncidentDeclared) and event.incident.certificates:
            raise MessageTooLong("too long")
        self.published.append(event)


def test_an_incident_that_is_too_long_for_the_bus_is_told_without_its_certificates(an_incident: Incident) -> None:
    heard = Heard()
    ClusterLog(heard, heard.publish).on_incident(an_incident)  # type: ignore[arg-type]
    assert heard.kept == [an_incident]
    assert heard.published == [IncidentDeclared(msgspec.structs.replace(an_incident, certificates=()))]


@pytest.fixture
def an_incident() -> Incident:
    died = certificate(0)
    return Incident(
        incident_id="inc-1",
        occurred_at=1.0,
        node="a",
        rank=0,
        generation=1,
        cause=died.diagnosis.cause,
        phase=died.phase,
        confidence=died.diagnosis.confidence,
        message="Rank 0 crashed.",
        advice="advice",
        retryable=True,
        certificates=(died,),
    )


async def test_a_node_that_began_a_new_session_while_it_was_asked_is_not_lost() -> None:
    cluster = Cluster(AB)
    cluster.join("a", "b")
    asked: list[str] = []
    healthy = cluster.lines["b"].request

    async def lose_the_first_answer(request: NodeRequest, deadline_s: float) -> object:
        if isinstance(request, VerifyGone) and not asked:
            asked.append("b")
            cluster.roster.came("b", hello(2), ())
            return RequestFailed("the node is gone")
        return await healthy(request, deadline_s)

    cluster.lines["b"].request = lose_the_first_answer  # type: ignore[method-assign, assignment]
    prepared = await cluster.prepare()
    assert cluster.roster.is_here("b")
    assert [handle.node for handle in prepared.ranks] == ["a", "b"]
