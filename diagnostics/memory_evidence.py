"""What a machine tells about its memory around one runner's death. Values only; `diagnostics.kill` judges them."""

import msgspec


class FootprintSample(msgspec.Struct, frozen=True):
    """How much memory the runner held at one moment of its life.

    `available_bytes` is what the machine could still give to any process; None where it was not readable.
    """

    before_death_s: float
    footprint_bytes: int
    available_bytes: int | None = None


class MemoryKill(msgspec.Struct, frozen=True):
    """One process that the system says it killed for want of memory. `words` is its record, bounded."""

    pid: int
    name: str
    words: str
    resident_bytes: int | None = None


class MemoryEvidence(msgspec.Struct, frozen=True):
    """Everything that was looked at, whether it told anything or not.

    `kills` are those that the system wrote down close to the death, whoever was killed. `pids_agree` is False where
    the system's pids are not ours (a container), so that only names can be compared. `counted_kills` is by how much
    the out-of-memory counter of the runner's cgroup rose as it died. `limit_bytes` is the least of the machine's
    memory and the limits of its cgroups. `footprint` is oldest first. `looked_at` are the sources that could be read
    and would have told; `no_answer` those that could not be read, or may still tell later.
    """

    pid: int
    name: str
    kills: tuple[MemoryKill, ...] = ()
    pids_agree: bool = True
    counted_kills: int = 0
    limit_bytes: int | None = None
    footprint: tuple[FootprintSample, ...] = ()
    looked_at: tuple[str, ...] = ()
    no_answer: tuple[str, ...] = ()
