"""The check before a start: real listeners and connections of several nodes on one machine."""

import errno
import sys
import time
from collections.abc import Callable

import anyio
import pytest

from diagnostics.errno_tables import errno_name
from diagnostics.evidence import OperatingSystem
from supervisor.cluster.preflight import PreflightLimits, check_ring
from supervisor.cluster.probes import Probes
from supervisor.core.placement import Placed
from supervisor.core.rank_places import RankPlace
from transports.cluster.node_facts import NodeFacts
from transports.cluster.requests import (
    EdgeProbed,
    NodeAnswer,
    NodeRequest,
    OpenProbe,
    ProbeEdge,
    ProbeOpened,
    RequestFailed,
)

pytestmark = pytest.mark.anyio

OUR_SYSTEM = OperatingSystem.DARWIN if sys.platform == "darwin" else OperatingSystem.LINUX
ADDRESSES = ("127.0.0.1",) * 3 if sys.platform == "darwin" else ("127.0.0.1", "127.0.0.2", "127.0.0.3")
Answers = dict[str, Callable[[NodeRequest], NodeAnswer | None]]


def facts(system: OperatingSystem = OUR_SYSTEM) -> NodeFacts:
    return NodeFacts("host", system, "26.2", "chip", "arm64", 8, 1, 1, "0.1.0", "3.11", None, None)


def group(addresses: tuple[str, ...] = ADDRESSES) -> Placed:
    places = tuple(RankPlace(rank, "abcdefghij"[rank], (address,)) for rank, address in enumerate(addresses))
    return Placed(places, "tensor", "ring", "")


class Nodes:
    """Real nodes; `instead` lets one answer something else, or never when it returns None."""

    def __init__(self, placed: Placed, instead: Answers | None = None) -> None:
        self.probes = {node: Probes() for node in placed.nodes}
        self.asked: list[NodeRequest] = []
        self._instead = instead or {}

    async def request(self, node: str, request: NodeRequest, deadline_s: float) -> NodeAnswer:
        self.asked.append(request)
        with anyio.move_on_after(deadline_s):
            if node in self._instead:
                answer = self._instead[node](request)
                if answer is None:
                    await anyio.sleep_forever()
                else:
                    return answer
            if isinstance(request, OpenProbe):
                return await self.probes[node].open(request)
            assert isinstance(request, ProbeEdge)
            return await self.probes[node].probe(request)
        return RequestFailed(f"the node did not answer within {deadline_s:g} s")


async def check(placed: Placed, nodes: Nodes, limits: PreflightLimits | None = None):
    return await check_ring(
        nodes.request, placed, {node: facts() for node in placed.nodes}, limits or PreflightLimits()
    )


async def test_a_ring_that_works_is_checked_in_a_moment(nothing_left_behind: None) -> None:
    del nothing_left_behind
    nodes = Nodes(group())
    began = time.monotonic()
    assert await check(group(), nodes) == ()
    assert time.monotonic() - began < 1.0
    assert sum(isinstance(each, ProbeEdge) for each in nodes.asked) == 6
    for probes in nodes.probes.values():
        with anyio.fail_after(5):
            await probes.until_closed()


async def test_an_address_that_a_node_does_not_have_is_named_with_its_errno() -> None:
    placed = group((*ADDRESSES[:2], "192.0.2.7"))
    failures = await check(placed, Nodes(placed))
    number = errno.EADDRNOTAVAIL
    system = "macOS" if OUR_SYSTEM == OperatingSystem.DARWIN else "Linux"
    words = f"errno {number} (EADDRNOTAVAIL, the address is not on this host) on {system}"
    assert [each.sentence for each in failures] == [f"Node c cannot listen at 192.0.2.7: {words}."] * 2
    assert {(each.node, each.rank) for each in failures} == {("c", 2)}


async def test_a_refused_hop_is_named_and_the_others_are_not() -> None:
    def closed_port(request: NodeRequest) -> NodeAnswer | None:
        return ProbeOpened(1) if isinstance(request, OpenProbe) else EdgeProbed()

    failures = await check(group(), Nodes(group(), {"b": closed_port}))
    assert [(each.edge.from_node, each.edge.to_node) for each in failures] == [("a", "b"), ("c", "b")]
    assert all(each.errno is not None and errno_name(each.errno, OUR_SYSTEM) == "ECONNREFUSED" for each in failures)
    assert failures[0].sentence.startswith(f"Node a cannot connect to node b at {ADDRESSES[1]}: errno ")
    assert "firewall" in failures[0].remedy


async def test_errnos_are_those_of_the_node_that_tells_them() -> None:
    def unreachable(request: NodeRequest) -> NodeAnswer | None:
        return EdgeProbed(errno=65) if isinstance(request, ProbeEdge) else ProbeOpened(1)

    placed = group(ADDRESSES[:2])
    systems = {"a": facts(), "b": facts(OperatingSystem.DARWIN)}
    failures = await check_ring(Nodes(placed, {"b": unreachable}).request, placed, systems)
    assert "errno 65 (EHOSTUNREACH, no route to the host) on macOS" in failures[1].sentence


async def test_a_node_that_stays_silent_costs_its_deadline_and_no_more() -> None:
    limits = PreflightLimits(connect_s=0.2, answer_s=0.2)
    began = time.monotonic()
    failures = await check(group(), Nodes(group(), {"b": lambda _: None}), limits)
    assert time.monotonic() - began < 3.0
    assert {(each.edge.from_node, each.edge.to_node) for each in failures} == {
        ("a", "b"),
        ("b", "a"),
        ("b", "c"),
        ("c", "b"),
    }
    assert "took no part in the check (the node did not answer within 0.2 s)" in failures[0].sentence


async def test_everything_together_is_bounded() -> None:
    limits = PreflightLimits(connect_s=60, answer_s=60, total_s=0.3)
    began = time.monotonic()
    failures = await check(group(), Nodes(group(), {node: lambda _: None for node in "abc"}), limits)
    assert time.monotonic() - began < 3.0
    assert len(failures) == 6
    assert "no result within 0.3 s" in failures[0].sentence


async def test_answers_that_make_no_sense_are_failures() -> None:
    failures = await check(group(), Nodes(group(), {"c": lambda _: RequestFailed("no"), "b": lambda _: EdgeProbed()}))
    assert any("(no)" in each.sentence for each in failures)
    assert any("answered with EdgeProbed" in each.sentence for each in failures)
    assert all(each.remedy for each in failures)


async def test_one_rank_is_not_checked() -> None:
    placed = Placed((RankPlace(0, "a", ("127.0.0.1",)),), "tensor", "none", "")
    nodes = Nodes(placed)
    assert await check(placed, nodes) == ()
    assert nodes.asked == []
