"""How `top` looks at a width and a height. Pure: a view and the time in, something that rich can draw out."""

from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from diagnostics.incident import Incident
from diagnostics.phase import SERVING_PHASES, Phase
from supervisor.cli.cluster_table import GROUP_STYLES
from supervisor.cli.incident_story import local_time
from supervisor.cli.start_bar import size_text
from supervisor.cli.terminal import shown
from supervisor.cli.top_state import TopState, TopView
from transports.http.figures import Percentiles, ServiceFigures
from transports.http.gateway import ClusterView, NodeView, RankView
from transports.http.request_view import RequestView

WIDE_COLUMNS = 70
BACK_SHOWN_S = 5.0
_LINES_OF_ALL = 8
_LINES_OF_REQUESTS = 2
_MOST_REQUESTS = 12


def top_screen(view: TopView, now: float, columns: int, lines: int) -> RenderableType:
    """Return the whole screen, no taller than `lines`; what does not fit is counted.

    Args:
        view: What is known.
        now: Seconds since the Unix epoch.
        columns: The width.
        lines: The height.
    """
    state = view.state
    if state is None:
        waiting = f"no daemon answers: {view.lost}" if view.lost else "asking the daemon ..."
        return Group(shown(waiting, "yellow"), Text(), _keys(columns))
    shares = _shares(state, lines)
    return Group(_connection(view, state, now, columns), *state_parts(state, columns, shares), _keys(columns))


class Shares(NamedTuple):
    """How many rows each part may have."""

    ranks: int
    requests: int
    incidents: int


def _shares(state: TopState, lines: int) -> Shares:
    """Ranks first, then the newest incident, then requests, then more incidents."""
    nodes = len(state.cluster.nodes) + 1 if state.cluster.nodes else 0
    there = len(state.cluster.ranks)
    room = max(lines - _LINES_OF_ALL - nodes, 3)
    # One line is for the newest incident, and one for the number of ranks that are left out.
    ranks = there if there < room else room - 2
    room -= ranks + (ranks < there)
    requests = max(min(state.open_requests, room - _LINES_OF_REQUESTS - 1, _MOST_REQUESTS), 0)
    if requests:
        room -= requests + _LINES_OF_REQUESTS
    return Shares(max(ranks, 1), requests, max(room, 1))


def state_parts(state: TopState, columns: int, shares: Shares) -> Iterator[RenderableType]:
    """Yield the parts of a state: group, figures, ranks, nodes, requests, incidents."""
    cluster = state.cluster
    yield _group(cluster, columns)
    if cluster.figures is not None:
        yield from _figures(cluster.figures, columns)
    yield Text()
    yield _ranks(cluster, columns, shares.ranks)
    if len(cluster.ranks) > shares.ranks:
        yield shown(f"and {len(cluster.ranks) - shares.ranks} ranks more", "dim")
    if cluster.nodes:
        yield Text()
        yield from (_node(node, columns) for node in cluster.nodes)
    if shares.requests and state.requests:
        yield Text()
        yield _fitting(shown(f"{state.open_requests} open requests", "dim"), columns)
        yield from (_request(request, columns) for request in state.requests[: shares.requests])
    yield Text()
    if not state.incidents:
        yield shown("no incidents", "dim")
    for incident in state.incidents[: shares.incidents]:
        yield _incident(incident, columns)


def _connection(view: TopView, state: TopState, now: float, columns: int) -> Text:
    if view.lost is not None and view.lost_at is not None:
        text = (
            f"connection lost {now - view.lost_at:.0f} s ago ({view.lost}); trying again. Below: the last that is known"
        )
        return _fitting(shown(text, "bold yellow"), columns)
    if view.back_at is not None and now - view.back_at < BACK_SHOWN_S:
        return _fitting(shown(f"connected again to {state.url}", "bold green"), columns)
    return _fitting(shown(f"ringwarden at {state.url}  {local_time(state.at)}", "dim"), columns)


def _group(view: ClusterView, columns: int) -> Text:
    parts = [
        shown(view.model, "bold"),
        shown(f"  {view.parallel} x {view.world_size} over {view.backend}  "),
        shown(view.state.value, GROUP_STYLES.get(view.state, "yellow")),
        shown(f"  generation {view.generation}, {view.restarts} restarts"),
    ]
    if view.restart_in_s is not None:
        parts.append(shown(f"  next start in {view.restart_in_s:.1f} s", "yellow"))
    if view.reason:
        parts.append(shown(f"  {view.reason}"))
    return _fitting(Text.assemble(*parts), columns)


def _figures(figures: ServiceFigures, columns: int) -> Iterator[Text]:
    speed = Text.assemble(
        shown(f"{figures.tokens_per_s:.1f} tok/s", "bold cyan"),
        shown(f"  prompt {figures.prompt_tokens_per_s:.1f} tok/s"),
        shown(f"  running {figures.running}  queued {figures.queued}", "bold" if figures.queued else ""),
        shown(f"  done {figures.finished}  cancelled {figures.cancelled}  "),
        shown(f"failed {figures.failed}", "red" if figures.failed else ""),
    )
    yield _fitting(speed, columns)
    first, between = figures.time_to_first_token_s, figures.inter_token_latency_s
    yield _fitting(shown(f"first token {_latency(first)}  next tokens {_latency(between)}"), columns)


def _latency(found: Percentiles | None) -> str:
    if found is None:
        return "-"
    return f"{_milliseconds(found.p50)} (p99 {_milliseconds(found.p99)})"


def _milliseconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _ranks(view: ClusterView, columns: int, max_ranks: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    is_wide = columns >= WIDE_COLUMNS
    for heading in ("rank", "state", "memory", *(("pid", "node", "generation") if is_wide else ())):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for rank in view.ranks[:max_ranks]:
        place = (_or_dash(rank.pid), shown(rank.node), str(rank.generation)) if is_wide else ()
        table.add_row(str(rank.rank), _state(rank), _memory(rank), *place)
    return table


def _state(rank: RankView) -> Text:
    text = rank.state.value if rank.progress is None else f"{rank.state.value} {rank.progress}"
    style = "green" if rank.state in SERVING_PHASES else "red" if rank.state is Phase.FAILED else "yellow"
    return shown(text, style)


def _memory(rank: RankView) -> str:
    return "-" if rank.footprint_bytes is None else size_text(rank.footprint_bytes)


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def _node(node: NodeView, columns: int) -> Text:
    heard = "" if node.heard_s_ago is None else f"  heard {node.heard_s_ago:.1f} s ago"
    line = Text.assemble(
        shown("node ", "dim"),
        shown(f"{node.node}  "),
        shown("here", "green") if node.is_here else shown("lost", "bold red"),
        shown(heard),
        shown(f"  {node.hostname}  {node.chip}  {size_text(node.memory_bytes)}", "dim"),
        shown(f"  {node.reason}" if node.reason else "", "yellow"),
    )
    return _fitting(line, columns)


def _request(request: RequestView, columns: int) -> Text:
    place = "" if request.position is None else f" {request.position} of {request.waiting}"
    done = "" if request.total is None else f" {request.done}/{request.total}"
    line = Text.assemble(
        shown(f"{request.state.value}{place}{done}".ljust(18), "yellow" if request.position is not None else "green"),
        shown(f"{request.age_s:7.1f} s {request.tokens:6} tokens  "),
        shown(request.id, "dim"),
    )
    return _fitting(line, columns)


def _incident(incident: Incident, columns: int) -> Text:
    after_s = incident.recovered_after_s
    name = f"{incident.incident_id}  " if columns >= WIDE_COLUMNS else ""
    line = Text.assemble(
        shown(f"{local_time(incident.occurred_at)[-8:]}  {name}", "dim"),
        shown("" if after_s is None else f"recovered after {after_s:.1f} s  ", "green"),
        shown(incident.message, "bold red" if after_s is None else ""),
    )
    return _fitting(line, columns)


def _keys(columns: int) -> Text:
    return _fitting(shown("q quits; ringwarden why INCIDENT tells all about one", "dim"), columns)


def _fitting(line: Text, columns: int) -> Text:
    line.truncate(max(columns, 1), overflow="ellipsis")
    return line
