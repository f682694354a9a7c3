"""The other machines, as the running head sees them: the only one that talks to all of them."""

from collections.abc import Iterator

from supervisor.doctor.finding import Finding, failed, ok, skipped, warning
from supervisor.exit_code import ExitCode
from transports.http.gateway import ClusterView, NodeView

NODES = "nodes"


def judge_nodes(view: ClusterView | None, *, in_cluster: bool) -> Iterator[Finding]:
    """Yield a finding for each node: whether it is there, and what differs on it, versions included.

    The head compares versions when a node joins, and tries every hop of the ring before each start; what it found is in
    its own words.
    """
    if view is None or not view.nodes:
        why = (
            "This machine is alone."
            if not in_cluster
            else "No running daemon told of them; see the check of the daemon."
        )
        yield skipped(NODES, why)
        return
    for node in view.nodes:
        yield _judge_node(node)


def _judge_node(node: NodeView) -> Finding:
    check = f"node {node.node}"
    heard = "it is the head's own machine" if node.heard_s_ago is None else f"heard {node.heard_s_ago:.1f} s ago"
    evidence = [f"{node.hostname}, {node.system}, {node.chip}; {heard}"]
    if not node.is_here:
        return failed(
            check,
            [*evidence, node.reason or "the head does not say why"],
            "The head does not reach this node, so no rank runs there.",
            f"See on {node.node} that `ringwarden join` runs, and what `ringwarden doctor` says there.",
            ExitCode.TEMPORARY,
        )
    if node.reason:
        return warning(
            check,
            [*evidence, node.reason],
            "The node is there, but something differs or went wrong on it.",
            "Make it the same on all machines: same versions, same variables.",
        )
    return ok(check, *evidence, *([] if node.heard_s_ago is None else ["the head found no difference to itself"]))
