"""A node as a start needs it, wherever it is: it takes orders and answers requests."""

from typing import Protocol

from supervisor.cluster.remote_rank import NodeLine
from transports.cluster.requests import NodeAnswer, NodeRequest, RequestFailed


class Line(NodeLine, Protocol):
    """One node."""

    async def request(self, request: NodeRequest, deadline_s: float) -> NodeAnswer:
        """Ask, and wait for the answer; what goes wrong is an answer, too."""
        ...

    def forget(self) -> None:
        """End its session: it counts as lost until it introduces itself again."""
        ...


def problem_of(answer: NodeAnswer) -> str:
    """What an answer that was not hoped for says is wrong."""
    if isinstance(answer, RequestFailed):
        return f"{answer.problem}{f' ({answer.remedy})' if answer.remedy else ''}"
    return f"it answered with {type(answer).__name__}"
