"""Whom a ring rank's complaint points at.

Small collectives send to the left (rank - 1) and receive from the right (rank + 1) in MLX's ring, so a rank whose first
complaint is about receiving, or about a closed socket, points to its right neighbour, and one whose first complaint
is about sending points to its left. Large messages use both ways, which makes it a hint and no proof.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accusation:
    """`rank`'s first complaint about a socket."""

    rank: int
    line: str


def accused(accusations: Iterable[Accusation], world_size: int) -> tuple[int, ...]:
    """The ranks that complaints point at: one when all agree, none without complaints.

    Args:
        accusations: At most one per rank, in any order.
        world_size: How many ranks the ring has, at least 1.
    """
    return tuple(sorted({_points_at(accusation, max(1, world_size)) for accusation in accusations}))


def _points_at(accusation: Accusation, world_size: int) -> int:
    step = -1 if "ending to" in accusation.line else 1
    return (accusation.rank + step) % world_size


def unreached(refused: Iterable[int], world_size: int) -> tuple[int, ...]:
    """The ranks that nobody got through to although they were not themselves refused.

    Each rank of MLX's ring connects to its right neighbour, and lets nobody in before its own turn, so a rank that
    was refused is no reason of its own: the reason is where the chain ends. Empty when the chain is a circle.

    Args:
        refused: The ranks that could not connect to their right neighbour.
        world_size: How many ranks the ring has, at least 1.
    """
    failed = set(refused)
    return tuple(sorted({(rank + 1) % max(1, world_size) for rank in failed} - failed))
