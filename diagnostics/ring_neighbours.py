"""Whom a ring rank's complaint points at.

Small collectives send to the left (rank - 1) and receive from the right (rank + 1) in MLX's ring, so a rank whose first
complaint is about receiving, or about a closed socket, points to its right neighbour, and one whose first complaint
is about sending points to its left. Large messages use both ways, which makes it a hint and no proof.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accusation:
    """`rank`'s first complaint about a socket."""

    rank: int
    line: str


def accused(accusations: Iterable[Accusation], world_size: int) -> tuple[int, ...]:
    """The ranks that most complaints point at; several when it is a draw, none without complaints.

    Args:
        accusations: At most one per rank, in any order.
        world_size: How many ranks the ring has, at least 1.
    """
    votes: Counter[int] = Counter()
    for accusation in set(accusations):
        step = -1 if "ending" in accusation.line else 1
        votes[(accusation.rank + step) % max(1, world_size)] += 1
    most = max(votes.values(), default=0)
    return tuple(sorted(rank for rank, count in votes.items() if count == most))
