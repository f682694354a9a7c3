"""What the group machine is told, and what it wants done."""

import msgspec

from diagnostics.incident import DeathCertificate, Verdict
from supervisor.core.restart import RestartDecision

# --- inputs ---


class Start(msgspec.Struct, frozen=True, tag=True):
    """Begin the first generation: the one after `last_generation`, which an earlier supervisor reached."""

    last_generation: int = 0


class Adopt(msgspec.Struct, frozen=True, tag=True):
    """Take over a generation that serves already, instead of starting one."""

    generation: int
    world_size: int
    over_nodes: bool = False


class Placed(msgspec.Struct, frozen=True, tag=True):
    """Every rank of the generation has its place, and its process is about to start.

    Of a group `over_nodes`, verdicts name the nodes.
    """

    generation: int
    world_size: int
    over_nodes: bool = False


class CannotPlace(msgspec.Struct, frozen=True, tag=True):
    """There is no place for the generation's ranks now; nothing was started. `reason` is one sentence."""

    generation: int
    reason: str


class PlaceAgain(msgspec.Struct, frozen=True, tag=True):
    """There may be a place now."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End the group for good; tasks in flight end as cancelled by shutdown."""


class RankReady(msgspec.Struct, frozen=True, tag=True):
    """A rank announced READY."""

    rank: int
    generation: int


class RankDied(msgspec.Struct, frozen=True, tag=True):
    """A rank's process is reaped and its process group empty; the certificate says why."""

    certificate: DeathCertificate


class RankUnkillable(msgspec.Struct, frozen=True, tag=True):
    """A rank's process outlived SIGKILL: nothing may be started beside it."""

    rank: int
    pid: int


class Tick(msgspec.Struct, frozen=True, tag=True):
    """Time has passed; sent when `deadline` is reached."""


GroupInput = Start | Adopt | Placed | CannotPlace | PlaceAgain | Stop | RankReady | RankDied | RankUnkillable | Tick


# --- actions ---


class StartGeneration(msgspec.Struct, frozen=True, tag=True):
    """Find a place for each rank of this generation; `Placed` or `CannotPlace` answers. Then start the runners."""

    generation: int


class BecomeReady(msgspec.Struct, frozen=True, tag=True):
    """Every rank is ready: tasks may be sent."""

    generation: int


class DeclareVerdict(msgspec.Struct, frozen=True, tag=True):
    """The generation failed for this reason: make the incident, end the tasks in flight with it.

    `decision` is what follows once all ranks are gone.
    """

    verdict: Verdict
    certificates: tuple[DeathCertificate, ...]
    decision: RestartDecision


class AddCertificate(msgspec.Struct, frozen=True, tag=True):
    """A certificate came after the verdict: complete the incident with it."""

    certificate: DeathCertificate


class ReleaseRanks(msgspec.Struct, frozen=True, tag=True):
    """End these ranks; `gracefully` when they can still finish their token, not when a peer is dead."""

    ranks: tuple[int, ...]
    gracefully: bool


class AwaitRestart(msgspec.Struct, frozen=True, tag=True):
    """All ranks are gone; the next generation starts after `delay_s`."""

    delay_s: float


class Abandon(msgspec.Struct, frozen=True, tag=True):
    """All ranks are gone and no generation follows."""

    reason: str


class Stopped(msgspec.Struct, frozen=True, tag=True):
    """All ranks are gone because the group was asked to stop."""


GroupAction = (
    StartGeneration | BecomeReady | DeclareVerdict | AddCertificate | ReleaseRanks | AwaitRestart | Abandon | Stopped
)
