"""What a daemon writes about its group: its log, its journal, its raw logs."""

import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from loguru import logger

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from supervisor.attribution import Attributed
from supervisor.core.failure_statistics import FailureStatistics
from supervisor.journal.recent_incidents import RecentIncidents
from supervisor.journal.records import EventRecord, GenerationRecord, JournalSink
from supervisor.log import add_io_level, log_output
from supervisor.output_relay import OutputRelay
from supervisor.raw_logs import RawLogs
from transports.http.gateway import GroupState
from transports.messages import RunnerFailed
from transports.output_events import OutputStream

if TYPE_CHECKING:
    from loguru import Logger


class GroupLog:
    """Implements `supervisor.group_supervisor.GroupObserver`.

    Args:
        run_id: Names this run of the daemon.
        incidents: Keeps incidents.
        journal: Keeps generations and events.
        failures: Counts them.
        raw_logs: Keeps what runners write.
    """

    def __init__(
        self,
        *,
        run_id: str,
        incidents: RecentIncidents,
        journal: JournalSink,
        raw_logs: RawLogs,
        failures: FailureStatistics,
    ) -> None:
        self._run_id = run_id
        self.incidents = incidents
        self._journal = journal
        self._raw_logs = raw_logs
        self.failures = failures
        self._relays: dict[tuple[int, str], OutputRelay] = {}
        self._generation: GenerationRecord | None = None
        self._phases: dict[int, Phase] = {}
        add_io_level()

    def on_generation(self, generation: int, model: str, world_size: int) -> None:
        """Keep it, once: on a node, each rank of a generation tells of it."""
        if self._generation is not None and self._generation.generation == generation:
            return
        self.failures.generation_started(generation, world_size)
        self._generation = GenerationRecord(
            run_id=self._run_id,
            generation=generation,
            model=model,
            world_size=world_size,
            started_at=time.time(),
        )
        self._journal.write(self._generation)
        self._phases.clear()

    def on_state(self, state: GroupState, reason: str | None) -> None:
        """Log it and keep it."""
        text = f"group is {state.value}{f': {reason}' if reason else ''}"
        logger.bind(**self._bound()).info("{}", text)
        if state is GroupState.READY:
            self._change_generation(ready_at=time.time())
        elif state in (GroupState.STOPPED, GroupState.FAILED, GroupState.RESTARTING):
            self._end_generation(time.time())
        self._event("state", text)

    def on_phase(self, rank: int, phase: Phase) -> None:
        """Keep it, once: layers and steps within a phase are no news."""
        if self._phases.get(rank) is not phase:
            self._phases[rank] = phase
            self._event("phase", f"rank {rank} is {phase.value}", rank=rank)

    def on_runner_failed(self, failed: RunnerFailed) -> None:
        """Log it, count it and keep it."""
        self.failures.runner_failed(failed, time.monotonic())
        bound = logger.bind(rank=failed.rank, generation=failed.generation, node=failed.node)
        bound.warning("generation {}: {}", failed.generation, failed.incident.message)
        self._event("death", failed.incident.message, rank=failed.rank, incident_id=failed.incident.incident_id)

    def on_incident(self, incident: Incident) -> None:
        """Count it and keep it; log its first version and its end."""
        self.failures.incident(incident, time.monotonic())
        if self.incidents.record(incident):
            self._bound_to(incident).error("{} {} {}", incident.incident_id, incident.message, incident.next_step or "")
            self._event("incident", incident.message, rank=incident.rank, incident_id=incident.incident_id)
            if self._generation is not None and incident.generation == self._generation.generation:
                self._change_generation(incident_id=incident.incident_id)
                self._end_generation(incident.occurred_at)
        elif incident.recovered_after_s is not None:
            text = f"serving again after {incident.recovered_after_s:.2f} s"
            self._bound_to(incident).info("{} {}", incident.incident_id, text)
            self._event("recovered", text, incident_id=incident.incident_id)

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """Keep it as it is, and relay whole lines to the log, at their own level."""
        self._raw_logs.write(self._generation.generation if self._generation else 0, rank, stream, data)
        relay = self._relays.get((rank, stream))
        if relay is None:
            relay = self._relays[rank, stream] = OutputRelay(
                f"[rank {rank} {stream}]", partial(log_output, rank=rank, stream=stream)
            )
        relay.feed(data)

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """It is kept as a stream already, and with its task in the journal."""

    def _bound(self) -> dict[str, int]:
        return {} if self._generation is None else {"generation": self._generation.generation}

    @staticmethod
    def _bound_to(incident: Incident) -> "Logger":
        known = {"rank": incident.rank, "generation": incident.generation, "node": incident.node}
        return logger.bind(incident=incident.incident_id, **{name: it for name, it in known.items() if it is not None})

    def _end_generation(self, at: float) -> None:
        if self._generation is not None and self._generation.ended_at is None:
            self._change_generation(ended_at=at)

    def _change_generation(self, **changes: float | str) -> None:
        if self._generation is not None:
            self._generation = msgspec.structs.replace(self._generation, **changes)
            self._journal.write(self._generation)

    def _event(self, kind: str, text: str, *, rank: int | None = None, incident_id: str | None = None) -> None:
        self._journal.write(
            EventRecord(
                run_id=self._run_id,
                at=time.time(),
                kind=kind,
                text=text,
                generation=self._generation.generation if self._generation else None,
                rank=rank,
                incident_id=incident_id,
            )
        )
