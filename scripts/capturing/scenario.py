"""What one scenario is, and what one run of it left."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from capturing.environment import Environment

ALIVE = "alive"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a run happens: the environment, a folder for its files, and the models made for it."""

    environment: Environment
    scratch: Path
    models: Path


@dataclass(frozen=True, slots=True)
class Command:
    """One process to run. `environ` is added to the environment; `limits` are `resource.RLIMIT_*` names.

    `with_stdout` keeps its stdout in the same file: what a person sees who starts it by hand.
    """

    argv: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict[str, str])
    limits: dict[str, int] = field(default_factory=dict[str, int])
    with_stdout: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process left: its stderr, and how it ended: a code, a negative signal number, or `ALIVE`."""

    stderr: str
    exit: int | str


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened, known because the scenario did it.

    `marker` is a pattern for the line that says so, on `rank` (or the first rank); empty where no line does. A `rank`
    that was never started says nothing: then the last of the others does.
    `without` is a pattern that must not be there: where MLX says it, it is another scenario's failure.
    `exits` are the exits that show that it happened as planned; empty for any.
    """

    kind: str | None
    rank: int | None = None
    marker: str = ""
    exits: tuple[int | str, ...] = ()
    without: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A failure that can be provoked. `commands` prepares the files that it needs and says what to run.

    A run is watched for `watch_s`, and for `settle_s` once one of its processes has ended. `ranks` are the
    numbers of its processes where they are not 0, 1, ….
    """

    name: str
    corpus: str
    truth: Truth
    commands: Callable[[Workshop], list[Command]]
    watch_s: float = 20.0
    settle_s: float = 1.5
    ranks: tuple[int, ...] = ()
