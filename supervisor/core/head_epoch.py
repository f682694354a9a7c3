"""Fencing: which head a node follows, and when a head has been overtaken by a later one.

The theory. A cluster has one identity and its head a number that grows with each start, the epoch. A node belongs to
the first cluster that it joined and follows only heads of that cluster, never one with a lower epoch than it followed
before: such a head is an old one that came back, or runs from a copy of old state. Leaving a cluster is a person's act.
Two heads with equal epochs run from copies of one state directory; a key that is pinned does not tell them apart, the
lock on the directory is what prevents it on one machine.
"""

import msgspec

from transports.cluster.handshake import Hello, Welcome

FOLLOWED_FILE = "cluster.json"
"""Where a node's state directory keeps the head that it followed last."""
_FORGET = (
    f"If that is the right one, stop the node, delete {FOLLOWED_FILE} in its state directory, and join again; "
    "else give `ringwarden join` the address of its own head."
)


class HeadIdentity(msgspec.Struct, frozen=True):
    """A cluster's head at one of its starts. Epochs begin with 1."""

    cluster_id: str
    epoch: int


class Follow(msgspec.Struct, frozen=True, tag=True):
    """Follow this head. `changed` when it has to be written down first."""

    head: HeadIdentity
    changed: bool


class Refuse(msgspec.Struct, frozen=True, tag=True):
    """Do not. Neither a retry nor a wait helps; `remedy` is for a person."""

    reason: str
    remedy: str


Judgement = Follow | Refuse


def judge(welcome: Welcome, followed: HeadIdentity | None) -> Judgement:
    """What a node does about a head that takes it in.

    Args:
        welcome: What the head said; it proved its key, but may be an old head, or another cluster's.
        followed: The head that this node followed last; None when it never joined a cluster.
    """
    head = HeadIdentity(welcome.cluster_id, welcome.epoch)
    if not head.cluster_id or head.epoch < 1:
        return Refuse("The head told no valid cluster id and epoch.", "Use the same version of Ringwarden on both.")
    if followed is None:
        return Follow(head, changed=True)
    if head.cluster_id != followed.cluster_id:
        return Refuse(
            f"The head belongs to cluster {head.cluster_id}, this node to cluster {followed.cluster_id}.", _FORGET
        )
    if head.epoch < followed.epoch:
        return Refuse(
            f"The head is at epoch {head.epoch}, and this node has followed epoch {followed.epoch} of its cluster.",
            "It is an old head, or runs from a copy of old state: stop it, and start the newest one again.",
        )
    return Follow(head, changed=head != followed)


def overtaken(own: HeadIdentity, hello: Hello) -> str | None:
    """Why this head must not go on, when a node of its cluster has followed a later one; else None.

    Args:
        own: This head.
        hello: What a node of its cluster said. `followed_epoch` 0 means that it never followed any.
    """
    if hello.followed_epoch <= own.epoch:
        return None
    return (
        f"A node has followed epoch {hello.followed_epoch} of this cluster, this head is at epoch {own.epoch}: "
        "another head of the cluster has been started since, or this one runs from a copy of old state."
    )
