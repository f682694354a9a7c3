"""A group: the ranks of one model, all for one. One rank's death ends a generation, never a single rank.

    STARTING --Start, placed, all ranks ready--> READY
    STARTING | RESTARTING --no place for the ranks--> DEGRADED --a node came, or time--> STARTING | RESTARTING
    STARTING --Adopt, of what an earlier head started--> READY
    STARTING | READY --a rank died--> RESTARTING: settle the verdict, release the survivors, wait until all ranks
                                      are gone, back off, start the next generation --all ranks ready--> READY
    RESTARTING --the policy gives up, all ranks gone--> FAILED
    any --Stop--> STOPPING --all ranks gone--> STOPPED

The verdict is what clients read. It is final `coincidence_s` after a certain local cause (two ranks that die together
are then both known), else when every rank has a certificate, else `verdict_settle_s` after the first death. Survivors
are released only after it: what they say by themselves until then is evidence.
"""

from collections.abc import Sequence

import msgspec

from diagnostics.incident import DeathCertificate
from diagnostics.verdict import fold, is_final
from supervisor.core.group_messages import (
    Abandon,
    AddCertificate,
    Adopt,
    AwaitRestart,
    BecomeReady,
    CannotPlace,
    DeclareVerdict,
    GroupAction,
    GroupInput,
    PlaceAgain,
    Placed,
    RankDied,
    RankReady,
    RankUnkillable,
    ReleaseRanks,
    Start,
    StartGeneration,
    Stop,
    Stopped,
    Tick,
)
from supervisor.core.restart import GiveUp, RestartAfter, RestartDecision, RestartPolicy
from transports.http.gateway import GroupState


class GroupLimits(msgspec.Struct, frozen=True):
    """How long a verdict may wait, in seconds, and when a group without a place looks for one though no node came.

    Memory is given back and downloads work again without a word from any node. The wait doubles up to the longest.
    """

    verdict_settle_s: float = 0.5
    coincidence_s: float = 0.02
    place_again_s: float = 30.0
    place_again_at_most_s: float = 300.0


class Group:
    """The machine. Feed it inputs with monotonic `now` in seconds; carry out what it returns, in order."""

    def __init__(self, world_size: int, limits: GroupLimits, policy: RestartPolicy) -> None:
        self._world_size = world_size
        self._limits = limits
        self._policy = policy
        self.generation = 0
        self.restarts = 0
        self.state = GroupState.STARTING
        self.reason: str | None = None
        self.deadline: float | None = None
        self._ready: set[int] = set()
        self._certificates: dict[int, DeathCertificate] = {}
        self._settling_until: float | None = None
        self._decision: RestartDecision | None = None
        self._alive: set[int] = set()
        self._has_failed = False
        self._over_nodes = False
        self._times_unplaced = 0

    @property
    def world_size(self) -> int:
        """How many ranks the generation has."""
        return self._world_size

    def handle(self, group_input: GroupInput, now: float) -> Sequence[GroupAction]:
        """Take one input; return what to do about it, in order."""
        match group_input:
            case Start(last_generation):
                return self._start_first(last_generation)
            case Adopt():
                return self._adopt(group_input, now)
            case Placed():
                return self._placed(group_input)
            case CannotPlace(generation, reason):
                return self._cannot_place(generation, reason, now)
            case PlaceAgain():
                return self._start_generation() if self.state is GroupState.DEGRADED else ()
            case Stop():
                return self._stop()
            case RankReady(rank, generation):
                return self._rank_ready(rank, generation, now)
            case RankDied(certificate):
                return self._rank_died(certificate, now)
            case RankUnkillable(rank, pid):
                return self._abandon(f"Process {pid} of rank {rank} outlived SIGKILL; its node needs a reboot.")
            case Tick():
                return self._tick(now)

    def _start_first(self, last_generation: int) -> Sequence[GroupAction]:
        if self.generation or self.state is not GroupState.STARTING:
            return ()
        self.generation = last_generation
        return self._start_generation()

    def _adopt(self, adopted: Adopt, now: float) -> Sequence[GroupAction]:
        if self.generation or self.state is not GroupState.STARTING:
            return ()
        self.generation = adopted.generation
        self._take_places(adopted)
        return self._become_ready(now)

    def _placed(self, placed: Placed) -> Sequence[GroupAction]:
        starting = self.state in (GroupState.STARTING, GroupState.RESTARTING)
        if placed.generation == self.generation and starting and not self._certificates and not self._ready:
            self._take_places(placed)
        return ()

    def _take_places(self, places: Placed | Adopt) -> None:
        self._times_unplaced = 0
        self._world_size = places.world_size
        self._alive = set(range(places.world_size))
        self._over_nodes = places.over_nodes

    def _cannot_place(self, generation: int, reason: str, now: float) -> Sequence[GroupAction]:
        if generation != self.generation:
            return ()
        self._alive.clear()
        if self.state is GroupState.STOPPING:
            return self._stopped_if_empty()
        if self.state in (GroupState.STOPPED, GroupState.FAILED):
            return ()
        # Nobody has seen this number, so the next try may have it.
        self.generation -= 1
        self.state = GroupState.DEGRADED
        self.reason = reason
        self.deadline = now + min(
            self._limits.place_again_s * 2.0**self._times_unplaced, self._limits.place_again_at_most_s
        )
        self._times_unplaced = min(self._times_unplaced + 1, 10)
        return ()

    def _start_generation(self) -> Sequence[GroupAction]:
        self.generation += 1
        if self.state is GroupState.DEGRADED:
            self.reason = None
        self.state = GroupState.RESTARTING if self._has_failed else GroupState.STARTING
        self.deadline = None
        self._ready.clear()
        self._certificates.clear()
        self._decision = None
        self._settling_until = None
        self._alive = set(range(self._world_size))
        return (StartGeneration(self.generation),)

    def _stop(self) -> Sequence[GroupAction]:
        if self.state in (GroupState.STOPPING, GroupState.STOPPED):
            return ()
        self.deadline = None
        if not self._alive:
            self.state = GroupState.STOPPED
            return (Stopped(),)
        self.state = GroupState.STOPPING
        return (ReleaseRanks(tuple(sorted(self._alive)), gracefully=not self._certificates),)

    def _rank_ready(self, rank: int, generation: int, now: float) -> Sequence[GroupAction]:
        starting = self.state in (GroupState.STARTING, GroupState.RESTARTING)
        if generation != self.generation or not starting or self._certificates or rank not in self._alive:
            return ()
        self._ready.add(rank)
        if len(self._ready) < self._world_size:
            return ()
        return self._become_ready(now)

    def _become_ready(self, now: float) -> Sequence[GroupAction]:
        self.state = GroupState.READY
        self.reason = None
        self._policy.ready(now)
        return (BecomeReady(self.generation),)

    def _rank_died(self, certificate: DeathCertificate, now: float) -> Sequence[GroupAction]:
        if certificate.generation != self.generation or certificate.rank not in self._alive:
            return ()
        self._alive.discard(certificate.rank)
        self._certificates[certificate.rank] = certificate
        if self.state is GroupState.STOPPING:
            return self._stopped_if_empty()
        if self._decision is not None:
            return (AddCertificate(certificate), *self._next_if_empty(now))
        if self._settling_until is None:
            self.state = GroupState.RESTARTING
            self._has_failed = True
            self._settling_until = now + self._limits.verdict_settle_s
        return self._settle(now)

    def _stopped_if_empty(self) -> Sequence[GroupAction]:
        if self._alive:
            return ()
        self.state = GroupState.STOPPED
        return (Stopped(),)

    def _settle(self, now: float) -> Sequence[GroupAction]:
        """Declare the verdict when it is due, else set the time at which it will be."""
        certificates = tuple(self._certificates[rank] for rank in sorted(self._certificates))
        if self._settling_until is None:
            return ()
        if not self._alive:
            self._settling_until = now
        elif is_final(certificates, self._world_size):
            self._settling_until = min(self._settling_until, now + self._limits.coincidence_s)
        if now < self._settling_until:
            self.deadline = self._settling_until
            return ()
        self.deadline = None
        self._settling_until = None
        verdict = fold(certificates, self._world_size, name_nodes=self._over_nodes)
        self.reason = verdict.sentence
        self._decision = self._policy.failed(now, verdict.kind)
        declared = DeclareVerdict(verdict, certificates, self._decision)
        if self._alive:
            return (declared, ReleaseRanks(tuple(sorted(self._alive)), gracefully=False))
        return (declared, *self._next_if_empty(now))

    def _next_if_empty(self, now: float) -> Sequence[GroupAction]:
        if self._alive or self._decision is None:
            return ()
        match self._decision:
            case RestartAfter(delay_s):
                self.deadline = now + delay_s
                return (AwaitRestart(delay_s),)
            case GiveUp(why):
                return self._abandon(f"Given up because {why}. Last failure: {self.reason}")

    def _abandon(self, reason: str) -> Sequence[GroupAction]:
        self.state = GroupState.FAILED
        self.deadline = None
        self.reason = reason
        return (Abandon(reason),)

    def _tick(self, now: float) -> Sequence[GroupAction]:
        if self.deadline is None or now < self.deadline:
            return ()
        if self._settling_until is not None:
            return self._settle(now)
        if self.state is GroupState.DEGRADED:
            return self._start_generation()
        self.restarts += 1
        return self._start_generation()
