"""Which deaths a new head has to tell of, and what a hello is worth some time after it was said."""

from typing import Any

import msgspec

from diagnostics.cause import Cause
from diagnostics.diagnosing import diagnosis_of
from diagnostics.evidence import OperatingSystem
from diagnostics.incident import Confidence, DeathCertificate, Incident
from diagnostics.phase import Phase
from supervisor.cluster.hello_since import hello_since
from supervisor.cluster.unheard_deaths import unheard_deaths
from transports.cluster.handshake import PROTOCOL_VERSION, Hello, RunningRank
from transports.cluster.messages import RankDied, RankEvent, RankStarted
from transports.cluster.node_facts import NodeFacts
from transports.messages import PhaseChanged

FACTS = NodeFacts("h", OperatingSystem.LINUX, "6", "cpu", "x86_64", 2, 1, 1, "0", "3.11", None, None)
GENERATION = 4


def death(
    rank: int, node: str, cause: Cause = Cause.KILLED_NO_STDERR, generation: int = GENERATION
) -> DeathCertificate:
    diagnosis = diagnosis_of(cause, Confidence.CERTAIN, "was told apart")
    return DeathCertificate(rank, generation, node, 100 + rank, Phase.RUNNING, diagnosis, None, 1.0)


def running(rank: int, phase: Phase = Phase.RUNNING) -> RunningRank:
    return RunningRank(GENERATION, rank, 3, 100 + rank, phase, 7, "plan", "tensor", "ring")


def hello(*deaths: DeathCertificate, ranks: tuple[RunningRank, ...] = ()) -> Hello:
    return Hello(PROTOCOL_VERSION, FACTS, ranks, deaths)


def incident(generation: int, *certificates: DeathCertificate) -> Incident:
    values: dict[str, Any] = {"node": "head", "rank": None, "cause": Cause.UNKNOWN, "phase": Phase.RUNNING}
    return Incident(
        incident_id="inc-1",
        occurred_at=1.0,
        generation=generation,
        confidence=Confidence.CERTAIN,
        message="m",
        advice="a",
        retryable=True,
        certificates=certificates,
        **values,
    )


def test_deaths_of_the_last_generation_are_told_by_rank():
    hellos = {"b": hello(death(2, "b"), death(1, "b")), "a": hello(death(0, "a", generation=GENERATION - 1))}
    assert [one.rank for one in unheard_deaths(GENERATION, hellos, ())] == [1, 2]
    assert unheard_deaths(GENERATION + 1, hellos, ()) == ()
    assert unheard_deaths(GENERATION, {}, ()) == ()


def test_what_an_incident_has_told_is_not_told_again():
    hellos = {"a": hello(death(0, "a"))}
    assert unheard_deaths(GENERATION, hellos, [incident(GENERATION, death(1, "b"))]) == ()
    # One of an earlier generation, and one without a death: its head was stopped with requests in flight.
    others = [incident(GENERATION - 1, death(0, "a")), incident(GENERATION)]
    assert len(unheard_deaths(GENERATION, hellos, others)) == 1


def test_a_generation_that_a_head_ended_failed_nobody():
    asked = death(0, "a", Cause.KILLED_BY_SUPERVISOR)
    hellos = {"a": hello(asked), "b": hello(death(1, "b", Cause.EXITED_EARLY), death(2, "b", Cause.RING_PEER_CLOSED))}
    assert unheard_deaths(GENERATION, hellos, ()) == ()


def test_a_node_is_believed_about_its_own_ranks_only():
    hellos = {"a": hello(death(1, "b")), "b": hello(death(1, "b"))}
    assert len(unheard_deaths(GENERATION, hellos, ())) == 1
    assert unheard_deaths(GENERATION, {"a": hellos["a"]}, ()) == ()


def test_a_hello_follows_what_its_ranks_do():
    first = hello(ranks=(running(0), running(1)))
    idle = hello_since(first, RankEvent(GENERATION, 0, PhaseChanged(Phase.READY)))
    assert [one.phase for one in idle.running] == [Phase.READY, Phase.RUNNING]
    dead = hello_since(idle, RankDied(death(1, "a")))
    assert [one.rank for one in dead.running] == [0]
    assert dead.deaths == (death(1, "a"),)


def test_what_says_nothing_new_leaves_a_hello_as_it_is():
    first = hello(ranks=(running(0),))
    for message in (
        RankDied(death(1, "a")),
        RankDied(msgspec.structs.replace(death(0, "a"), generation=GENERATION - 1)),
        RankEvent(GENERATION, 0, PhaseChanged(Phase.RUNNING)),
        RankEvent(GENERATION, 2, PhaseChanged(Phase.READY)),
        RankStarted(GENERATION, 0, 1),
    ):
        assert hello_since(first, message) is first
