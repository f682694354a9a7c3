"""What a head writes down about its group, and tells every node at the same time."""

from collections.abc import Callable

import msgspec

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from supervisor.attribution import Attributed
from supervisor.group_log import GroupLog
from transports.cluster.bus_errors import MessageTooLong
from transports.cluster.messages import ClusterEvent, GroupChanged, IncidentDeclared
from transports.http.gateway import GroupState
from transports.messages import RunnerFailed
from transports.output_events import OutputStream


class ClusterLog:
    """Implements `supervisor.observers.GroupObserver`. Used from the event loop; never blocks.

    Args:
        log: The head's own.
        publish: Tells every node.
    """

    def __init__(self, log: GroupLog, publish: Callable[[ClusterEvent], None]) -> None:
        self._log = log
        self._publish = publish
        self._generation = 0

    def on_generation(self, generation: int, model: str, world_size: int) -> None:
        """Keep it; a node that has a part in it knows."""
        self._generation = generation
        self._log.on_generation(generation, model, world_size)

    def on_phase(self, rank: int, phase: Phase) -> None:
        """Keep it."""
        self._log.on_phase(rank, phase)

    def on_state(self, state: GroupState, reason: str | None) -> None:
        """Keep it and tell it."""
        self._log.on_state(state, reason)
        self._publish(GroupChanged(state, self._generation, reason))

    def on_runner_failed(self, failed: RunnerFailed) -> None:
        """Keep it."""
        self._log.on_runner_failed(failed)

    def on_incident(self, incident: Incident) -> None:
        """Keep it and tell it: `why` says the same on every node."""
        self._log.on_incident(incident)
        try:
            self._publish(IncidentDeclared(incident))
        except MessageTooLong:
            # The head keeps all of it; what everybody has to know is who, why and what next.
            self._publish(IncidentDeclared(msgspec.structs.replace(incident, certificates=())))

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """Keep it; only a runner on the head's own machine writes here."""
        self._log.on_output(rank, stream, data)

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """The journal has it, with its task."""
