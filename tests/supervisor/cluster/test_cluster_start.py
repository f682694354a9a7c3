"""What a head does before a generation starts, and which rank or node it names when that fails."""

from collections.abc import Mapping

import pytest

from diagnostics.cause import Cause
from supervisor.cluster.cluster_start import ClusterStarter, StartLimits
from supervisor.cluster.remote_rank import RemoteRank
from supervisor.cluster.roster import Roster
from supervisor.core.rank_places import PlacementWish
from supervisor.generation_start import CannotPlace, CannotStart, Earlier, PreparedGeneration
from supervisor.observers import RunnerObserver
from tests.supervisor.cluster.lines import GIBIBYTE, TINY, FakeLine, HeardRunners, hello, lines
from tests.supervisor.cluster.specs import spec
from transports.cluster.messages import StartRank
from transports.cluster.requests import (
    EdgeProbed,
    ModelPrepared,
    NodeAnswer,
    PrepareModel,
    ProbeEdge,
    RequestFailed,
    ReservePorts,
    VerifiedGone,
    VerifyGone,
)

pytestmark = pytest.mark.anyio


async def nothing(observer: RunnerObserver) -> Earlier:
    del observer
    return Earlier()


class Cluster:
    """A starter over nodes a, b, c that answer as the test wants."""

    def __init__(self, wish: PlacementWish, node_return_s: float = 0.0, **answers: Mapping[type, NodeAnswer]) -> None:
        self.roster = Roster(node_return_s)
        self.lines: dict[str, FakeLine]
        self.lines, line = lines("a", "b", "c", **answers)
        self.starter = ClusterStarter(
            spec=spec(), model="tiny", wish=wish, roster=self.roster, line=line, takeover=nothing, limits=StartLimits()
        )

    def join(self, *nodes: str) -> None:
        for number, node in enumerate(nodes, start=1):
            self.roster.came(node, hello(number), ())

    async def prepare(self, generation: int = 1) -> PreparedGeneration:
        return await self.starter.prepare(generation, HeardRunners())

    def starts(self, prepared: PreparedGeneration) -> list[StartRank]:
        for handle in prepared.ranks:
            assert isinstance(handle, RemoteRank)
            handle._line.order(handle._start)
        return [order for line in self.lines.values() for order in line.orders if isinstance(order, StartRank)]


ABC = PlacementWish(nodes=("a", "b", "c"), ranks=4, parallel="tensor", backend="ring")
AB = PlacementWish(nodes=("a", "b"), parallel="tensor", backend="ring")


async def test_every_node_is_clean_has_the_model_and_finds_ports_before_any_rank_starts() -> None:
    cluster = Cluster(ABC)
    cluster.join("a", "b", "c")
    prepared = await cluster.prepare(generation=7)
    assert (prepared.spec.world_size, prepared.spec.backend) == (4, "ring")
    assert [handle.node for handle in prepared.ranks] == ["a", "a", "b", "c"]
    for line in cluster.lines.values():
        assert line.orders == []
        kinds = [type(request) for request in line.requests]
        assert kinds[:2] == [VerifyGone, PrepareModel]
        assert kinds[-1] is ReservePorts
        assert ProbeEdge in kinds
        assert line.requests[0] == VerifyGone(7)
    starts = cluster.starts(prepared)
    assert [(one.configure.rank, one.configure.generation, one.configure.model) for one in starts] == [
        (rank, 7, "tiny") for rank in range(4)
    ]
    assert len({one.files["hosts.json"] for one in starts}) == 1


async def test_a_named_node_that_is_not_there_is_named() -> None:
    cluster = Cluster(ABC)
    with pytest.raises(CannotPlace, match="a, b, c"):
        await cluster.prepare()
    cluster.join("a", "b")
    with pytest.raises(CannotPlace, match="Node c"):
        await cluster.prepare()


async def test_a_lost_node_is_waited_for_and_then_done_without() -> None:
    cluster = Cluster(AB, node_return_s=3600.0)
    cluster.join("a", "b")
    await cluster.prepare(1)
    cluster.roster.lost("b", "it was silent")
    with pytest.raises(CannotPlace, match="lost node b"):
        await cluster.prepare(2)
    short = Cluster(AB, node_return_s=0.0)
    short.join("a", "b")
    await short.prepare(1)
    short.roster.lost("b", "it was silent")
    prepared = await short.prepare(2)
    assert ([handle.node for handle in prepared.ranks], prepared.spec.backend) == (["a"], "none")


async def test_a_node_that_was_never_there_is_not_done_without() -> None:
    cluster = Cluster(AB)
    cluster.join("a")
    for _ in range(2):
        with pytest.raises(CannotPlace, match="Node b"):
            await cluster.prepare()


async def test_a_node_with_living_processes_of_before_stops_the_start() -> None:
    cluster = Cluster(AB, b={VerifyGone: VerifiedGone((4711,), GIBIBYTE)})
    cluster.join("a", "b")
    with pytest.raises(CannotPlace, match=r"Node b cannot end the processes 4711"):
        await cluster.prepare()


async def test_a_node_that_does_not_say_that_it_is_clean_is_lost() -> None:
    cluster = Cluster(AB, b={VerifyGone: RequestFailed("it did not answer within 10 s")})
    cluster.join("a", "b")
    with pytest.raises(CannotPlace):
        await cluster.prepare()
    assert not cluster.roster.is_here("b")


async def test_a_node_without_the_model_is_told_with_its_reason() -> None:
    failed = RequestFailed("the model 'tiny' cannot be used: no config.json", "Check the path")
    cluster = Cluster(AB, a={PrepareModel: failed}, b={PrepareModel: failed})
    cluster.join("a", "b")
    with pytest.raises(CannotPlace, match=r"Node a cannot prepare the model: .*no config.json.*Check the path"):
        await cluster.prepare()


async def test_a_model_that_does_not_fit_is_told_with_what_is_missing() -> None:
    huge = ModelPrepared("huge", "digest", 10**12, layers=4, attention_heads=4, key_value_heads=4)
    cluster = Cluster(AB, a={PrepareModel: huge}, b={PrepareModel: huge})
    cluster.join("a", "b")
    with pytest.raises(CannotPlace, match="GiB"):
        await cluster.prepare()


async def test_an_edge_that_cannot_be_connected_names_the_rank_the_hop_and_the_errno() -> None:
    cluster = Cluster(AB, a={ProbeEdge: EdgeProbed(errno=111)})
    cluster.join("a", "b")
    with pytest.raises(CannotStart) as failed:
        await cluster.prepare(3)
    to_blame, other = failed.value.certificates
    assert (to_blame.rank, to_blame.node, to_blame.generation) == (0, "a", 3)
    assert to_blame.diagnosis.cause is Cause.RING_CONNECT_FAILED
    assert "127.0.0.2" in to_blame.diagnosis.message
    assert "ECONNREFUSED" in to_blame.diagnosis.message
    assert other.diagnosis.cause is Cause.KILLED_BY_SUPERVISOR


async def test_a_node_without_ports_is_named() -> None:
    cluster = Cluster(AB, b={ReservePorts: RequestFailed("address not available", errno=99)})
    cluster.join("a", "b")
    with pytest.raises(CannotStart) as failed:
        await cluster.prepare()
    blamed = [one for one in failed.value.certificates if one.diagnosis.cause is Cause.RING_BIND_FAILED]
    assert [(one.rank, one.node) for one in blamed] == [(1, "b")]
    assert "127.0.0.2" in blamed[0].diagnosis.message


async def test_the_model_is_prepared_once_for_each_session() -> None:
    cluster = Cluster(AB)
    cluster.join("a", "b")
    await cluster.prepare(1)
    await cluster.prepare(2)
    assert [type(request) for request in cluster.lines["a"].requests].count(PrepareModel) == 1
    assert cluster.roster.entries()[0].model == TINY


async def test_a_node_that_comes_during_a_start_is_cleaned_and_has_the_model_too() -> None:
    for moment in (VerifyGone, PrepareModel):
        cluster = Cluster(AB)
        cluster.join("a")
        cluster.lines["a"].meanwhile[moment] = lambda cluster=cluster: cluster.join("b")
        prepared = await cluster.prepare(3)
        assert [handle.node for handle in prepared.ranks] == ["a", "b"]
        requests = cluster.lines["b"].requests
        assert VerifyGone(3) in requests
        assert PrepareModel("tiny") in requests


async def test_a_node_that_comes_too_late_for_a_place_is_cleaned_all_the_same() -> None:
    cluster = Cluster(PlacementWish(nodes=("a",)))
    cluster.join("a")
    cluster.lines["a"].meanwhile[PrepareModel] = lambda: cluster.join("c")
    prepared = await cluster.prepare(3)
    assert [handle.node for handle in prepared.ranks] == ["a"]
    assert cluster.lines["c"].requests == [VerifyGone(3)], "what an earlier head started there has to go, too"


async def test_a_rank_whose_node_is_lost_during_the_start_is_dead_from_the_beginning() -> None:
    cluster = Cluster(AB)
    cluster.join("a", "b")
    cluster.lines["a"].meanwhile[ReservePorts] = lambda: cluster.roster.lost("b", "it was silent")
    prepared = await cluster.prepare()
    certificate = await prepared.ranks[1].run()
    assert certificate.diagnosis.cause is Cause.NODE_LOST
    assert "it was silent" in certificate.diagnosis.message
    assert not isinstance(prepared.ranks[0], RemoteRank) or not prepared.ranks[0].is_over
