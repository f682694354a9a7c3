"""How a group's supervisor gets its ranks: somebody finds a place for each, then each is run."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from diagnostics.incident import DeathCertificate
from supervisor.launch import GroupSpec
from supervisor.observers import RunnerObserver
from supervisor.rank_handle import RankHandle


class PreparedGeneration(NamedTuple):
    """Every rank has its place; no process runs before its handle does. `spec` is the group's, as it was placed."""

    spec: GroupSpec
    ranks: Sequence[RankHandle]


class Earlier(NamedTuple):
    """What an earlier supervisor left: the last generation that it started, and its ranks when they serve still.

    `deaths` are those of that generation which nobody has told of yet.
    """

    last_generation: int = 0
    running: PreparedGeneration | None = None
    deaths: tuple[DeathCertificate, ...] = ()


class CannotPlace(Exception):
    """There is no place for the ranks now; the text is one sentence. Another try is worth it when nodes change."""


class CannotStart(Exception):
    """The start failed before any process ran.

    Args:
        certificates: One for each rank that would have been; those of the ranks to blame have a cause of their own.
    """

    def __init__(self, certificates: Sequence[DeathCertificate]) -> None:
        super().__init__(certificates[0].diagnosis.message if certificates else "no rank could be prepared")
        self.certificates = tuple(certificates)


class GenerationStarter(Protocol):
    """Prepares the ranks of one generation after the other."""

    async def earlier(self, observer: RunnerObserver) -> Earlier:
        """Find out what there is to take over, before the first generation. Bounded in time."""
        ...

    async def prepare(self, generation: int, observer: RunnerObserver) -> PreparedGeneration:
        """Find a place for each rank. Bounded in time; cancelling it leaves nothing behind.

        Raises:
            CannotPlace: There is none.
            CannotStart: Something that a start needs does not work.
        """
        ...
