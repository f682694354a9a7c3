"""What a death means: the diagnosis of one runner, its death certificate, the verdict over a group, the incident.

All of these travel on wires and are kept on disk, so they are frozen msgspec structs.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from diagnostics.cause import Cause
from diagnostics.evidence import ExitStatus, RunnerTerminationError
from diagnostics.memory_evidence import MemoryEvidence
from diagnostics.phase import Phase


class Confidence(StrEnum):
    """How sure a diagnosis or verdict is: a fact, a good inference, or a guess that says so."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


class Diagnosis(msgspec.Struct, frozen=True):
    """The cause of one runner's death, from its own evidence only.

    `message` is one sentence without rank or node. `peer_loss` is True when all that is known is that a peer went
    away: another rank's certificate then tells the cause. `evidence_line` is the number of the line in the stream that
    told it, `decisive` its index in `evidence`.
    """

    cause: Cause
    confidence: Confidence
    message: str
    advice: str
    retryable: bool
    peer_loss: bool
    evidence: tuple[str, ...] = ()
    evidence_line: int | None = None
    decisive: int | None = None


Generation = Annotated[int, Meta(ge=0, lt=2**53)]
"""The number of a start, as far as any clock could count them: others' numbers are added to."""


class DeathCertificate(msgspec.Struct, frozen=True):
    """One rank's death, as its supervisor saw it.

    `died_at_s` is monotonic time of that supervisor's node; of a rank that it condemned, the time of that decision,
    because others may die of it before its own end is seen. `stacks` are the Python stacks that the runner wrote on
    request before it ended, bounded; empty when none were asked for. `memory` is its footprint over its last minute,
    and what the system says of out-of-memory kills; None when it never ran.
    """

    rank: int
    generation: Generation
    node: str
    pid: int
    phase: Phase
    diagnosis: Diagnosis
    exit_status: ExitStatus | None
    died_at_s: float
    step: int = 0
    drained: bool = True
    signals_sent: tuple[int, ...] = ()
    termination_error: RunnerTerminationError | None = None
    stderr_tail: tuple[str, ...] = ()
    stacks: str = ""
    memory: MemoryEvidence | None = None


class Verdict(msgspec.Struct, frozen=True):
    """The one sentence of truth for a group. `rank` is None only when undetermined between `suspects`."""

    kind: Cause
    rank: int | None
    confidence: Confidence
    sentence: str
    advice: str
    retryable: bool
    suspects: tuple[int, ...] = ()


class Incident(msgspec.Struct, frozen=True):
    """One failure of a group's generation, kept on disk and named by `incident_id` in every error a client sees.

    `message` is the verdict's sentence. `certificates` are those known when the incident was last written, by rank;
    of a large group the most telling ones.
    `occurred_at` is seconds since the Unix epoch. `next_step` is what Ringwarden does about it; `retry_after_s` says
    when a retry is likely to work, None when it is not. `recovered_after_s` is how long it took until the next
    generation was ready.
    """

    incident_id: str
    occurred_at: float
    node: str
    rank: int | None
    generation: int
    cause: Cause
    phase: Phase
    confidence: Confidence
    message: str
    advice: str
    retryable: bool
    evidence: tuple[str, ...] = ()
    suspects: tuple[int, ...] = ()
    certificates: tuple[DeathCertificate, ...] = ()
    task_ids: tuple[str, ...] = ()
    model: str | None = None
    next_step: str | None = None
    retry_after_s: float | None = None
    recovered_after_s: float | None = None
