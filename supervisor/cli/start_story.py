"""What a person is told of a group's starts: which lines, and what the bar shows between them. Pure."""

import re
from typing import NamedTuple

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from transports.http.gateway import ClusterView, GroupState, RankView

_COUNT = re.compile(r"(\d{1,9})/(\d{1,9})")
_BEFORE_LOADING = frozenset({Phase.IDLE, Phase.CONNECTING, Phase.CONNECTED})
_ENDED = frozenset({Phase.FAILED, Phase.SHUTTING_DOWN, Phase.SHUTDOWN})


class StartBar(NamedTuple):
    """What is going on, and how far it is: `done` of `total`, or for as long as it takes when `total` is 0."""

    label: str
    done: int = 0
    total: int = 0
    unit: str = ""
    detail: str = ""


class StartNews(NamedTuple):
    """Lines that stay, each with its style, and the bar until the next news; None is no bar."""

    lines: tuple[tuple[str, str], ...] = ()
    bar: StartBar | None = None


class StartStory:
    """Looks at a group again and again, and says each thing once."""

    def __init__(self) -> None:
        self._layers: dict[int, int] = {}
        self._generation = 0
        self._failed_generation: int | None = None
        self._told_incident: str | None = None
        self._state: GroupState | None = None
        self._has_served = False

    def seen(self, view: ClusterView, incident: Incident | None, address: str) -> StartNews:
        """Return the news of this look: what broke, what waits, what serves, or how far the start is."""
        lines = [*self._incident_lines(incident)]
        if view.generation != self._generation:
            self._generation = view.generation
            self._layers.clear()
        if view.state is not self._state:
            lines += self._state_lines(view, address)
            self._state = view.state
            if view.state is GroupState.RESTARTING:
                self._failed_generation = view.generation
        return StartNews(tuple(lines), self._bar(view))

    def _incident_lines(self, incident: Incident | None) -> list[tuple[str, str]]:
        if incident is None or incident.incident_id == self._told_incident:
            return []
        self._told_incident = incident.incident_id
        told = [(incident.message, "bold red"), (f"  what to do  {incident.advice}", "")]
        if incident.next_step:
            told.append((f"  then        {incident.next_step}", ""))
        return [*told, (f"  all of it   ringwarden why {incident.incident_id}", "dim")]

    def _state_lines(self, view: ClusterView, address: str) -> list[tuple[str, str]]:
        ranks = f"{view.world_size} rank{'' if view.world_size == 1 else 's'}"
        if view.state is GroupState.READY:
            again = "again " if self._has_served else ""
            self._has_served = True
            return [(f"Serving {view.model} {again}on {ranks} at {address} (Ctrl-C stops it)", "bold green")]
        if view.state is GroupState.FAILED:
            return [(f"{view.model} is not served. Requests to {address} get this error (Ctrl-C stops it).", "bold")]
        if view.state is GroupState.DEGRADED:
            return [(f"Waiting, because {view.reason or 'nodes are missing'}", "yellow")]
        if view.state is GroupState.STARTING:
            return [(f"Starting {view.model} on {ranks}; the API listens on {address}", "")]
        return []

    def _bar(self, view: ClusterView) -> StartBar | None:
        if view.state is GroupState.RESTARTING and view.restart_in_s is not None:
            return StartBar(f"Starting {view.model} again", detail=f"in {view.restart_in_s:.1f} s")
        if view.state not in (GroupState.STARTING, GroupState.RESTARTING):
            return None
        if view.generation == self._failed_generation:
            return StartBar(f"Ending what is left of generation {view.generation}")
        ranks = [rank for rank in view.ranks if rank.state not in _ENDED]
        if not ranks:
            return StartBar(f"Preparing {view.model}")
        if all(rank.state in _BEFORE_LOADING for rank in ranks):
            connected = sum(rank.state is Phase.CONNECTED for rank in ranks)
            return StartBar("Connecting", connected, len(ranks), "ranks")
        if any(rank.state in _BEFORE_LOADING or rank.state is Phase.LOADING for rank in ranks):
            return self._loading(view.model, ranks)
        steps = [_count(rank) for rank in ranks if rank.state is Phase.WARMING_UP]
        warm = [rank for rank in ranks if rank.state not in (Phase.LOADED, Phase.WARMING_UP)]
        if not any(total for _, total in steps):
            return StartBar("Warming up", len(warm), len(ranks), "ranks")
        return StartBar("Warming up", sum(done for done, _ in steps), sum(total for _, total in steps), "steps")

    def _loading(self, model: str, ranks: list[RankView]) -> StartBar:
        """Add the layers up over all ranks. Who does not count yet has as many to load as the one with the most."""
        done: dict[int, int] = {}
        for rank in ranks:
            if rank.state is Phase.LOADING:
                done[rank.rank], total = _count(rank)
                if total:
                    self._layers[rank.rank] = total
        most = max(self._layers.values(), default=0)
        totals = {rank.rank: self._layers.get(rank.rank, most) for rank in ranks}
        for rank in ranks:
            if rank.state not in _BEFORE_LOADING and rank.state is not Phase.LOADING:
                done[rank.rank] = totals[rank.rank]
        behind = min(ranks, key=lambda rank: done.get(rank.rank, 0) / max(totals[rank.rank], 1)).rank
        shares = {done.get(rank.rank, 0) for rank in ranks}
        detail = f"rank {behind} has {done.get(behind, 0)} of {totals[behind]}" if len(shares) > 1 and most else ""
        return StartBar(f"Loading {model}", sum(done.values()), sum(totals.values()), "layers", detail)


def _count(rank: RankView) -> tuple[int, int]:
    found = _COUNT.search(rank.progress or "")
    return (min(int(found[1]), int(found[2])), int(found[2])) if found else (0, 0)
