"""What a head asks of a node, each to be answered once."""

from typing import Annotated

import msgspec
from msgspec import Meta

from transports.messages import Parallelism


class PrepareModel(msgspec.Struct, frozen=True, tag=True):
    """Have this model on the node's disk: `tiny`, a folder of the node's own, or a Hugging Face repository id."""

    model: str


class ModelPrepared(msgspec.Struct, frozen=True, tag=True):
    """It is there. `digest` tells whether two nodes have the same one; `weight_bytes` is what has to fit.

    `splits` are the ways in which the node's mlx-lm may be able to split it.
    """

    model_id: str
    digest: str
    weight_bytes: int
    layers: int
    attention_heads: int
    key_value_heads: int
    splits: tuple[Parallelism, ...] = ("tensor", "pipeline")


class ReservePorts(msgspec.Struct, frozen=True, tag=True):
    """Find ports on `address` that were free a moment ago, for the ring of one generation."""

    address: str
    count: int


Port = Annotated[int, Meta(ge=0, le=65_535)]


class PortsReserved(msgspec.Struct, frozen=True, tag=True):
    """They are."""

    ports: tuple[Port, ...]


class OpenProbe(msgspec.Struct, frozen=True, tag=True):
    """Listen on `address` for one probe that shows `nonce`: never on a ring's port, MLX would lose its neighbour."""

    address: str
    nonce: str
    open_s: float


class ProbeOpened(msgspec.Struct, frozen=True, tag=True):
    """The listener waits on this port. `errno` is set, and `port` 0, when it could not listen."""

    port: Port
    errno: int | None = None


class ProbeEdge(msgspec.Struct, frozen=True, tag=True):
    """Connect to a listener of another node, from `from_address` if one is given, and show it `nonce`."""

    host: str
    port: Port
    nonce: str
    timeout_s: float
    from_address: str | None = None


class EdgeProbed(msgspec.Struct, frozen=True, tag=True):
    """How that went: neither field is set when it worked. `errno` is a number of the probing node's system."""

    errno: int | None = None
    problem: str | None = None


class VerifyGone(msgspec.Struct, frozen=True, tag=True):
    """End every runner of the generations before this one, and answer when they, and their groups, are gone."""

    before_generation: int


class VerifiedGone(msgspec.Struct, frozen=True, tag=True):
    """What is left: empty when the node is clean. `available_memory_bytes` is what a model could take there now."""

    remaining_pids: tuple[int, ...]
    available_memory_bytes: int


class ObserveRanks(msgspec.Struct, frozen=True, tag=True):
    """Look at this node's ranks for a moment: who computes, who waits, who is stopped."""

    generation: int
    observe_s: float


class RankObserved(msgspec.Struct, frozen=True):
    """One rank's process. `cpu_share` is its use of a core while it was looked at; None when it cannot be read."""

    rank: int
    stopped: bool
    cpu_share: float | None


class RanksObserved(msgspec.Struct, frozen=True, tag=True):
    """What was seen."""

    ranks: tuple[RankObserved, ...]


class RequestFailed(msgspec.Struct, frozen=True, tag=True):
    """The node could not do it. `remedy` is for a person."""

    problem: str
    remedy: str = ""
    errno: int | None = None


NodeRequest = PrepareModel | ReservePorts | OpenProbe | ProbeEdge | VerifyGone | ObserveRanks
NodeAnswer = ModelPrepared | PortsReserved | ProbeOpened | EdgeProbed | VerifiedGone | RanksObserved | RequestFailed
