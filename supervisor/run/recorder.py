"""What a run leaves in the journal: one task with its tags, its generations, what each rank said, its incidents."""

import shlex
import time
from collections.abc import Mapping, Sequence

import msgspec

from diagnostics.incident import DeathCertificate, Incident
from supervisor.core.program_group import DeclareVerdict
from supervisor.incident_report import group_incident
from supervisor.journal.records import CapturedLog, GenerationRecord, JournalSink, Tags, TaskOutcome, TaskRecord
from supervisor.process.child import StreamName
from supervisor.process.kept_output import KeptOutput

_MAX_COMMAND_CHARS = 200


class RunFacts(msgspec.Struct, frozen=True):
    """What is the same during a whole run. `run_id` names the run and its only task; `node` is this machine."""

    run_id: str
    command: tuple[str, ...]
    world_size: int
    node: str
    tags: Tags


class RunRecorder:
    """Writes the records of one run. Used from the event loop.

    Args:
        sink: Takes them.
        facts: What is run; the command, shortened, stands where a model's name stands otherwise.
    """

    def __init__(self, sink: JournalSink, facts: RunFacts) -> None:
        self.run_id = facts.run_id
        self._sink = sink
        self._facts = facts
        self._program = shlex.join(facts.command)[:_MAX_COMMAND_CHARS]
        self._task = TaskRecord(
            run_id=facts.run_id,
            task_id=facts.run_id,
            generation=1,
            model=self._program,
            started_at=time.time(),
            tags=facts.tags,
        )
        self._generation: GenerationRecord | None = None

    def begin_generation(self, generation: int) -> None:
        """A generation was started."""
        self._generation = GenerationRecord(
            run_id=self.run_id,
            generation=generation,
            model=self._program,
            world_size=self._facts.world_size,
            started_at=time.time(),
        )
        self._task = msgspec.structs.replace(self._task, generation=generation)
        self._sink.write(self._generation)
        self._sink.write(self._task)

    def rank_ended(
        self, certificate: DeathCertificate, kept: Mapping[StreamName, KeptOutput], started_at: float, *, success: bool
    ) -> None:
        """Keep what a rank said, as far as it was kept."""
        texts = {stream: output.value().decode("utf-8", "replace") for stream, output in kept.items()}
        self._sink.write(
            CapturedLog(
                log_id=f"{self.run_id}.{certificate.generation}.{certificate.rank}",
                run_id=self.run_id,
                task_id=self.run_id,
                generation=certificate.generation,
                rank=certificate.rank,
                node=self._facts.node,
                started_at=started_at,
                ended_at=time.time(),
                success=success,
                stdout=texts.get("stdout", ""),
                stderr=texts.get("stderr", ""),
                dropped_bytes=sum(output.dropped_bytes for output in kept.values()),
                tags=self._facts.tags,
            )
        )

    def failed(
        self, declared: DeclareVerdict, certificates: Sequence[DeathCertificate], incident_id: str, next_step: str
    ) -> Incident:
        """Keep and return the incident of a generation that failed."""
        made = group_incident(
            declared.verdict,
            sorted(certificates, key=lambda one: one.rank),
            declared.decision,
            incident_id=incident_id,
            occurred_at=time.time(),
            node=self._facts.node,
            model=self._program,
            task_ids=(self.run_id,),
            expected_start_s=0.0,
        )
        incident = msgspec.structs.replace(made, next_step=next_step)
        self._sink.write(incident)
        return incident

    def end_generation(self, incident: Incident | None) -> None:
        """All ranks of a generation are gone."""
        if self._generation is not None:
            incident_id = None if incident is None else incident.incident_id
            self._sink.write(msgspec.structs.replace(self._generation, ended_at=time.time(), incident_id=incident_id))

    def end(self, outcome: TaskOutcome, detail: str, incident: Incident | None) -> None:
        """The run is over."""
        self._sink.write(
            msgspec.structs.replace(
                self._task,
                ended_at=time.time(),
                outcome=outcome,
                detail=detail,
                incident_id=None if incident is None else incident.incident_id,
            )
        )
