"""Nodes for tests of placement."""

from collections.abc import Sequence

from diagnostics.evidence import OperatingSystem
from supervisor.core.rank_places import Candidate
from transports.cluster.node_facts import NodeFacts, RdmaDevice

GIB = 1024**3


def node(
    name: str,
    gib: float,
    *,
    peers: Sequence[str] = (),
    addresses: tuple[str, ...] | None = None,
    alive: bool = True,
    digest: str | None = None,
    system_version: str = "26.2",
) -> Candidate:
    facts = NodeFacts(
        hostname=f"{name}.local",
        system=OperatingSystem.DARWIN,
        system_version=system_version,
        chip="Apple M4 Max",
        machine="arm64",
        cores=16,
        memory_bytes=512 * GIB,
        available_memory_bytes=int(gib * GIB),
        ringwarden_version="0.1.0",
        python_version="3.11.9",
        mlx_version="0.32.4",
        mlx_lm_version="0.32.2",
        addresses=(f"10.0.0.{ord(name[0])}",) if addresses is None else addresses,
        rdma_devices=tuple(RdmaDevice(f"rdma_en{number}", True, peer) for number, peer in enumerate(peers, 2)),
    )
    return Candidate(name, facts, alive, digest)
