"""Implements `RunObserver`: prints, keeps and judges what happens in a run."""

import signal
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Protocol

from diagnostics.evidence import ExitStatus
from diagnostics.incident import DeathCertificate, Incident
from supervisor.core.program_group import DeclareVerdict, Finish
from supervisor.journal.records import TaskOutcome
from supervisor.process.child import StreamName
from supervisor.run.printer import Printer
from supervisor.run.rank_supervisor import RankSupervisor
from supervisor.run.recorder import RunRecorder


class RawOutput(Protocol):
    """Keeps every byte, in files. Never blocks and never raises."""

    def write(self, generation: int, rank: int, stream: str, data: bytes) -> None:
        """Keep them."""


class RunStory:
    """One run, from its first start to its last word. Used from the event loop.

    Args:
        printer: Shows it to a person or a script.
        say: Puts a text, whole lines, on our stderr.
        recorder: Keeps it in the journal.
        raw: Keeps the ranks' output.
        verdict_text: Makes of an incident what a person reads.
    """

    def __init__(
        self,
        printer: Printer,
        say: Callable[[str], None],
        recorder: RunRecorder,
        raw: RawOutput,
        verdict_text: Callable[[Incident], str],
    ) -> None:
        self.wants_lines = printer.wants_lines
        self._printer = printer
        self._say = say
        self._recorder = recorder
        self._raw = raw
        self._verdict_text = verdict_text
        self._generation = 0
        self._started_at = 0.0
        self._certificates: list[DeathCertificate] = []
        self._declared: DeclareVerdict | None = None

    def on_generation(self, generation: int, pids: Mapping[int, int]) -> None:
        """See `RunObserver`."""
        self._generation, self._started_at = generation, time.time()
        self._certificates.clear()
        self._declared = None
        self._recorder.begin_generation(generation)
        for rank, pid in pids.items():
            fields = {"run_id": self._recorder.run_id, "generation": generation, "rank": rank, "pid": pid}
            self._printer.on_event("start", fields)

    def on_bytes(self, rank: int, stream: StreamName, data: bytes) -> None:
        """See `RunObserver`."""
        self._raw.write(self._generation, rank, stream, data)
        if not self.wants_lines:
            self._printer.on_output(self._generation, rank, stream, data)

    def on_lines(self, rank: int, stream: StreamName, lines: bytes) -> None:
        """See `RunObserver`."""
        self._printer.on_output(self._generation, rank, stream, lines)

    def on_rank_ended(self, rank: RankSupervisor, certificate: DeathCertificate, status: ExitStatus | None) -> None:
        """See `RunObserver`."""
        self._certificates.append(certificate)
        success = status == ExitStatus(code=0)
        self._recorder.rank_ended(certificate, rank.kept, self._started_at, success=success)
        fields: dict[str, object] = {
            "generation": certificate.generation,
            "rank": certificate.rank,
            "pid": certificate.pid,
            "exit_code": None if status is None else status.code,
            "signal": None if status is None else status.signal,
            "cause": None if success else certificate.diagnosis.cause,
        }
        self._printer.on_event("exit", fields)

    def on_verdict(self, declared: DeclareVerdict) -> None:
        """See `RunObserver`. It is told when all ranks are gone, so that nothing of theirs comes after it."""
        self._declared = declared

    def on_restart(self, delay_s: float) -> None:
        """See `RunObserver`."""
        incident = self._close_generation(f"Ringwarden starts the program again in {delay_s:.1f} s.")
        if incident is not None:
            self._say(self._verdict_text(incident))
        self._printer.on_event("restart", {"generation": self._generation + 1, "delay_s": delay_s})

    def on_finish(self, finish: Finish) -> None:
        """See `RunObserver`."""
        incident = self._close_generation("The run is over.")
        if incident is not None:
            self._recorder.end(TaskOutcome.FAILED, incident.message, incident)
            self._say(self._verdict_text(incident))
        elif finish.exit_code == 0:
            self._recorder.end(TaskOutcome.FINISHED, "exit code 0", None)
        else:
            words = _ended_by(finish)
            self._recorder.end(TaskOutcome.CANCELLED, words, None)
            self._say(f"ringwarden: {words}\n")
        self._printer.on_event("end", {"exit_code": finish.exit_code, "signal": finish.signal})

    def on_cannot_start(self, problem: OSError) -> None:
        """The program could not be started."""
        self._recorder.end(TaskOutcome.FAILED, f"it could not be started: {problem.strerror}", None)

    def _close_generation(self, next_step: str) -> Incident | None:
        incident: Incident | None = None
        if self._declared is not None:
            incident_id = f"inc-{uuid.uuid4().hex[:12]}"
            incident = self._recorder.failed(self._declared, self._certificates, incident_id, next_step)
            self._printer.on_event("verdict", _verdict_fields(self._declared, incident))
        self._recorder.end_generation(incident)
        self._declared = None
        return incident


def _verdict_fields(declared: DeclareVerdict, incident: Incident) -> dict[str, object]:
    return {
        "generation": incident.generation,
        "rank": incident.rank,
        "cause": incident.cause,
        "confidence": incident.confidence,
        "sentence": incident.message,
        "advice": incident.advice,
        "suspects": incident.suspects,
        "evidence": incident.evidence,
        "incident_id": incident.incident_id,
        "exit_code": declared.exit_code,
    }


def _ended_by(finish: Finish) -> str:
    if finish.signal == signal.SIGPIPE:
        return "nobody reads standard output any more, so the ranks were ended."
    name = "a signal" if finish.signal is None else signal.Signals(finish.signal).name
    return f"ended by {name}, which was passed on to the ranks."
