"""Who is at the other end of each Thunderbolt cable: no node knows it alone, all of them together do."""

from collections.abc import Mapping

from msgspec.structs import replace

from transports.cluster.node_facts import NodeFacts, RdmaDevice


def with_rdma_peers(nodes: Mapping[str, NodeFacts]) -> dict[str, NodeFacts]:
    """Return every node's facts with the peers of its RDMA devices put in, by the names of the nodes.

    A cable counts when both ends agree on it: each says that the other's domain is its peer's. What a node itself
    claims to be its peer does not count, and a domain that two nodes claim leads nowhere.
    """
    owners: dict[str, set[str]] = {}
    for name, facts in nodes.items():
        for device in facts.rdma_devices:
            if device.domain is not None:
                owners.setdefault(device.domain, set()).add(name)
    ends = {
        (device.domain, device.peer_domain)
        for facts in nodes.values()
        for device in facts.rdma_devices
        if device.domain is not None and device.peer_domain is not None
    }

    def peer_of(node: str, device: RdmaDevice) -> str | None:
        if device.peer_domain is None or (device.peer_domain, device.domain) not in ends:
            return None
        mine, theirs = owners.get(device.domain or "", set()), owners[device.peer_domain]
        if mine != {node} or len(theirs) != 1 or theirs == mine:
            return None
        return next(iter(theirs))

    return {
        name: replace(
            facts, rdma_devices=tuple(replace(device, peer=peer_of(name, device)) for device in facts.rdma_devices)
        )
        for name, facts in nodes.items()
    }
