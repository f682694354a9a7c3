"""Trying MLX where it cannot hurt: in a child that may raise, crash or hang, and whose end is then explained."""

import re
import subprocess
import sys
from collections.abc import Mapping

import anyio
import msgspec

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import DeathEvidence, ExitStatus, OperatingSystem, StreamReport, SupervisorFinding
from diagnostics.exit_status import describe_exit
from diagnostics.incident import Diagnosis
from diagnostics.phase import Phase
from supervisor.guard import Guard
from supervisor.process import supervise_process

_MAX_KEPT_BYTES = 64 * 1024
_MAX_FRAMES = 6
_LAST_CHANCE_S = 5.0
"""How much longer than its own deadline a child gets: one that cannot even end itself is killed then."""

_STOOD_STILL = re.compile(rb"^Timeout \(\d+:\d\d:\d\d", re.MULTILINE)
"""How faulthandler begins the stacks of a process that it ends (CPython Modules/faulthandler.c)."""

_STACK = "(most recent call first):"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """One line of `runner.self_check`: a step that worked, and what it found."""

    step: str
    version: str = ""
    file: str = ""
    metal: bool = False
    device: str = ""
    is_right: bool = False
    rank: int = -1
    size: int = 0
    total: float = 0.0


class Attempt(msgspec.Struct, frozen=True):
    """What came of one child. `exit_status` is None for one that had to be killed, or never started.

    `stood_still` means that it did not end within its deadline; `stood_at` is where it was then, or as it crashed, the
    innermost frame first; `problem` means that it could not be started at all.
    """

    steps: Mapping[str, Step]
    exit_status: ExitStatus | None
    stderr: StreamReport
    deadline_s: float
    stood_still: bool = False
    stood_at: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def succeeded(self) -> bool:
        """It did all that it was asked to."""
        return self.exit_status == ExitStatus(code=0)

    def diagnosis(self, system: OperatingSystem) -> Diagnosis:
        """Return why it failed, as a runner's death is judged."""
        finding = None
        if self.stood_still:
            finding = SupervisorFinding(Cause.STALLED, f"did not end within {self.deadline_s:g} s")
        evidence = DeathEvidence(
            operating_system=system,
            phase=Phase.IDLE,
            exit_status=self.exit_status,
            stderr=self.stderr,
            finding=finding,
        )
        return classify(evidence)

    def end_in_words(self, system: OperatingSystem) -> str:
        """Return how the child ended, as the end of a sentence about it."""
        if self.problem is not None:
            return f"could not be started: {self.problem}"
        if self.stood_still:
            return f"did not end within {self.deadline_s:g} s and was ended"
        return describe_exit(self.exit_status, system)


async def attempt(
    check: str, environment: Mapping[str, str], system: OperatingSystem, guard: Guard, *, deadline_s: float
) -> Attempt:
    """Run `python -m runner.self_check` and return what came of it. Takes 12 s longer than the deadline at worst.

    It runs in the current folder, as a runner would: a folder named mlx there comes before the one that is installed.

    Args:
        check: `mlx` or `ring`.
        environment: The child's, as a runner would get it.
        system: Whose errno and signal numbers it writes.
        guard: Ends the child should this process be killed.
        deadline_s: When the child ends itself.
    """
    command = [sys.executable, "-m", "runner.self_check", check, f"{deadline_s:g}"]
    stdout, stderr, status, problem = b"", b"", None, None
    with anyio.move_on_after(deadline_s + _LAST_CHANCE_S) as scope:
        try:
            ended = await supervise_process(
                command,
                accumulate=("stdout", "stderr"),
                max_kept_bytes=_MAX_KEPT_BYTES,
                guard=guard,
                env=dict(environment),
            )
            stdout, stderr, status = ended.stdout, ended.stderr, ExitStatus(code=0)
        except subprocess.CalledProcessError as failure:
            stdout, stderr = failure.stdout, failure.stderr
            code = failure.returncode
            status = ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code)
        except OSError as refusal:
            problem = refusal.strerror or str(refusal)
    collector = DiagnosticCollector(system)
    collector.feed(stderr)
    return Attempt(
        steps=_steps(stdout),
        exit_status=status,
        stderr=collector.finish(),
        deadline_s=deadline_s,
        stood_still=scope.cancelled_caught or _STOOD_STILL.search(stderr) is not None,
        stood_at=_frames(stderr),
        problem=problem,
    )


def _frames(stderr: bytes) -> tuple[str, ...]:
    """Where faulthandler says that the process stood, at its deadline or as it crashed: the innermost frames first.

    Of several threads, the one that crashed counts, else the one that makes the check.
    """
    text = stderr.decode("utf-8", "replace")
    stacks = [stack for stack in text.split("\n\n") if _STACK in stack]
    told = [stack for stack in stacks if stack.lstrip().startswith("Current thread")]
    told = told or [stack for stack in stacks if "self_check.py" in stack] or stacks
    frames = [line.strip() for line in told[0].splitlines() if line.startswith("  File ")] if told else []
    return tuple(frame for frame in frames if "<frozen importlib" not in frame)[:_MAX_FRAMES]


def _steps(stdout: bytes) -> dict[str, Step]:
    """What the child told; lines that are none of its are left out: a library may print, too."""
    found: dict[str, Step] = {}
    for line in stdout.splitlines():
        try:
            step = msgspec.json.decode(line, type=Step)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        found[step.step] = step
    return found
