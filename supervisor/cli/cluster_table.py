"""How a group is shown: one line for the whole, one row for each rank."""

from rich.table import Table
from rich.text import Text

from diagnostics.phase import SERVING_PHASES, Phase
from supervisor.cli.terminal import shown
from transports.http.gateway import ClusterView, GroupState

GROUP_STYLES = {GroupState.READY: "green", GroupState.FAILED: "bold red"}


def group_line(view: ClusterView) -> Text:
    """Return the group in one line: model, state, why, and what happens next."""
    line = Text.assemble(
        shown(view.model, "bold"),
        shown(f"  {view.parallel} x {view.world_size} over {view.backend}  "),
        shown(view.state, GROUP_STYLES.get(view.state, "yellow")),
    )
    line.append_text(shown(f"  generation {view.generation}"))
    if view.reason:
        line.append_text(shown(f"  {view.reason}"))
    if view.restart_in_s is not None:
        line.append_text(shown(f"  next start in {view.restart_in_s:.1f} s", "yellow"))
    if view.tasks_in_flight:
        line.append_text(shown(f"  {view.tasks_in_flight} requests in flight"))
    if view.restarts:
        line.append_text(shown(f"  {view.restarts} restarts"))
    if view.last_incident_id:
        line.append_text(shown(f"  last incident {view.last_incident_id}"))
    return line


def node_table(view: ClusterView) -> Table:
    """Return the nodes as rows."""
    table = Table("node", "state", "heard", "host", "system", "chip", "memory", "", box=None, pad_edge=False)
    table.header_style = "dim"
    for node in view.nodes:
        table.add_row(
            shown(node.node),
            shown("here", "green") if node.is_here else shown("lost", "red"),
            "-" if node.heard_s_ago is None else f"{node.heard_s_ago:.1f} s ago",
            shown(node.hostname),
            shown(node.system),
            shown(node.chip),
            f"{node.memory_bytes / 1024**3:.0f} GiB",
            shown(node.reason or ""),
        )
    return table


def rank_table(view: ClusterView) -> Table:
    """Return the ranks as rows."""
    table = Table("rank", "pid", "node", "state", "generation", box=None, pad_edge=False, header_style="dim")
    for rank in view.ranks:
        state = rank.state if rank.progress is None else f"{rank.state} {rank.progress}"
        style = "green" if rank.state in SERVING_PHASES else "red" if rank.state is Phase.FAILED else "yellow"
        table.add_row(
            str(rank.rank),
            "-" if rank.pid is None else str(rank.pid),
            shown(rank.node),
            shown(state, style),
            str(rank.generation),
        )
    return table
