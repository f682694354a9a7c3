"""The cluster's vocabulary: what the head tells its nodes, what nodes tell the head, what everybody hears.

Everything is a frozen tagged struct; the unions are the whole protocol. Each message about a rank carries its
generation: a node drops those of an old one, and so does the head. A head never sends paths of its own disk.
"""

import msgspec

from diagnostics.evidence import SupervisorFinding
from diagnostics.incident import DeathCertificate, Incident
from transports.cluster.requests import NodeAnswer, NodeRequest
from transports.http.gateway import GroupState
from transports.markers import Segment
from transports.messages import Command, Configure, RunnerEvent
from transports.output_events import OutputStream, TaskStderr, TaskStdout

# --- requests ---


class Ask(msgspec.Struct, frozen=True, tag=True):
    """A request with its number; the node answers once, or not at all after `deadline_s`."""

    request_id: int
    deadline_s: float
    request: NodeRequest


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The answer to the request of that number. Late ones are dropped."""

    request_id: int
    answer: NodeAnswer


# --- orders of the head about ranks ---


class StartRank(msgspec.Struct, frozen=True, tag=True):
    """Start one runner. The node puts its own paths into `configure.model`, and `files` beside the rank's others.

    `environment` is added to the node's own; `{folder}` in a value is where `files` are. `plan` names the whole
    group's settings: a head adopts only ranks of the plan that it would start itself.
    """

    configure: Configure
    environment: dict[str, str]
    files: dict[str, str]
    plan: str


class RankCommand(msgspec.Struct, frozen=True, tag=True):
    """A command for one runner."""

    generation: int
    rank: int
    command: Command


class StopRank(msgspec.Struct, frozen=True, tag=True):
    """End a runner, `gracefully` when it can still finish its token."""

    generation: int
    rank: int
    gracefully: bool


class CondemnRank(msgspec.Struct, frozen=True, tag=True):
    """End a living runner because of what the head found."""

    generation: int
    rank: int
    finding: SupervisorFinding


class DumpStacks(msgspec.Struct, frozen=True, tag=True):
    """Make a runner write its stacks; it goes on."""

    generation: int
    rank: int


class TasksInFlight(msgspec.Struct, frozen=True, tag=True):
    """How many requests the group owes an end: a rank that leaves now leaves them behind."""

    generation: int
    tasks: int


RankOrder = StartRank | RankCommand | StopRank | CondemnRank | DumpStacks | TasksInFlight


class IncidentsSoFar(msgspec.Struct, frozen=True, tag=True):
    """The cluster's newest incidents, for a node that may have missed them; the newest first."""

    incidents: tuple[Incident, ...]


ToNode = Ask | RankOrder | IncidentsSoFar


# --- what a node tells ---


class RankEvent(msgspec.Struct, frozen=True, tag=True):
    """What a runner said on its channel."""

    generation: int
    rank: int
    event: RunnerEvent


class RankStarted(msgspec.Struct, frozen=True, tag=True):
    """A runner's process exists."""

    generation: int
    rank: int
    pid: int


class RankTaskOutput(msgspec.Struct, frozen=True, tag=True):
    """Output of a runner that belongs to tasks. The stream itself stays in the node's raw logs."""

    generation: int
    rank: int
    stream: OutputStream
    segments: tuple[Segment, ...]
    lines: tuple[TaskStdout | TaskStderr, ...]
    serial: int


class RankDied(msgspec.Struct, frozen=True, tag=True):
    """A runner is reaped and its process group empty."""

    certificate: DeathCertificate


class RankAmended(msgspec.Struct, frozen=True, tag=True):
    """The system told more about a death later."""

    certificate: DeathCertificate


class RankUnkillable(msgspec.Struct, frozen=True, tag=True):
    """A runner outlived SIGKILL."""

    generation: int
    rank: int
    pid: int


FromNode = Answer | RankEvent | RankStarted | RankTaskOutput | RankDied | RankAmended | RankUnkillable


# --- what everybody hears ---


class IncidentDeclared(msgspec.Struct, frozen=True, tag=True):
    """An incident, or a later version of it: every node keeps the same."""

    incident: Incident


class GroupChanged(msgspec.Struct, frozen=True, tag=True):
    """The group entered a state."""

    state: GroupState
    generation: int
    reason: str | None = None


ClusterEvent = IncidentDeclared | GroupChanged
