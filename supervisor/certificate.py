"""Everything that a supervisor saw of one runner's death -> the death certificate."""

import sys

import msgspec

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.evidence import (
    Condemnation,
    DeathEvidence,
    ExitStatus,
    OperatingSystem,
    RunnerTerminationError,
    StreamReport,
    SupervisorFinding,
)
from diagnostics.incident import DeathCertificate
from diagnostics.memory_evidence import MemoryEvidence
from diagnostics.phase import Phase
from supervisor.launch import RunnerLaunch
from supervisor.stack_dump import dead_man_fired, read_stacks

OUR_SYSTEM = OperatingSystem.DARWIN if sys.platform == "darwin" else OperatingSystem.LINUX
_DEAD_MAN_EXIT = ExitStatus(code=1)


class Remains(msgspec.Struct, frozen=True):
    """What is left of a runner. `pid` is 0 and `exit_status` None when it never ran; `died_at_s` is monotonic."""

    pid: int
    phase: Phase
    exit_status: ExitStatus | None
    died_at_s: float
    stderr: StreamReport
    step: int = 0
    termination_error: RunnerTerminationError | None = None
    finding: SupervisorFinding | None = None
    signals_sent: tuple[int, ...] = ()
    tasks_in_flight: int = 0
    memory: MemoryEvidence | None = None
    condemned: Condemnation | None = None


def certify(launch: RunnerLaunch, remains: Remains) -> DeathCertificate:
    """Classify one death and write it down, with the stacks that the runner left. Blocks briefly to read those."""
    stacks = read_stacks(launch.dump_path)
    # A runner announces that it works when a task is admitted; what comes before, such as its template, is work, too.
    phase = Phase.RUNNING if remains.phase is Phase.READY and remains.tasks_in_flight else remains.phase
    evidence = DeathEvidence(
        operating_system=OUR_SYSTEM,
        phase=phase,
        exit_status=remains.exit_status,
        stderr=remains.stderr,
        termination_error=remains.termination_error,
        finding=remains.finding or _dead_man(launch, remains, stacks),
        signals_sent=remains.signals_sent,
        tasks_in_flight=remains.tasks_in_flight,
        memory=remains.memory,
        condemned=remains.condemned,
    )
    died_at_s = remains.died_at_s if remains.condemned is None else min(remains.died_at_s, remains.condemned.at_s)
    return DeathCertificate(
        rank=launch.rank,
        generation=launch.generation,
        node=launch.node,
        pid=remains.pid,
        phase=phase,
        diagnosis=classify(evidence),
        exit_status=remains.exit_status,
        died_at_s=died_at_s,
        step=remains.step,
        drained=remains.stderr.drained,
        signals_sent=remains.signals_sent,
        termination_error=remains.termination_error,
        stderr_tail=remains.stderr.tail,
        stacks=stacks,
        memory=remains.memory,
    )


def _dead_man(launch: RunnerLaunch, remains: Remains, stacks: str) -> SupervisorFinding | None:
    """The dead-man's switch exits with a plain 1; its stacks tell it from every other exit with 1."""
    if remains.exit_status != _DEAD_MAN_EXIT or remains.termination_error is not None or not dead_man_fired(stacks):
        return None
    held_s = launch.configure.dead_man_s
    return SupervisorFinding(Cause.STALLED, f"could not run Python for {held_s:g} s; a C call held the GIL")
