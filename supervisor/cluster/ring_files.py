"""What the ranks of one generation read to find each other: MLX's files and variables, as `mlx.launch` makes them.

Names and forms are those of MLX 0.32.4 (`mlx/_distributed_utils/launch.py`, `ring.cpp`). The ring reads
`MLX_HOSTFILE`, a JSON list with the listening addresses of each rank; JACCL reads `MLX_IBV_DEVICES`, a JSON matrix with
each rank's device to each other, and `MLX_JACCL_COORDINATOR`, where rank 0 collects what the queue pairs need. Both
read `MLX_RANK`.
"""

from collections.abc import Sequence

import msgspec

from supervisor.core.placement import Placed
from supervisor.core.rank_places import RankPlace

_HOSTFILE = "hosts.json"
_DEVICES = "devices.json"


class RankFiles(msgspec.Struct, frozen=True):
    """One rank's part of `StartRank`: `{folder}` in a value stands for where its `files` are."""

    environment: dict[str, str]
    files: dict[str, str]


def generation_files(placed: Placed, ports: Sequence[Sequence[int]]) -> tuple[RankFiles, ...]:
    """Return the files and variables of each rank.

    Args:
        placed: The group's places.
        ports: By rank, one for each address; not looked at where the user fixed them.

    Raises:
        ValueError: A rank has another number of ports than of addresses.
    """
    if placed.backend == "none":
        return tuple(RankFiles({}, {}) for _ in placed.assignments)
    listening = [_listening(place, found) for place, found in zip(placed.assignments, ports, strict=True)]
    if placed.backend == "ring":
        hosts = msgspec.json.encode(listening).decode()
        return tuple(_ring(place.rank, hosts) for place in placed.assignments)
    return tuple(_jaccl(place.rank, placed.assignments, listening[0][0]) for place in placed.assignments)


def _listening(place: RankPlace, found: Sequence[int]) -> list[str]:
    numbers = place.ports or found
    if len(numbers) != len(place.addresses):
        raise ValueError(f"rank {place.rank} has {len(place.addresses)} addresses, but {len(numbers)} ports")
    return [f"{address}:{port}" for address, port in zip(place.addresses, numbers, strict=True)]


def _ring(rank: int, hosts: str) -> RankFiles:
    return RankFiles({"MLX_RANK": str(rank), "MLX_HOSTFILE": f"{{folder}}/{_HOSTFILE}"}, {_HOSTFILE: hosts})


def _jaccl(rank: int, places: Sequence[RankPlace], coordinator: str) -> RankFiles:
    environment = {
        "MLX_RANK": str(rank),
        "MLX_IBV_DEVICES": f"{{folder}}/{_DEVICES}",
        "MLX_JACCL_COORDINATOR": coordinator,
    }
    if any(device is None for place in places for peer, device in enumerate(place.rdma) if peer != place.rank):
        # Not every pair is wired: JACCL then goes around the ring of neighbours instead of through a mesh.
        environment["MLX_JACCL_RING"] = "1"
    return RankFiles(environment, {_DEVICES: msgspec.json.encode([place.rdma for place in places]).decode()})
