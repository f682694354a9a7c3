"""What a head knows of one of its nodes."""

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
        self.is_here = True
        self.lost_because: str | None = None
        self.lost_at: float | None = None
        self.heard_at: float | None = None
        self.model: ModelPrepared | None = None
        self.problem: str | None = None
        self.warnings: tuple[str, ...] = ()

    @property
    def facts(self) -> NodeFacts:
        """What it said of itself."""
        return self.hello.facts
