"""What a node says about itself: what placement needs, and what makes two nodes fit together or not."""

import msgspec

from diagnostics.evidence import OperatingSystem


class RdmaDevice(msgspec.Struct, frozen=True):
    """One RDMA interface.

    A node tells the Thunderbolt domains at both ends of its cables; the head, who has all nodes' facts, puts in `peer`,
    the node at the other end. None where it is not known.
    """

    name: str
    is_up: bool
    peer: str | None = None
    domain: str | None = None
    peer_domain: str | None = None


class NodeFacts(msgspec.Struct, frozen=True):
    """One node's inventory.

    Args:
        hostname: What the node calls itself; the head knows it by the name of its key.
        system: Whose errno numbers it writes.
        system_version: As the system tells it.
        chip: The processor's name.
        machine: The architecture, as `platform.machine()` tells it.
        cores: Logical processors.
        memory_bytes: All there is.
        available_memory_bytes: What a model could take now.
        ringwarden_version: Its own.
        python_version: The runners'.
        mlx_version: None when it is not installed.
        mlx_lm_version: None when it is not installed.
        mlx_environment: The `MLX_*` and `JACCL_*` variables that its runners would inherit.
        addresses: Where other nodes may reach it, the best first.
        rdma_devices: What JACCL could use; empty without RDMA.
    """

    hostname: str
    system: OperatingSystem
    system_version: str
    chip: str
    machine: str
    cores: int
    memory_bytes: int
    available_memory_bytes: int
    ringwarden_version: str
    python_version: str
    mlx_version: str | None
    mlx_lm_version: str | None
    mlx_environment: dict[str, str] = {}
    addresses: tuple[str, ...] = ()
    rdma_devices: tuple[RdmaDevice, ...] = ()
