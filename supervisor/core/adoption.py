"""What a head that started again does with ranks that its nodes kept warm: adopt a whole group, or release them.

The theory. The newest generation that anybody tells of is the only one worth adopting. It is adopted when all its
ranks are there, each once, of the plan that the head would start itself, ready or at work, and none of it has died.
Anything against that, from any node, is final: its ranks are released, and so are all older ones at once. Without
anything against it an incomplete group waits for the nodes that have not said hello yet, until `adoption_wait_s`.

The decision is made when every expected node has said hello, or the wait is over. So the order of hellos does not
matter, and no late hello can turn an adopted group into a doubled one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from diagnostics.phase import SERVING_PHASES
from transports.cluster.handshake import Hello, RunningRank


class Plan(msgspec.Struct, frozen=True):
    """What the head would start: `name` as in `StartRank.plan`. `nodes` are those that may hold ranks of it.

    `world_size` None takes a group of any size, as it was placed.
    """

    name: str
    world_size: int | None
    nodes: frozenset[str]


# --- inputs ---


class NodeHello(msgspec.Struct, frozen=True, tag=True):
    """A node that was let in told what it runs; its last word counts."""

    node: str
    hello: Hello


class NodeGone(msgspec.Struct, frozen=True, tag=True):
    """A node that had said hello is lost again."""

    node: str


class Tick(msgspec.Struct, frozen=True, tag=True):
    """Time has passed; to be sent when `deadline` is reached."""


AdoptionInput = NodeHello | NodeGone | Tick


# --- actions ---


class NodeRank(msgspec.Struct, frozen=True):
    """A rank where it runs."""

    node: str
    running: RunningRank


class Adopt(msgspec.Struct, frozen=True, tag=True):
    """Go on with this generation. `ranks` is complete and in order."""

    generation: int
    ranks: tuple[NodeRank, ...]


class StartAnew(msgspec.Struct, frozen=True, tag=True):
    """Nothing can be adopted: start `generation`, once what was released is gone."""

    generation: int


class WaitForNodes(msgspec.Struct, frozen=True, tag=True):
    """Not decided: these nodes may still tell of ranks."""

    nodes: tuple[str, ...]


class Release(msgspec.Struct, frozen=True, tag=True):
    """End this rank. `reason` is a clause for the log."""

    node: str
    running: RunningRank
    reason: str


_OLD = "it belongs to an old generation"

AdoptionAction = Adopt | StartAnew | WaitForNodes | Release


class Adoption:
    """The machine, for the first minutes of one head. Monotonic `now` in seconds.

    After the decision it answers hellos with what they would have to release; whoever fences nodes need not ask it.

    Args:
        plan: What the head would start.
        started_at: When the head began to listen.
        adoption_wait_s: How long it waits for nodes.
        last_generation: The newest that the head itself remembers, 0 for none: what is older is not worth adopting.
    """

    def __init__(
        self, plan: Plan, *, started_at: float, adoption_wait_s: float = 10.0, last_generation: int = 0
    ) -> None:
        self._plan = plan
        self.deadline: float | None = started_at + adoption_wait_s
        self.decision: Adopt | StartAnew | None = None
        self.next_generation = last_generation + 1
        self._hellos: dict[str, Hello] = {}
        self._dead: set[int] = set()
        self._objected = "another process of its rank was adopted"

    def handle(self, adoption_input: AdoptionInput, now: float) -> Sequence[AdoptionAction]:
        """Take one input; return what to do about it, in order."""
        match adoption_input:
            case NodeHello(node, hello):
                self._note(hello)
                if self.decision is not None:
                    return self._release([NodeRank(node, one) for one in hello.running])
                self._hellos[node] = hello
            case NodeGone(node):
                self._hellos.pop(node, None)
            case Tick():
                pass
        if self.decision is not None:
            return ()
        missing = tuple(sorted(self._plan.nodes - self._hellos.keys()))
        if missing and self.deadline is not None and now < self.deadline:
            return (WaitForNodes(missing),)
        return self._decide()

    def _note(self, hello: Hello) -> None:
        died = {one.generation for one in hello.deaths}
        self._dead |= died
        newest = max([*died, *(one.generation for one in hello.running)], default=0)
        self.next_generation = max(self.next_generation, newest + 1)

    def _decide(self) -> Sequence[AdoptionAction]:
        found = [NodeRank(node, one) for node in sorted(self._hellos) for one in self._hellos[node].running]
        newest = self.next_generation - 1
        group = sorted((one for one in found if one.running.generation == newest), key=lambda one: one.running.rank)
        objection = self._objection(newest, group)
        self.deadline = None
        if objection is None:
            self.decision = Adopt(newest, tuple(group))
        else:
            self.decision = StartAnew(self.next_generation)
            self._objected = objection
        return (*self._release(found), self.decision)

    def _objection(self, generation: int, group: Sequence[NodeRank]) -> str | None:
        """Why this generation cannot be adopted."""
        if not group:
            return "its group is not complete"
        if generation in self._dead:
            return "a rank of its generation has died"
        if any(one.running.plan != self._plan.name for one in group):
            return "it belongs to another plan"
        ranks = Counter(one.running.rank for one in group)
        world_size = self._plan.world_size or group[0].running.world_size
        if any(one.running.world_size != world_size for one in group) or not _within(ranks, world_size):
            return "its group has another size"
        if len({(one.running.parallel, one.running.backend) for one in group}) > 1:
            return "its ranks were not started together"
        if max(ranks.values()) > 1:
            return "two processes run the same rank"
        if any(one.running.phase not in SERVING_PHASES for one in group):
            return "its group was not ready"
        return None if len(ranks) == world_size else "its group is not complete"

    def _release(self, found: Iterable[NodeRank]) -> tuple[Release, ...]:
        """What the decision has no use for; not what a start after it put there."""
        match self.decision:
            case Adopt(generation, adopted):
                newest, kept = generation, {_identity(one) for one in adopted}
            case StartAnew(generation):
                newest, kept = generation - 1, set[tuple[str, int, int, int]]()
            case None:
                return ()
        return tuple(
            Release(one.node, one.running, _OLD if one.running.generation < newest else self._objected)
            for one in found
            if one.running.generation <= newest and _identity(one) not in kept
        )


def _identity(one: NodeRank) -> tuple[str, int, int, int]:
    return one.node, one.running.generation, one.running.rank, one.running.pid


def _within(ranks: Iterable[int], world_size: int) -> bool:
    return all(0 <= rank < world_size for rank in ranks)
