"""What a head knows of one of its nodes."""

import msgspec

from transports.cluster.handshake import Hello
from transports.cluster.node_facts import NodeFacts
from transports.cluster.requests import ModelPrepared


class NodeEntry:
    """One node, from its first hello on. `is_here` is False from its loss until its next hello.

    Args:
        name: The name of its key.
        hello: How it introduced itself.
    """

    def __init__(self, name: str, hello: Hello) -> None:
        self.name = name
        self.hello = hello
        self.available_bytes: int | None = None
        self.is_here = True
        self.lost_because: str | None = None
        self.lost_at: float | None = None
        self.heard_at: float | None = None
        self.model: ModelPrepared | None = None
        self.problem: str | None = None
        self.warnings: tuple[str, ...] = ()

    @property
    def facts(self) -> NodeFacts:
        """What it said of itself, with the memory that was free there when its last rank was gone."""
        if self.available_bytes is None:
            return self.hello.facts
        return msgspec.structs.replace(self.hello.facts, available_memory_bytes=self.available_bytes)
