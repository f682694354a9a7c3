"""How a group is shown: one line for the whole, one row for each rank."""

from rich.table import Table
from rich.text import Text

from diagnostics.phase import SERVING_PHASES, Phase
from supervisor.cli.terminal import shown
from transports.http.gateway import ClusterView, GroupState

_GROUP_STYLES = {GroupState.READY: "green", GroupState.FAILED: "bold red"}


def group_line(view: ClusterView) -> Text:
    """Return the group in one line: model, state, why, and what happens next."""
    line = shown(view.model, "bold").append_text(shown(f"  {view.parallel} x {view.world_size} over {view.backend}  "))
    line.append_text(shown(view.state, _GROUP_STYLES.get(view.state, "yellow")))
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
