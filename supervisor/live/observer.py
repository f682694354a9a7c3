"""What happens to a group and its tasks, as events for those who watch."""

import time

import msgspec

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from supervisor.attribution import NO_MORE_MARKERS, Attributed
from supervisor.journal.records import TaskRecord
from supervisor.live.hub import LiveHub
from supervisor.live.output_lines import OutputLines, Skipped
from supervisor.observation import Crash
from transports.http.gateway import GroupState
from transports.live import IncidentSeen, OutputLine, OutputSkipped, PhaseChanged, RankDied, RequestEnded, StateChanged
from transports.messages import RunnerFailed
from transports.output_events import OutputStream


class LiveObserver:
    """Implements `supervisor.observers.GroupObserver` and `supervisor.observation.RunObserver`.

    Args:
        hub: Takes the events.
    """

    def __init__(self, hub: LiveHub) -> None:
        self._hub = hub
        self._generation = 0
        self._phases: dict[int, Phase] = {}
        self._outputs: dict[tuple[int, OutputStream], OutputLines] = {}

    # --- the group ---

    def on_generation(self, generation: int, model: str, world_size: int) -> None:
        """Remember it: other events name it."""
        del model, world_size
        self._generation = generation
        self._phases.clear()
        self._outputs.clear()

    def on_phase(self, rank: int, phase: Phase) -> None:
        """Tell it, once: progress within a phase is in the snapshots."""
        if self._phases.get(rank) is not phase:
            self._phases[rank] = phase
            self._hub.publish(PhaseChanged(time.time(), rank, phase, self._generation))

    def on_state(self, state: GroupState, reason: str | None) -> None:
        """Tell it."""
        self._hub.publish(StateChanged(time.time(), state, reason, self._generation))

    def on_runner_failed(self, failed: RunnerFailed) -> None:
        """Tell it."""
        own = failed.incident
        died_at_s = own.certificates[0].died_at_s if own.certificates else 0.0
        self._hub.publish(
            RankDied(
                time.time(),
                failed.rank,
                failed.generation,
                failed.node,
                own.cause,
                own.message,
                own.incident_id,
                died_at_s,
            )
        )

    def on_incident(self, incident: Incident) -> None:
        """Tell this version of it, without what is long."""
        certificates = tuple(
            msgspec.structs.replace(one, stacks="", stderr_tail=(), memory=None, termination_error=None)
            for one in incident.certificates
        )
        short = msgspec.structs.replace(incident, certificates=certificates)
        self._hub.publish(IncidentSeen(time.time(), short))

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """It comes again, with its tasks."""

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """Tell its lines."""
        lines = self._outputs.get((rank, stream))
        if lines is None:
            lines = self._outputs[rank, stream] = OutputLines()
        told = [*lines.feed(output.pieces, time.monotonic())]
        if output.serial == NO_MORE_MARKERS:
            told += lines.finish()
        for one in told:
            if isinstance(one, Skipped):
                self._hub.publish(OutputSkipped(time.time(), rank, stream, one.skipped_bytes))
            else:
                self._hub.publish(OutputLine(time.time(), rank, stream, one.text, one.tasks, one.attribution))

    # --- runs and tasks ---

    def on_run_start(self, run_id: str) -> None:
        """Nothing to tell yet."""

    def on_run_end(self, run_id: str, crash: Crash | None) -> None:
        """The group's state tells it."""

    def on_crash(self, crash: Crash) -> None:
        """The incident tells it."""

    def on_task_start(self, task: TaskRecord) -> None:
        """The snapshot tells it."""

    def on_task_end(self, task: TaskRecord) -> None:
        """Tell it."""
        self._hub.publish(
            RequestEnded(
                task.ended_at or time.time(),
                task.task_id,
                task.outcome.value if task.outcome else "",
                task.started_at,
                task.detail,
                task.prompt_tokens,
                task.completion_tokens,
                task.incident_id,
            )
        )
