"""How a node is taken into a cluster: `Hello`, answered by `Welcome` or `Refused`."""

import msgspec

from diagnostics.incident import DeathCertificate, Generation
from diagnostics.phase import Phase
from transports.cluster.node_facts import NodeFacts
from transports.messages import Backend, ModelFacts, Parallelism

PROTOCOL_VERSION = 1


class RunningRank(msgspec.Struct, frozen=True):
    """A rank that a node keeps warm: what a head needs to know to adopt it.

    `plan` names what the group was told; `facts` is what the runner said of its model.
    """

    generation: Generation
    rank: int
    world_size: int
    pid: int
    phase: Phase
    step: int
    plan: str
    parallel: Parallelism
    backend: Backend
    facts: ModelFacts | None = None


class Hello(msgspec.Struct, frozen=True, tag=True):
    """A node's first message, repeated until it is answered. `deaths` are those that no head has heard of yet."""

    protocol_version: int
    facts: NodeFacts
    running: tuple[RunningRank, ...] = ()
    deaths: tuple[DeathCertificate, ...] = ()
    followed_epoch: int = 0


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """The head takes the node in. `epoch` numbers the head's starts; a node never follows a lower one again.

    `node` is the name by which the cluster knows it; `api_url` is where the head's clients ask.
    """

    cluster_id: str
    epoch: int
    node: str
    api_url: str
    events_from: int
    heartbeat_s: float
    node_silence_s: float


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The head does not take the node in. `permanent` ones are not worth another try without a person."""

    reason: str
    remedy: str
    permanent: bool
