"""Adoption: a whole group of the newest generation or nothing, whatever the order of hellos."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.evidence import OperatingSystem
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis
from diagnostics.phase import SERVING_PHASES, Phase
from supervisor.core.adoption import (
    Adopt,
    Adoption,
    AdoptionAction,
    NodeGone,
    NodeHello,
    NodeRank,
    Plan,
    Release,
    StartAnew,
    Tick,
    WaitForNodes,
)
from transports.cluster.handshake import PROTOCOL_VERSION, Hello, RunningRank
from transports.cluster.node_facts import NodeFacts

FACTS = NodeFacts("h", OperatingSystem.LINUX, "6", "cpu", "x86_64", 2, 1, 1, "0", "3.11", None, None)
PLAN = Plan("tiny/3", 3, frozenset("abc"))
NO_DIAGNOSIS = Diagnosis(Cause.UNKNOWN, Confidence.POSSIBLE, "x", "y", retryable=True, peer_loss=False)


def running(rank: int, generation: int = 4, **more: Any) -> RunningRank:
    values: dict[str, Any] = {"world_size": 3, "pid": 100 + rank, "phase": Phase.RUNNING, "step": 7, "plan": PLAN.name}
    return RunningRank(generation, rank, **(values | {"parallel": "tensor", "backend": "ring"} | more))


def hello(*ranks: RunningRank, died: tuple[int, ...] = ()) -> Hello:
    deaths = tuple(
        DeathCertificate(0, generation, "a", 1, Phase.RUNNING, NO_DIAGNOSIS, None, 1.0) for generation in died
    )
    return Hello(PROTOCOL_VERSION, FACTS, ranks, deaths)


def adoption(**more: Any) -> Adoption:
    return Adoption(PLAN, started_at=0.0, adoption_wait_s=10.0, **more)


def tell(machine: Adoption, hellos: dict[str, Hello], now: float = 1.0) -> list[AdoptionAction]:
    return [action for node, one in hellos.items() for action in machine.handle(NodeHello(node, one), now)]


WHOLE = {"a": hello(running(0)), "b": hello(running(1)), "c": hello(running(2))}


def test_a_whole_group_is_adopted_when_the_last_node_has_told() -> None:
    machine = adoption()
    assert tell(machine, WHOLE) == [
        WaitForNodes(("b", "c")),
        WaitForNodes(("c",)),
        Adopt(4, tuple(NodeRank(node, running(rank)) for rank, node in enumerate("abc"))),
    ]
    assert (machine.deadline, machine.next_generation) == (None, 5)
    assert machine.handle(Tick(), 99.0) == ()


def test_a_group_on_fewer_nodes_than_expected_is_adopted_after_the_wait() -> None:
    machine = adoption()
    tell(machine, {"a": hello(running(0), running(1)), "b": hello(running(2, phase=Phase.READY))})
    assert machine.handle(Tick(), 9.9) == (WaitForNodes(("c",)),)
    (adopted,) = machine.handle(Tick(), 10.0)
    assert isinstance(adopted, Adopt)
    assert [one.node for one in adopted.ranks] == ["a", "a", "b"]


def test_an_incomplete_group_is_released_after_the_wait() -> None:
    machine = adoption()
    tell(machine, {"a": hello(running(0)), "b": hello(running(1))})
    *released, decision = machine.handle(Tick(), 10.0)
    assert decision == StartAnew(5)
    assert released == [
        Release("a", running(0), "its group is not complete"),
        Release("b", running(1), "its group is not complete"),
    ]
    assert tell(machine, {"c": hello(running(2))}) == [Release("c", running(2), "its group is not complete")]


@pytest.mark.parametrize(("world_size", "is_adopted"), [(3, True), (2, False), (4, False), (0, False), (-3, False)])
def test_a_group_whose_size_was_left_to_the_placement_is_adopted_whole(world_size: int, is_adopted: bool) -> None:
    machine = Adoption(Plan(PLAN.name, None, PLAN.nodes), started_at=0.0)
    hellos = {node: hello(running(rank, world_size=world_size)) for rank, node in enumerate("abc")}
    assert isinstance(tell(machine, hellos)[-1], Adopt) == is_adopted


def test_nothing_runs_anywhere() -> None:
    assert tell(adoption(), {node: hello() for node in "abc"})[-1] == StartAnew(1)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (hello(running(2, plan="other")), "it belongs to another plan"),
        (hello(running(2, world_size=4)), "its group has another size"),
        (hello(running(3)), "its group has another size"),
        (hello(running(2, backend="jaccl")), "its ranks were not started together"),
        (hello(running(1)), "two processes run the same rank"),
        (hello(running(2), running(2, pid=9)), "two processes run the same rank"),
        (hello(running(2, phase=Phase.LOADING)), "its group was not ready"),
        (hello(running(2), died=(4,)), "a rank of its generation has died"),
        (hello(), "its group is not complete"),
    ],
)
def test_whatever_speaks_against_it_releases_all(odd: Hello, reason: str) -> None:
    *released, decision = tell(adoption(), WHOLE | {"c": odd})[2:]
    assert decision == StartAnew(5)
    assert {one.reason for one in released if isinstance(one, Release)} == {reason}
    assert len(released) == 2 + len(odd.running)


def test_old_ranks_are_released_beside_the_adopted_group() -> None:
    old = running(2, generation=3, pid=55)
    *released, decision = tell(adoption(), WHOLE | {"c": hello(running(2), old)})[2:]
    assert isinstance(decision, Adopt)
    assert released == [Release("c", old, "it belongs to an old generation")]


def test_a_newer_death_makes_a_whole_group_old() -> None:
    *released, decision = tell(adoption(), WHOLE | {"c": hello(running(2), died=(6,))})[2:]
    assert decision == StartAnew(7)
    assert len(released) == 3


def test_the_head_s_own_memory_makes_a_whole_group_old() -> None:
    assert tell(adoption(last_generation=5), WHOLE)[-1] == StartAnew(6)
    assert isinstance(tell(adoption(last_generation=4), WHOLE)[-1], Adopt)


def test_a_node_that_is_lost_while_we_wait_does_not_count() -> None:
    machine = adoption()
    tell(machine, {"a": WHOLE["a"], "b": WHOLE["b"]})
    machine.handle(NodeGone("b"), 2.0)
    assert tell(machine, {"c": WHOLE["c"]}) == [WaitForNodes(("b",))]
    assert isinstance(tell(machine, {"b": WHOLE["b"]})[-1], Adopt)


def test_hellos_after_the_adoption_release_only_what_was_not_adopted() -> None:
    machine = adoption()
    tell(machine, WHOLE)
    assert tell(machine, WHOLE) == []
    stranger = running(1, pid=999)
    assert tell(machine, {"d": hello(stranger)}) == [Release("d", stranger, "another process of its rank was adopted")]


def test_hellos_after_a_new_start_do_not_release_what_was_started() -> None:
    machine = adoption()
    tell(machine, {node: hello() for node in "abc"})
    assert tell(machine, {"a": hello(running(0, generation=1))}) == []


RANKS = st.builds(
    running,
    st.integers(0, 3),
    st.sampled_from([3, 4, 4, 4, 5]),
    world_size=st.sampled_from([3, 3, 3, 4]),
    plan=st.sampled_from([PLAN.name] * 4 + ["other"]),
    phase=st.sampled_from([Phase.READY, Phase.RUNNING, Phase.RUNNING, Phase.LOADING]),
    pid=st.integers(1, 3),
)
ODD = st.builds(
    lambda ranks, died: hello(*ranks, died=tuple(died)),
    st.lists(RANKS, max_size=3),
    st.lists(st.integers(3, 5), max_size=1),
)
HELLOS = st.one_of(
    st.fixed_dictionaries(dict.fromkeys("abc", ODD)),
    st.builds(lambda node, odd: WHOLE | {node: odd}, st.sampled_from("abc"), ODD),
    st.builds(lambda extra: WHOLE | {"b": hello(running(1), extra)}, RANKS),
)


@settings(deadline=None)
@given(HELLOS.flatmap(lambda one: st.tuples(st.just(one), st.permutations(list(one)))), st.booleans(), st.booleans())
def test_the_order_of_hellos_does_not_matter_and_no_half_group_is_adopted(
    case: tuple[dict[str, Hello], list[str]], told_twice: bool, any_size: bool
) -> None:
    hellos, order = case
    outcomes: list[list[AdoptionAction]] = []
    for names in (list(hellos), order):
        machine = Adoption(Plan(PLAN.name, None if any_size else 3, PLAN.nodes), started_at=0.0)
        heard = {name: hellos[name] for name in names}
        if told_twice:
            machine.handle(NodeHello(names[0], hellos[names[0]]), 1.0)
        outcomes.append([one for one in tell(machine, heard) if not isinstance(one, WaitForNodes)])
        assert machine.next_generation > max(
            (one.generation for name in names for one in hellos[name].running), default=0
        )
    assert outcomes[0] == outcomes[1]
    *released, decision = outcomes[0]
    everything = sorted(str(NodeRank(node, one)) for node, one in hellos.items() for one in hellos[node].running)
    adopted = decision.ranks if isinstance(decision, Adopt) else ()
    gone = [NodeRank(one.node, one.running) for one in released if isinstance(one, Release)]
    assert sorted(map(str, (*adopted, *gone))) == everything, "each is adopted or released, none is both"
    if isinstance(decision, Adopt):
        assert [one.running.rank for one in adopted] == list(range(adopted[0].running.world_size))
        assert {(one.running.generation, one.running.plan) for one in adopted} == {(decision.generation, PLAN.name)}
        assert all(one.running.phase in SERVING_PHASES for one in adopted)
