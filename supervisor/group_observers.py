"""Several observers of one group, told in turn."""

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from supervisor.attribution import Attributed
from supervisor.observers import GroupObserver
from transports.http.gateway import GroupState
from transports.messages import RunnerFailed
from transports.output_events import OutputStream


class GroupObservers:
    """Implements `supervisor.observers.GroupObserver` by telling each of them, in order.

    Args:
        observers: Who is told.
    """

    def __init__(self, *observers: GroupObserver) -> None:
        self._observers = observers

    def on_generation(self, generation: int, model: str, world_size: int) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.on_generation(generation, model, world_size)

    def on_phase(self, rank: int, phase: Phase) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.on_phase(rank, phase)

    def on_state(self, state: GroupState, reason: str | None) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.on_state(state, reason)

    def on_runner_failed(self, failed: RunnerFailed) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.on_runner_failed(failed)

    def on_incident(self, incident: Incident) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.on_incident(incident)

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.on_output(rank, stream, data)

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.on_task_output(rank, stream, output)
