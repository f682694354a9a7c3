"""What a head that was started again finds on its nodes: a group to go on with, or a number to start after."""

import time
from collections.abc import Callable, Sequence

import anyio
import msgspec
from loguru import logger

from diagnostics.incident import Incident
from supervisor.cluster.cluster_start import configure_rank
from supervisor.cluster.line import Line
from supervisor.cluster.remote_rank import RemoteRank
from supervisor.cluster.roster import Roster
from supervisor.cluster.unheard_deaths import unheard_deaths
from supervisor.core.adoption import Adopt, Adoption, NodeGone, NodeHello, Plan, Release, StartAnew, Tick
from supervisor.generation_start import Earlier, PreparedGeneration
from supervisor.launch import GroupSpec
from supervisor.observers import RunnerObserver
from transports.cluster.handshake import Hello
from transports.cluster.messages import StartRank


class Takeover:
    """Used once, from the event loop.

    Args:
        spec: The group that the head would start.
        plan: What its ranks would be told, and where they may be.
        model: What nodes are told to have on their disk.
        roster: The nodes.
        line: Gives a node's line.
        last_generation: The newest that this head remembers.
        incidents: Those that are known, newest first.
        wait_s: How long nodes may take to tell what they run.
    """

    def __init__(
        self,
        *,
        spec: GroupSpec,
        plan: Plan,
        model: str,
        roster: Roster,
        line: Callable[[str], Line],
        last_generation: int,
        incidents: Callable[[], Sequence[Incident]],
        wait_s: float,
    ) -> None:
        self._spec = spec
        self._plan = plan
        self._model = model
        self._roster = roster
        self._line = line
        self._incidents = incidents
        self._adoption = Adoption(
            plan, started_at=time.monotonic(), adoption_wait_s=wait_s, last_generation=last_generation
        )
        self._heard: dict[str, Hello] = {}

    async def find(self, observer: RunnerObserver) -> Earlier:
        """Wait until the nodes have told, or long enough; then decide."""
        while True:
            decision = self._decide()
            if isinstance(decision, StartAnew):
                last = decision.generation - 1
                return Earlier(last, deaths=unheard_deaths(last, self._heard, self._incidents()))
            if isinstance(decision, Adopt):
                return self._adopt(decision, observer)
            deadline = self._adoption.deadline or time.monotonic()
            with anyio.move_on_after(max(0.0, deadline - time.monotonic())):
                await self._roster.changed()

    def _decide(self) -> Adopt | StartAnew | None:
        now = time.monotonic()
        for entry in self._roster.entries():
            if not entry.is_here and self._heard.pop(entry.name, None) is not None:
                self._tell(NodeGone(entry.name), now)
            elif entry.is_here and self._heard.get(entry.name) is not entry.hello:
                self._heard[entry.name] = entry.hello
                self._tell(NodeHello(entry.name, entry.hello), now)
        self._tell(Tick(), now)
        return self._adoption.decision

    def _tell(self, told: NodeHello | NodeGone | Tick, now: float) -> None:
        for action in self._adoption.handle(told, now):
            if isinstance(action, Release):
                # Before the next start every node ends what is older, and says when it is gone.
                known = action.running
                logger.info(
                    "rank {} of generation {} on node {} is released: {}",
                    known.rank,
                    known.generation,
                    action.node,
                    action.reason,
                )

    def _adopt(self, decision: Adopt, observer: RunnerObserver) -> Earlier:
        first = decision.ranks[0].running
        spec = msgspec.structs.replace(
            self._spec, world_size=first.world_size, parallel=first.parallel, backend=first.backend
        )
        ranks = [
            RemoteRank(
                StartRank(
                    configure_rank(spec, self._model, decision.generation, one.running.rank), {}, {}, self._plan.name
                ),
                self._line(one.node),
                observer,
                adopted=one.running,
            )
            for one in decision.ranks
        ]
        if first.facts is not None:
            observer.on_event(first.rank, first.facts)
        self._roster.expect(ranks)
        logger.bind(generation=decision.generation).info(
            "generation {} still serves on its nodes and is taken over", decision.generation
        )
        return Earlier(decision.generation, PreparedGeneration(spec, ranks))
