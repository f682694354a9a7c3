"""The ranks of a group on several nodes: cleaned, placed, wired and checked before anything starts."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import anyio
import msgspec

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from supervisor.cluster.node_entry import NodeEntry
from supervisor.cluster.preflight import check_ring
from supervisor.cluster.remote_rank import NodeLine, RemoteRank
from supervisor.cluster.ring_files import generation_files
from supervisor.cluster.roster import Roster
from supervisor.cluster.start_failures import start_failures
from supervisor.cluster.user_hosts import match_hosts
from supervisor.core.model_share import model_needs
from supervisor.core.placement import DoesNotFit, Placed, place
from supervisor.core.rank_places import PlacementWish
from supervisor.core.ring_edges import EdgeFailure
from supervisor.generation_start import CannotPlace, CannotStart, Earlier, PreparedGeneration
from supervisor.hostfile import Hostfile, HostfileError
from supervisor.launch import GroupSpec
from supervisor.observers import RunnerObserver
from transports.cluster.messages import StartRank
from transports.cluster.requests import (
    ModelPrepared,
    NodeAnswer,
    NodeRequest,
    PortsReserved,
    PrepareModel,
    RequestFailed,
    ReservePorts,
    VerifiedGone,
    VerifyGone,
)
from transports.messages import Configure


class Line(NodeLine, Protocol):
    """One node, as a start needs it."""

    async def request(self, request: NodeRequest, deadline_s: float) -> NodeAnswer:
        """Ask, and wait for the answer; what goes wrong is an answer, too."""
        ...


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
        await self._verify_gone(generation)
        placed = await self._placed()
        self._was_placed = True
        # In this order: a listener of a check might get a port that was found for the ring.
        await self._check_ring(placed, generation)
        ports = await self._ports(placed, generation)
        plan = plan_of(self._spec, self._model, self._wish)
        files = generation_files(placed, ports)
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
                    files[assignment.rank].environment,
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

    async def _verify_gone(self, generation: int) -> None:
        """Whatever older generations left on nodes that can be asked is gone, or nothing is started beside it."""
        nodes = [entry.name for entry in self._roster.entries() if entry.is_here]
        answers = await self._ask_all(nodes, VerifyGone(generation), self._limits.gone_s)
        for node, answer in answers.items():
            if isinstance(answer, VerifiedGone) and answer.remaining_pids:
                pids = ", ".join(map(str, answer.remaining_pids))
                raise CannotPlace(f"Node {node} cannot end the processes {pids} of an earlier generation; reboot it.")
            if not isinstance(answer, VerifiedGone):
                self._roster.lost(node, f"it did not say that it is clean: {_problem(answer)}")

    async def _placed(self) -> Placed:
        wish = self._wish_now()
        named = wish.named or tuple(entry.name for entry in self._roster.entries())
        self._wait_for_lost(named)
        wanted = [entry for entry in self._roster.entries() if entry.is_here and entry.name in named]
        await self._have_model(wanted)
        known = next((entry.model for entry in wanted if entry.model is not None), None)
        if known is None:
            raise CannotPlace(_no_model(wanted, wish))
        needs = model_needs(known)
        outcome = place(self._roster.candidates(), needs, wish)
        if isinstance(outcome, DoesNotFit):
            raise CannotPlace(f"{outcome.sentence} {outcome.remedy}")
        return outcome

    def _wish_now(self) -> PlacementWish:
        """Once it has served, fewer nodes are better than none. A hostfile's entries are whoever has joined by now."""
        wish = msgspec.structs.replace(self._wish, allow_fewer=self._was_placed)
        if self._hostfile is None:
            return wish
        try:
            return msgspec.structs.replace(wish, fixed=match_hosts(self._hostfile, self._roster.candidates()))
        except HostfileError as problem:
            raise CannotPlace(f"{problem}. {problem.remedy}") from problem

    def _wait_for_lost(self, named: Sequence[str]) -> None:
        """A node that was lost a moment ago mostly comes back; to do without it loads the whole model again."""
        awaited = [entry.name for entry in self._roster.awaited(time.monotonic()) if entry.name in named]
        if awaited:
            raise CannotPlace(f"Waiting for the lost node {', '.join(awaited)} to come back.")

    async def _have_model(self, entries: Sequence[NodeEntry]) -> None:
        missing = [entry.name for entry in entries if entry.model is None]
        answers = await self._ask_all(missing, PrepareModel(self._model), self._limits.prepare_s)
        for entry in entries:
            answer = answers.get(entry.name)
            if isinstance(answer, ModelPrepared):
                entry.model, entry.problem = answer, None
            elif answer is not None:
                entry.problem = _problem(answer)

    async def _ports(self, placed: Placed, generation: int) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = [()] * len(placed.assignments)

        async def reserve(node: str) -> None:
            own = [one for one in placed.assignments if one.node == node and not one.ports]
            for address in dict.fromkeys(address for one in own for address in one.addresses):
                users = [one for one in own if address in one.addresses]
                answer = await self._line(node).request(ReservePorts(address, len(users)), self._limits.ports_s)
                if not isinstance(answer, PortsReserved) or len(answer.ports) != len(users):
                    finding = SupervisorFinding(
                        Cause.RING_BIND_FAILED, f"could not be started: no port of {address}: {_problem(answer)}"
                    )
                    raise _Failed({users[0].rank: finding})
                for one, port in zip(users, answer.ports, strict=True):
                    found[one.rank] = (*found[one.rank], port)

        failures: list[_Failed] = []

        async def collect(node: str) -> None:
            try:
                await reserve(node)
            except _Failed as failure:
                failures.append(failure)

        async with anyio.create_task_group() as tasks:
            for node in placed.nodes:
                tasks.start_soon(collect, node)
        if failures:
            raise CannotStart(start_failures(placed.assignments, generation, failures[0].findings))
        return [one.ports or found[one.rank] for one in placed.assignments]

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


class _Failed(Exception):
    def __init__(self, findings: dict[int, SupervisorFinding]) -> None:
        super().__init__("a rank cannot be started")
        self.findings = findings


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


def _no_model(wanted: Sequence[NodeEntry], wish: PlacementWish) -> str:
    troubled = next((entry for entry in wanted if entry.problem), None)
    if troubled is not None:
        return f"Node {troubled.name} cannot prepare the model: {troubled.problem}."
    if not wish.named:
        return "No node is there yet; join one with `ringwarden join`."
    return f"Waiting for the nodes {', '.join(wish.named)} to join."


def _finding(failure: EdgeFailure) -> SupervisorFinding:
    cause = Cause.RING_BIND_FAILED if failure.step == "listen" else Cause.RING_CONNECT_FAILED
    return SupervisorFinding(cause, f"could not be started: {failure.sentence.rstrip('.')}; {failure.remedy}")


def _problem(answer: NodeAnswer) -> str:
    if isinstance(answer, RequestFailed):
        return f"{answer.problem}{f' ({answer.remedy})' if answer.remedy else ''}"
    return f"it answered with {type(answer).__name__}"
