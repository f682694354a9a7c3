"""Who is there, and whose word counts about which rank."""

import pytest

from diagnostics.cause import Cause
from diagnostics.incident import Confidence
from supervisor.cluster.cluster_start import configure_rank
from supervisor.cluster.remote_rank import RemoteRank
from supervisor.cluster.roster import Roster
from tests.supervisor.cluster.lines import FakeLine, HeardRunners, certificate, hello
from tests.supervisor.cluster.specs import spec
from transports.cluster.messages import RankDied, RankEvent, StartRank
from transports.progress import Progress

pytestmark = pytest.mark.anyio


def rank_on(node: str, rank: int, generation: int = 1) -> RemoteRank:
    start = StartRank(configure_rank(spec(), "tiny", generation, rank), {}, {}, "plan")
    return RemoteRank(start, FakeLine(node), HeardRunners())


async def ended(rank: RemoteRank) -> Cause:
    return (await rank.run()).diagnosis.cause


def two_nodes() -> tuple[Roster, RemoteRank, RemoteRank, list[str]]:
    roster, changes = Roster(node_return_s=10.0), list[str]()
    roster.on_change(lambda: changes.append("changed"))
    roster.came("a", hello(1), ())
    roster.came("b", hello(2), ())
    on_a, on_b = rank_on("a", 0), rank_on("b", 1)
    roster.expect([on_a, on_b])
    return roster, on_a, on_b, changes


async def test_a_lost_node_takes_its_ranks_and_nobody_elses() -> None:
    roster, on_a, on_b, changes = two_nodes()
    roster.lost("b", "it was silent", is_certain=False)
    assert not on_a.is_over
    certified = await on_b.run()
    assert (certified.diagnosis.cause, certified.node) == (Cause.NODE_LOST, "b")
    assert certified.diagnosis.confidence is Confidence.LIKELY
    assert len(changes) == 3
    roster.lost("b", "again")
    assert len(changes) == 3
    assert [candidate.alive for candidate in roster.candidates()] == [True, False]


async def test_a_new_session_means_that_what_ran_before_is_gone() -> None:
    roster, on_a, on_b, _ = two_nodes()
    roster.came("b", hello(2), ())
    assert await ended(on_b) is Cause.NODE_LOST
    assert not on_a.is_over


async def test_a_new_session_that_tells_of_a_death_is_believed() -> None:
    roster, _, on_b, _ = two_nodes()
    roster.came("b", hello(2, deaths=(certificate(1, node="b"),)), ())
    assert await ended(on_b) is Cause.SEGFAULT


async def test_a_node_is_believed_about_its_own_ranks_only() -> None:
    roster, on_a, on_b, _ = two_nodes()
    roster.tell("b", RankDied(certificate(0, node="a")))
    roster.tell("b", RankEvent(1, 0, Progress(5)))
    assert not on_a.is_over
    assert on_a.step == 0
    assert roster.stale_messages == 2
    roster.tell("a", RankDied(certificate(0, node="somebody else's")))
    assert (await on_a.run()).node == "a"
    assert not on_b.is_over


async def test_what_is_of_an_old_generation_is_dropped() -> None:
    roster, on_a, _, _ = two_nodes()
    newer = rank_on("a", 0, generation=2)
    roster.tell("a", RankDied(certificate(0)))
    roster.expect([newer])
    roster.expect([rank_on("a", 0, generation=3)])
    roster.tell("a", RankEvent(1, 0, Progress(9)))
    assert (on_a.step, roster.stale_messages, roster.generation) == (0, 1, 3)


async def test_the_generation_before_may_still_learn_how_it_died() -> None:
    roster, _, on_b, _ = two_nodes()
    roster.lost("b", "it was silent")
    assert await ended(on_b) is Cause.NODE_LOST
    roster.expect([rank_on("a", 0, generation=2)])
    roster.came("b", hello(2, deaths=(certificate(1, node="b"),)), ())
    late = await on_b.late_certificate()
    assert late is not None
    assert late.diagnosis.cause is Cause.SEGFAULT


def test_a_lost_node_is_expected_for_a_while_and_its_end_is_a_change() -> None:
    roster, changes = Roster(node_return_s=10.0), list[str]()
    roster.came("a", hello(1), ())
    roster.lost("a", "it was silent")
    roster.on_change(lambda: changes.append("changed"))
    (entry,) = roster.entries()
    assert entry.lost_at is not None
    assert roster.awaited(entry.lost_at + 9.9) == (entry,)
    assert roster.awaited(entry.lost_at + 10.1) == ()
    roster.tick(entry.lost_at + 9.9)
    assert changes == []
    roster.tick(entry.lost_at + 10.1)
    roster.tick(entry.lost_at + 10.2)
    assert changes == ["changed"]
