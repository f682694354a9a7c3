"""A node's side of the cluster: follows one head, carries out its orders, outlives its outages for a while."""

from typing import assert_never

import anyio
from anyio.abc import TaskGroup
from loguru import logger

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from supervisor.cluster.followed_head import FollowedHead, HeadRefused
from supervisor.cluster.node_ranks import NodeRanks
from supervisor.cluster.node_requests import NodeRequests
from supervisor.cluster.outage_loop import HeadLost, OutageLoop, ShuttingDown
from supervisor.cluster.outage_state import OutageState
from supervisor.group_log import GroupLog
from supervisor.state_directory import StateDirectoryError
from transports.cluster.handshake import PROTOCOL_VERSION, Hello, Refused, Welcome
from transports.cluster.messages import (
    Answer,
    Ask,
    ClusterEvent,
    FromNode,
    GroupChanged,
    IncidentDeclared,
    IncidentsSoFar,
    ToNode,
)
from transports.cluster.node_bus import NodeBus
from transports.cluster.node_facts import NodeFacts

_STOP_S = 15.0
_LEFT = SupervisorFinding(Cause.NODE_LOST, "was ended because its node was stopped by its operator")
_QUICK_S = 1.0
_QUICK_PAUSE_S = 0.1


class JoinRefused(Exception):
    """Head and node do not go together, and another try would change nothing. `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class Agent:
    """Implements `transports.cluster.node_bus.NodeBusObserver`. Used from the event loop.

    Args:
        facts: What this node says of itself.
        ranks: Runs its ranks.
        requests: Answers the head.
        followed: Which head this node belongs to.
        outage: How long the head has been away.
        log: Keeps what the cluster says.
    """

    def __init__(  # noqa: PLR0917 - as many as there are parts
        self,
        facts: NodeFacts,
        ranks: NodeRanks,
        requests: NodeRequests,
        followed: FollowedHead,
        outage: OutageState,
        log: GroupLog,
    ) -> None:
        self._facts = facts
        self._ranks = ranks
        self._requests = requests
        self._followed = followed
        self._state = outage
        self._outage = OutageLoop(outage, logger.warning)
        self._log = log
        self._bus: NodeBus | None = None
        self._task_group: TaskGroup | None = None
        self._refused: JoinRefused | None = None
        self._lost: HeadLost | None = None
        self._over = anyio.Event()
        self._unreachable = anyio.Event()
        self._is_away = False
        self.joined = anyio.Event()
        self.welcome: Welcome | None = None

    def hello(self) -> Hello:
        """What this node says whenever it introduces itself."""
        return Hello(
            protocol_version=PROTOCOL_VERSION,
            facts=self._facts,
            running=self._ranks.running(),
            deaths=self._ranks.unreported_deaths(),
            followed_epoch=self._followed.epoch,
        )

    async def run(self, bus: NodeBus) -> None:
        """Follow the head until stopped, refused for good, or left alone for too long; the ranks are gone then."""
        self._bus = bus
        async with anyio.create_task_group() as self._task_group:
            self._task_group.start_soon(self._ranks.run)
            self._task_group.start_soon(bus.run)
            self._task_group.start_soon(self._keep_budget)
            await self._over.wait()
            with anyio.move_on_after(_STOP_S):
                self._end_ranks()
                await self._ranks.until_gone()
            self._task_group.cancel_scope.cancel()

    def check(self) -> None:
        """After `run`: raise why it ended, unless it was stopped.

        Raises:
            JoinRefused: The head does not want this node.
            HeadLost: It was unreachable for longer than the budget.
        """
        if self._refused is not None:
            raise self._refused
        if self._lost is not None:
            raise self._lost

    def stop(self) -> None:
        """End the ranks, then leave."""
        self._outage.shut_down()
        self._over.set()

    def pause_s(self) -> float:
        """How long to wait before the head is tried again: hardly at all at first, a head may only have blinked."""
        return _QUICK_PAUSE_S if self._state.elapsed() < _QUICK_S else self._state.next_delay_s()

    def tell(self, message: FromNode) -> None:
        """Queue something for the head; the bus keeps it, within bounds, while the head is away."""
        if self._bus is not None:
            self._bus.send(message)

    # --- what the bus tells (NodeBusObserver) ---

    def on_welcome(self, welcome: Welcome) -> None:
        """A head takes this node in."""
        try:
            is_new = self._followed.follow(welcome)
        except (HeadRefused, StateDirectoryError) as problem:
            self._refuse(JoinRefused(str(problem), problem.remedy))
            return
        self._outage.recovered()
        self._ranks.node = welcome.node
        if is_new:
            # Whoever asked for the tasks in flight has heard of their end, or is gone with the earlier head.
            self._ranks.cancel_tasks()
        self.welcome = welcome
        logger.bind(node=welcome.node).info("joined as {}; the head's epoch is {}", welcome.node, welcome.epoch)
        self.joined.set()

    def on_refused(self, refused: Refused) -> None:
        """A head does not take this node in."""
        if refused.permanent:
            self._refuse(JoinRefused(f"the head refuses this node: {refused.reason}", refused.remedy))
        else:
            self._away(f"the head refuses this node: {refused.reason}")

    def on_message(self, message: ToNode) -> None:
        """The head orders or asks."""
        if isinstance(message, Ask):
            self._spawn_answer(message)
        elif isinstance(message, IncidentsSoFar):
            known = self._log.incidents.newest_first()
            for incident in reversed(message.incidents):
                if incident not in known:
                    self._log.on_incident(incident)
        else:
            self._ranks.order(message)

    def on_event(self, event: ClusterEvent, sequence: int) -> None:
        """Something that everybody hears."""
        del sequence
        match event:
            case IncidentDeclared(incident=incident):
                self._log.on_incident(incident)
            case GroupChanged(state=state, reason=reason):
                self._log.on_state(state, reason)
            case _:
                assert_never(event)

    def on_events_lost(self, first: int, last: int) -> None:
        """The head has forgotten what this node missed."""
        logger.warning("{} events of the cluster were missed and cannot be had any more", last - first + 1)

    def on_reached(self) -> None:
        """The head said anything at all."""
        self._is_away = False
        self._outage.recovered()

    def on_unreachable(self, error: str) -> None:
        """A try to reach the head failed, or it fell silent."""
        self._away(error)

    def _end_ranks(self) -> None:
        """A group that serves has to hear why it ends; nobody waits for the last word of one without a head."""
        if self._is_away or self._refused is not None or self._lost is not None:
            self._ranks.stop_all(gracefully=True)
        else:
            self._ranks.condemn_all(_LEFT)

    def _spawn_answer(self, ask: Ask) -> None:
        if self._task_group is not None:
            self._task_group.start_soon(self._answer, ask)

    async def _answer(self, ask: Ask) -> None:
        self.tell(Answer(ask.request_id, await self._requests.answer(ask.request, ask.deadline_s)))

    async def _keep_budget(self) -> None:
        """Leave when the head was away for too long."""
        try:
            while True:
                await self._unreachable.wait()
                self._unreachable = anyio.Event()
                while not await self._outage.wait() and self._is_away:
                    pass
        except HeadLost as lost:
            self._lost = lost
            self._over.set()
        except ShuttingDown:
            return

    def _away(self, error: str) -> None:
        self._is_away = True
        self._outage.failed(error)
        self._unreachable.set()

    def _refuse(self, refused: JoinRefused) -> None:
        self._refused = refused
        self.stop()
