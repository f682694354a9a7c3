"""The nodes as `/cluster` and `ringwarden ps` show them."""

from supervisor.cluster.node_entry import NodeEntry
from supervisor.cluster.roster import Roster
from transports.http.gateway import NodeView


def node_views(roster: Roster, now: float) -> tuple[NodeView, ...]:
    """Return all nodes that were ever seen, by name; `now` is monotonic."""
    return tuple(_view(entry, now) for entry in roster.entries())


def _view(entry: NodeEntry, now: float) -> NodeView:
    facts = entry.facts
    reasons = [entry.lost_because or "", *entry.warnings, entry.problem or ""]
    return NodeView(
        node=entry.name,
        is_here=entry.is_here,
        hostname=facts.hostname,
        system=f"{facts.system} {facts.system_version}",
        chip=facts.chip,
        memory_bytes=facts.memory_bytes,
        heard_s_ago=None if entry.heard_at is None else now - entry.heard_at,
        reason=" ".join(reason for reason in reasons if reason) or None,
    )
