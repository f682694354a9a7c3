"""What `top` shows, drawn as text at several sizes: nothing wraps, nothing is taller than the screen."""

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from diagnostics.phase import Phase
from supervisor.cli.top_state import MAX_INCIDENTS, TopState, TopView
from supervisor.cli.top_view import top_screen
from tests.supervisor.canned_daemon import CLUSTER, EARLIER, INCIDENT
from transports.http.figures import Percentiles, ServiceFigures
from transports.http.gateway import NodeView, RankView
from transports.http.request_view import RequestState, RequestView
from transports.live import IncidentSeen, Snapshot, StateChanged

URL = "http://127.0.0.1:52415"
NOW = 1_790_000_010.0
FIGURES = ServiceFigures(
    running=2,
    queued=5,
    window_s=10.0,
    tokens_per_s=41.25,
    prompt_tokens_per_s=1200.0,
    tokens_total=9_000,
    prompt_tokens_total=80_000,
    time_to_first_token_s=Percentiles(0.0305, 0.2, 1.25, 40),
    inter_token_latency_s=None,
    finished=12,
    cancelled=1,
    failed=3,
    rejected=0,
)
NODES = (
    NodeView("head", True, "studio.local", "darwin", "M3 Ultra", 512 * 10**9),
    NodeView("mini-2", False, "mini\x1b[2J", "darwin", "M4", 64 * 10**9, 7.5, "it went silent"),
)
RANKS = tuple(
    RankView(number, 4100 + number, "mac-1", Phase.LOADING, 4, f"{number}/28", 3_000_000_000) for number in range(12)
)
REQUESTS = (
    RequestView("req-one", "tiny", RequestState.DECODE, 12.5, 700),
    RequestView("req-two", "tiny", RequestState.QUEUED, 3.0, 0, position=1, waiting=5),
)
FULL = TopState(
    URL,
    NOW,
    msgspec.structs.replace(CLUSTER, ranks=RANKS, nodes=NODES, figures=FIGURES),
    (msgspec.structs.replace(INCIDENT, recovered_after_s=None), EARLIER),
    REQUESTS,
    7,
)


def drawn(view: TopView, columns: int, lines: int, now: float = NOW) -> list[str]:
    page = StringIO()
    console = Console(file=page, width=columns, height=lines, force_terminal=True, color_system=None)
    console.print(top_screen(view, now, columns, lines))
    return page.getvalue().splitlines()


@pytest.mark.parametrize("lines", [16, 24, 50])
@pytest.mark.parametrize("columns", [20, 40, 69, 70, 80, 132])
def test_it_fits(columns: int, lines: int):
    shown = drawn(TopView(FULL), columns, lines)
    assert len(shown) <= lines
    assert max(map(len, shown)) <= columns
    assert "\x1b" not in "".join(shown), "what a node calls itself cannot steer the terminal"
    assert shown[1].startswith("tiny  tensor x 2"), shown
    assert shown[-1].startswith("q quits")


def test_a_large_screen_has_all_of_it():
    text = "\n".join(drawn(TopView(FULL), 160, 50))
    for part in (
        "ringwarden at http://127.0.0.1:52415",
        "restarting  generation 4, 1 restarts  next start in 2.5 s  rank 1 died",
        "41.2 tok/s  prompt 1200.0 tok/s  running 2  queued 5  done 12  cancelled 1  failed 3",
        "first token 30.5 ms (p99 1.25 s)  next tokens -",
        "rank  state          memory  pid   node   generation",
        "11    loading 11/28  3.0 GB  4111  mac-1  4",
        "node head  here  studio.local  M3 Ultra  512.0 GB",
        "node mini-2  lost  heard 7.5 s ago",
        "it went silent",
        "7 open requests",
        "decode               12.5 s    700 tokens  req-one",
        "queued 1 of 5         3.0 s      0 tokens  req-two",
        "inc-7f3a  Rank 1 on mac-1 ran into the GPU's time limit",
        "inc-1111  recovered after 1.2 s  Rank 1 on mac-1",
    ):
        assert part in text, text


def test_a_small_screen_counts_what_it_leaves_out():
    shown = drawn(TopView(FULL), 80, 16)
    assert any(line.startswith("and ") and line.endswith("ranks more") for line in shown)
    assert any(INCIDENT.incident_id in line for line in shown), "the newest incident is always there"


def test_a_lost_connection_is_said_and_the_last_state_stays_until_the_next():
    view = TopView().connected(URL, (EARLIER,), NOW).seen(URL, Snapshot(NOW, CLUSTER), (EARLIER,))
    lost = view.disconnected("it ended", NOW + 1).disconnected("nobody answers", NOW + 3)
    shown = drawn(lost, 120, 24, NOW + 4)
    assert shown[0].startswith("connection lost 3 s ago (nobody answers); trying again")
    assert any("inc-1111" in line for line in shown)
    again = lost.connected("http://127.0.0.1:1", (INCIDENT, EARLIER), NOW + 5)
    assert drawn(again, 120, 24, NOW + 6)[0].startswith("connected again to http://127.0.0.1:1")
    assert drawn(again, 120, 24, NOW + 60)[0].startswith("ringwarden at http://127.0.0.1:1")


def test_before_the_first_word_it_says_what_it_waits_for():
    assert drawn(TopView(), 80, 24)[0] == "asking the daemon ..."
    assert "nobody answers" in drawn(TopView().disconnected("nobody answers", NOW), 80, 24)[0]


def test_later_versions_of_an_incident_replace_it_and_the_newest_are_kept():
    view = TopView().seen(URL, Snapshot(NOW, CLUSTER), (EARLIER,))
    assert view.seen(URL, StateChanged(NOW, CLUSTER.state, None, 4), ()) is view
    view = view.seen(URL, IncidentSeen(NOW, msgspec.structs.replace(INCIDENT, recovered_after_s=None)), ())
    view = view.seen(URL, IncidentSeen(NOW, INCIDENT), ())
    assert view.state is not None
    assert view.state.incidents == (INCIDENT, EARLIER)
    for number in range(2 * MAX_INCIDENTS):
        one = msgspec.structs.replace(INCIDENT, incident_id=f"inc-{number}", occurred_at=NOW + number)
        view = view.seen(URL, IncidentSeen(NOW, one), ())
    assert view.state is not None
    assert len(view.state.incidents) == MAX_INCIDENTS
    assert view.state.incidents[0].incident_id == f"inc-{2 * MAX_INCIDENTS - 1}"
