"""A user's hostfile and the nodes that joined: which entry is which node."""

from collections.abc import Sequence

import msgspec

from supervisor.core.rank_places import Candidate, PlacementWish, RankPlace, ring_addresses
from supervisor.hostfile import HostEntry, Hostfile, HostfileError


def match_hosts(hostfile: Hostfile, candidates: Sequence[Candidate]) -> tuple[RankPlace, ...]:
    """Return a place for each entry, in the order of the file: `PlacementWish.fixed`.

    An entry is the node that has one of its addresses, else the one of its name, else the one with its host name. An
    entry that is no node keeps its own name: placement then says that it is missing.

    Raises:
        HostfileError: An entry is more than one node.
    """
    return tuple(_place(rank, entry, candidates) for rank, entry in enumerate(hostfile.entries))


def wish_with_hosts(wish: PlacementWish, hostfile: Hostfile, candidates: Sequence[Candidate]) -> PlacementWish:
    """Return the wish with the file's places; a backend that the user asked for beats the file's.

    To be called before each placement: nodes may have joined since. Raises what `match_hosts` raises.
    """
    backend = wish.backend or hostfile.backend
    return msgspec.structs.replace(wish, fixed=match_hosts(hostfile, candidates), backend=backend)


def _place(rank: int, entry: HostEntry, candidates: Sequence[Candidate]) -> RankPlace:
    label = entry.name or entry.addresses[0]
    names = {name for text in (label, *entry.addresses) for name in _spellings(text)}
    found = (
        [each for each in candidates if not {*each.facts.addresses}.isdisjoint({label, *entry.addresses})]
        or [each for each in candidates if not _spellings(each.node).isdisjoint(names)]
        or [each for each in candidates if not _spellings(each.facts.hostname).isdisjoint(names)]
    )
    if len(found) > 1:
        nodes = " and node ".join(sorted(each.node for each in found))
        message = f"rank {rank} of the hostfile, {label}, is both node {nodes}"
        raise HostfileError(message, "Name each node by the name of its key, or by an address that no other has.")
    if not found:
        return RankPlace(rank, label, entry.addresses, entry.ports, entry.rdma)
    return RankPlace(rank, found[0].node, entry.addresses or ring_addresses(found[0].facts), entry.ports, entry.rdma)


def _spellings(name: str) -> set[str]:
    """A host's name in small letters, with and without `.local`."""
    plain = name.lower().rstrip(".")
    return {plain, plain.removesuffix(".local")}
