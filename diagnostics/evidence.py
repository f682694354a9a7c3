"""What is known about one dead (or dying) runner before anybody decides what it means."""

from enum import StrEnum

import msgspec

from diagnostics.cause import Cause
from diagnostics.memory_evidence import MemoryEvidence
from diagnostics.phase import Phase


class OperatingSystem(StrEnum):
    """The system a log was written on: errno and signal numbers differ between the two."""

    DARWIN = "darwin"
    LINUX = "linux"


class RunnerTerminationError(msgspec.Struct, frozen=True, tag=True):
    """The exception that ended a runner, sent by the runner itself as its last frame.

    `type_name` is the qualified class name, `message` is `str(exception)`, `traceback` is the formatted chain of
    exceptions, oldest cause first.
    """

    type_name: str
    message: str
    representation: str
    traceback: str


class ExitStatus(msgspec.Struct, frozen=True):
    """How a process ended: exactly one of `code` and `signal` is set."""

    code: int | None = None
    signal: int | None = None


class Diagnostic(msgspec.Struct, frozen=True):
    """One recognised thing in a stream. `line` is the 0-based index of the (first) line; `count` how often it was seen.

    `evidence` is a bounded excerpt of the stream around the line, in order, and `evidence_lines` the numbers of its
    lines. `symptom` is True for what only says that a peer went away, or what follows from another fault.
    `handled` ones were caught, as far as the lines around them tell: no failure, unless the process ended right there.
    """

    kind: Cause
    line: int
    count: int
    message: str
    text: str
    evidence: tuple[str, ...]
    signature_id: str
    fatal: bool
    symptom: bool
    evidence_lines: tuple[int, ...] = ()
    handled: bool = False


class StreamReport(msgspec.Struct, frozen=True):
    """What a collector knows about one stream when asked. `drained` is False when EOF was not reached in time."""

    diagnostics: tuple[Diagnostic, ...] = ()
    root_cause: Diagnostic | None = None
    tail: tuple[str, ...] = ()
    total_lines: int = 0
    total_bytes: int = 0
    unclassified_lines: int = 0
    drained: bool = True


class SupervisorFinding(msgspec.Struct, frozen=True):
    """What only the supervisor saw: a protocol violation, a start that took too long, a stall. `kind` names which."""

    kind: Cause
    message: str


class Condemnation(msgspec.Struct, frozen=True):
    """The moment in which the supervisor decided to end a runner: what it said later only follows from that.

    `stderr_lines` is how many lines it had written, `had_raised` whether its last exception had arrived. `at_s` is
    monotonic.
    """

    at_s: float
    stderr_lines: int
    had_raised: bool


class DeathEvidence(msgspec.Struct, frozen=True):
    """Everything known about one runner's death; input of `diagnostics.classify.classify`.

    `exit_status` None means that the process has not ended. `signals_sent` is the supervisor's own ledger of signals
    to this process, oldest first; they explain an exit by that signal, unless a finding explains why they were sent.
    `supervised` is False for a process that nobody watched: then nobody knows who sent a signal, either.
    `memory` None means that nobody looked whether memory ran out. `condemned` belongs to `finding`.
    """

    operating_system: OperatingSystem
    phase: Phase
    exit_status: ExitStatus | None
    stderr: StreamReport
    termination_error: RunnerTerminationError | None = None
    finding: SupervisorFinding | None = None
    signals_sent: tuple[int, ...] = ()
    tasks_in_flight: int = 0
    supervised: bool = True
    memory: MemoryEvidence | None = None
    condemned: Condemnation | None = None
