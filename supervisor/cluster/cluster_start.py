"""The ranks of a group on several nodes: cleaned, placed, wired and checked before anything starts."""

import time
from collections.abc import Awaitable, Callable, Sequence

import anyio
import msgspec

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from supervisor.cluster.line import Line, problem_of
from supervisor.cluster.node_entry import NodeEntry
from supervisor.cluster.preflight import check_ring
from supervisor.cluster.remote_rank import RemoteRank
from supervisor.cluster.ring_files import generation_files
from supervisor.cluster.ring_ports import NoPorts, reserve_ports
from supervisor.cluster.roster import Roster
from supervisor.cluster.start_failures import start_failures
from supervisor.cluster.user_hosts import wish_with_hosts
from supervisor.core.model_share import model_needs
from supervisor.core.placement import DoesNotFit, Placed, place
from supervisor.core.rank_places import Candidate, PlacementWish
from supervisor.core.ring_edges import EdgeFailure
from supervisor.generation_start import CannotPlace, CannotStart, Earlier, PreparedGeneration
from supervisor.hostfile import Hostfile, HostfileError
from supervisor.launch import GroupSpec
from supervisor.observers import RunnerObserver
from transports.cluster.handshake import Hello
from transports.cluster.messages import StartRank
from transports.cluster.requests import (
    ModelPrepared,
    NodeAnswer,
    NodeRequest,
    PrepareModel,
    VerifiedGone,
    VerifyGone,
)
from transports.messages import Configure


class StartLimits(msgspec.Struct, frozen=True):
    """How long the steps of a start may take, in seconds. `prepare_s` is long: a model may have to be downloaded."""

    gone_s: float = 10.0
    prepare_s: float = 6 * 3600.0
    ports_s: float = 5.0


class ClusterStarter:
    """Implements `supervisor.generation_start.GenerationStarter`.

    Args:
        spec: The group; how it is placed is decided anew for each generation.
        model: What every node is told to have on its disk.
        wish: What the user said about the placement.
        roster: The nodes.
        line: Gives a node's line.
        takeover: Finds what an earlier head left.
        hostfile: The user's own, which fixes the places; None leaves them to placement.
        limits: The bounds on each step.
    """

    def __init__(
        self,
        *,
        spec: GroupSpec,
        model: str,
        wish: PlacementWish,
        roster: Roster,
        line: Callable[[str], Line],
        takeover: Callable[[RunnerObserver], Awaitable[Earlier]],
        limits: StartLimits,
        hostfile: Hostfile | None = None,
    ) -> None:
        self._spec = spec
        self._model = model
        self._wish = wish
        self._roster = roster
        self._line = line
        self._takeover = takeover
        self._limits = limits
        self._hostfile = hostfile
        self._was_placed = False

    async def earlier(self, observer: RunnerObserver) -> Earlier:
        """What an earlier head left running."""
        return await self._takeover(observer)

    async def prepare(self, generation: int, observer: RunnerObserver) -> PreparedGeneration:
        """Clean the nodes, have the model on them, place the ranks, find ports, connect each edge of the ring once."""
        clean: dict[str, Hello] = {}
        await self._verify_gone(generation, clean)
        placed = await self._placed()
        self._was_placed = True
        # In this order: a listener of a check might get a port that was found for the ring.
        await self._check_ring(placed, generation)
        ports = await self._ports(placed, generation)
        # Once more, for nodes that came meanwhile; those that come after this are cleaned as they come.
        await self._verify_gone(generation, clean)
        plan = plan_of(self._spec, self._model, self._wish)
        files = generation_files(placed, ports)
        variables = {} if self._hostfile is None else self._hostfile.environment
        spec = msgspec.structs.replace(
            self._spec,
            world_size=len(placed.assignments),
            parallel=placed.parallel,
            backend=placed.backend,
            layers=placed.uneven_layers,
        )
        ranks = [
            RemoteRank(
                StartRank(
                    configure_rank(spec, self._model, generation, assignment.rank),
                    {**variables, **files[assignment.rank].environment},
                    files[assignment.rank].files,
                    plan,
                ),
                self._line(assignment.node),
                observer,
            )
            for assignment in placed.assignments
        ]
        self._roster.expect(ranks)
        return PreparedGeneration(spec, ranks)

    async def _verify_gone(self, generation: int, clean: dict[str, Hello]) -> None:
        """Whatever older generations left on nodes that can be asked is gone, or nothing is started beside it.

        Args:
            generation: What is older than this has to go.
            clean: The nodes that are, with their hellos of then; those are not asked again.
        """
        while True:
            here = [entry for entry in self._roster.entries() if entry.is_here]
            asked = {entry.name: entry.hello for entry in here if clean.get(entry.name) is not entry.hello}
            if not asked:
                return
            answers = await self._ask_all(tuple(asked), VerifyGone(generation), self._limits.gone_s)
            for node, answer in answers.items():
                if isinstance(answer, VerifiedGone) and answer.remaining_pids:
                    raise CannotPlace(_cannot_end(node, answer))
                entry = self._roster.entry(node)
                if isinstance(answer, VerifiedGone):
                    self._roster.has_memory(node, answer.available_memory_bytes)
                elif entry is not None and entry.hello is asked[node]:  # else another agent runs there by now
                    self._roster.lost(node, f"it did not say that it is clean: {problem_of(answer)}")
                    self._line(node).forget()
            clean.update(asked)

    async def _placed(self) -> Placed:
        wish = self._wish_now()
        self._wait_for_lost(wish.named)
        wanted = await self._have_model(wish.named)
        models = {entry.name: entry.model for entry in wanted if entry.model is not None}
        if not models:
            raise CannotPlace(_no_model(wanted, wish))
        needs = model_needs(next(iter(models.values())))
        candidates = [_with_model(one, models.get(one.node)) for one in self._roster.candidates()]
        outcome = place(candidates, needs, wish)
        if isinstance(outcome, DoesNotFit):
            raise CannotPlace(_troubled(wanted) or f"{outcome.sentence} {outcome.remedy}")
        return outcome

    def _wish_now(self) -> PlacementWish:
        """Once it has served, fewer nodes are better than none. A hostfile's entries are whoever has joined by now."""
        wish = msgspec.structs.replace(self._wish, allow_fewer=self._was_placed)
        if self._hostfile is None:
            return wish
        try:
            return wish_with_hosts(wish, self._hostfile, self._roster.candidates())
        except HostfileError as problem:
            raise CannotPlace(f"{problem}. {problem.remedy}") from problem

    def _wait_for_lost(self, named: Sequence[str]) -> None:
        """A node that was lost a moment ago mostly comes back; to do without it loads the whole model again."""
        awaited = [one.name for one in self._roster.awaited(time.monotonic()) if not named or one.name in named]
        if awaited:
            raise CannotPlace(f"Waiting for the lost node {', '.join(awaited)} to come back.")

    async def _have_model(self, named: Sequence[str]) -> list[NodeEntry]:
        """Let every node that is there have it, and those that come meanwhile; return them. No names mean all nodes."""
        asked: dict[str, Hello] = {}
        while True:
            here = [one for one in self._roster.entries() if one.is_here and (not named or one.name in named)]
            missing = [one for one in here if one.model is None and asked.get(one.name) is not one.hello]
            if not missing:
                return here
            asked.update({entry.name: entry.hello for entry in missing})
            names = [entry.name for entry in missing]
            answers = await self._ask_all(names, PrepareModel(self._model), self._limits.prepare_s)
            for entry in missing:
                answer = answers[entry.name]
                if entry.hello is not asked[entry.name]:
                    continue  # Another agent runs there by now.
                if isinstance(answer, ModelPrepared):
                    entry.model, entry.problem = answer, None
                else:
                    entry.problem = problem_of(answer)

    async def _ports(self, placed: Placed, generation: int) -> tuple[tuple[int, ...], ...]:
        try:
            return await reserve_ports(placed, self._line, self._limits.ports_s)
        except NoPorts as problem:
            failures = start_failures(placed.assignments, generation, {problem.rank: problem.finding})
            raise CannotStart(failures) from problem

    async def _check_ring(self, placed: Placed, generation: int) -> None:
        async def request(node: str, wanted: NodeRequest, deadline_s: float) -> NodeAnswer:
            return await self._line(node).request(wanted, deadline_s)

        facts = {entry.name: entry.facts for entry in self._roster.entries()}
        failures = await check_ring(request, placed, facts)
        if failures:
            findings = {failure.rank: _finding(failure) for failure in reversed(failures)}
            raise CannotStart(start_failures(placed.assignments, generation, findings))

    async def _ask_all(self, nodes: Sequence[str], request: NodeRequest, deadline_s: float) -> dict[str, NodeAnswer]:
        answers: dict[str, NodeAnswer] = {}

        async def ask(node: str) -> None:
            answers[node] = await self._line(node).request(request, deadline_s)

        async with anyio.create_task_group() as tasks:
            for node in nodes:
                tasks.start_soon(ask, node)
        return answers


def plan_of(spec: GroupSpec, model: str, wish: PlacementWish) -> str:
    """Name what the user wants: a head takes over only ranks of the same wish, however they were placed."""
    nodes = ",".join(wish.nodes or ("auto",))
    told = (model, nodes, wish.ranks, wish.parallel, wish.backend)
    told = (*told, spec.engine, spec.max_concurrent_tasks, spec.prefill_step_tokens)
    return "|".join(map(str, told))


def configure_rank(spec: GroupSpec, model: str, generation: int, rank: int) -> Configure:
    return Configure(
        rank=rank,
        world_size=spec.world_size,
        generation=generation,
        engine=spec.engine,
        model=model,
        parallel=spec.parallel,
        backend=spec.backend,
        max_concurrent_tasks=spec.max_concurrent_tasks,
        prefill_step_tokens=spec.prefill_step_tokens,
        dead_man_s=spec.dead_man_s,
        layers=spec.layers,
    )


def _cannot_end(node: str, answer: VerifiedGone) -> str:
    pids = ", ".join(map(str, answer.remaining_pids))
    return f"Node {node} cannot end the processes {pids} of an earlier generation; reboot it."


def _with_model(candidate: Candidate, model: ModelPrepared | None) -> Candidate:
    """A node without the model could start no rank."""
    has_model = candidate.alive and model is not None
    return msgspec.structs.replace(candidate, alive=has_model, digest=None if model is None else model.digest)


def _troubled(wanted: Sequence[NodeEntry]) -> str | None:
    entry = next((one for one in wanted if one.problem), None)
    return None if entry is None else f"Node {entry.name} cannot prepare the model: {entry.problem}."


def _no_model(wanted: Sequence[NodeEntry], wish: PlacementWish) -> str:
    troubled = _troubled(wanted)
    if troubled is not None:
        return troubled
    if not wish.named:
        return "No node is there yet; join one with `ringwarden join`."
    return f"Waiting for the nodes {', '.join(wish.named)} to join."


def _finding(failure: EdgeFailure) -> SupervisorFinding:
    cause = Cause.RING_BIND_FAILED if failure.step == "listen" else Cause.RING_CONNECT_FAILED
    return SupervisorFinding(cause, f"could not be started: {failure.sentence.rstrip('.')}; {failure.remedy}")
