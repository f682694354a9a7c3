"""How far each rank came while MLX formed its ring, from the lines that `MLX_RING_VERBOSE` prints.

A rank prints `[ring] Rank R accepting` before it waits for its left neighbour and `[ring] Rank R connecting to S`
before it calls its right one. All accept first, except the last rank, which calls rank 0 first: that starts the chain.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_STEP = re.compile(r"\[ring\] Rank (?P<rank>\d{1,4}) (?:(?P<accepting>accepting)|connecting to (?P<to>\d{1,4}))")
_GROUP_SIZE = re.compile(r"for a group of size (?P<size>\d{1,4})\b")
_LARGEST_RING = 4096


@dataclass(frozen=True, slots=True)
class Forming:
    """`claimed` is the number that the process gave itself, `waits_for` the rank that it was at when it last told.

    `waits_for` -1 stands for the last rank of the ring, whatever its number. `least_size` is the smallest ring that
    can have told this, `exact_size` the only one, where it is known.
    """

    claimed: int
    waits_for: int
    least_size: int
    exact_size: int | None
    accepting: bool


def read_forming(lines: Iterable[str]) -> Forming | None:
    """What one process told of forming its ring; None when it told nothing."""
    steps = [found for line in lines for found in _STEP.finditer(line)]
    if not steps:
        return None
    last, claimed = steps[-1], int(steps[-1]["rank"])
    called = [int(step["to"]) for step in steps if step["to"] is not None]
    to_first = bool(called) and called[-1] < claimed
    accepted_first = steps[0]["accepting"] is not None
    least = max([claimed + 1, *(one + 1 for one in called), claimed + 2 if accepted_first else 0])
    waits_for = claimed - 1 if last["accepting"] else int(last["to"])
    exact = claimed + 1 if to_first else None
    return Forming(claimed, waits_for, min(least, _LARGEST_RING), exact, last["accepting"] is not None)


def ring_size(ranks: Iterable[int], formings: Iterable[Forming], lines: Iterable[str]) -> int:
    """The smallest ring that fits the numbers of the ranks and what they told."""
    told = [int(found["size"]) for line in lines for found in _GROUP_SIZE.finditer(line)]
    least = [one.exact_size or one.least_size for one in formings]
    return max(1, *(rank + 1 for rank in ranks), *least, *(size for size in told if size <= _LARGEST_RING))


def misnumbered(formings: Mapping[int, Forming]) -> tuple[int, int] | None:
    """The process that took another one's number, and that number; None when nobody did."""
    for rank in sorted(formings):
        taken = formings[rank].claimed
        owner = formings.get(taken)
        if taken != rank and owner is not None and owner.claimed == taken:
            return rank, taken
    return None


def waiting_ends(formings: Mapping[int, Forming], world_size: int) -> tuple[Sequence[int], bool]:
    """Where the chains of waiting end: at absent ranks (True), or in a circle of ranks that wait for each other."""
    absent = {end for rank in formings for end in _follow(rank, formings, world_size) if end not in formings}
    if absent:
        return sorted(absent), True
    return sorted({end for rank in formings for end in _follow(rank, formings, world_size)}), False


def _follow(rank: int, formings: Mapping[int, Forming], world_size: int) -> Sequence[int]:
    path: list[int] = []
    while rank not in path:
        path.append(rank)
        here = formings.get(rank)
        if here is None:
            return (rank,)
        rank = here.waits_for % world_size
    return path[path.index(rank) :]
