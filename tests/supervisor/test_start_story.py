"""What a person is told of a start: lines that stay, and a bar that fits into any terminal."""

from io import StringIO

import msgspec
import pytest
from rich.console import Console, RenderableType

from diagnostics.phase import Phase
from supervisor.cli.start_bar import bar_line, download_line, size_text
from supervisor.cli.start_screen import PlainDisplay
from supervisor.cli.start_story import StartBar, StartStory
from supervisor.colour import can_redraw, wants_colour, wants_progress_bars
from supervisor.model_hub_progress import PercentReporter
from tests.supervisor.canned_daemon import CLUSTER, INCIDENT
from transports.http.gateway import ClusterView, GroupState, RankView

ADDRESS = "http://127.0.0.1:52415/v1"


def starting(*ranks: tuple[Phase, str | None], state: GroupState = GroupState.STARTING) -> ClusterView:
    views = tuple(
        RankView(rank=number, pid=7, node="mac", state=phase, generation=1, progress=progress)
        for number, (phase, progress) in enumerate(ranks)
    )
    changes = {"restart_in_s": None, "last_incident_id": None, "reason": None}
    return msgspec.structs.replace(CLUSTER, state=state, generation=1, ranks=views, **changes)


def test_a_start_is_told_from_the_first_process_to_the_address():
    story = StartStory()
    first = story.seen(starting(), None, ADDRESS)
    assert first.lines == ((f"Starting tiny on 2 ranks; the API listens on {ADDRESS}", ""),)
    assert first.bar == StartBar("Preparing tiny")

    def bar(*ranks: tuple[Phase, str | None]) -> StartBar | None:
        news = story.seen(starting(*ranks), None, ADDRESS)
        assert news.lines == ()
        return news.bar

    assert bar((Phase.CONNECTED, None), (Phase.CONNECTING, None)) == StartBar("Connecting", 1, 2, "ranks")
    one_ahead = StartBar("Loading tiny", 3, 56, "layers", "rank 1 has 0 of 28")
    assert bar((Phase.LOADING, "3/28"), (Phase.CONNECTED, None)) == one_ahead
    assert bar((Phase.LOADING, "14/28"), (Phase.LOADING, "14/28 layers")) == StartBar("Loading tiny", 28, 56, "layers")
    all_but_one = StartBar("Loading tiny", 48, 56, "layers", "rank 1 has 20 of 28")
    assert bar((Phase.LOADED, None), (Phase.LOADING, "20/28")) == all_but_one
    assert bar((Phase.WARMING_UP, "1/2"), (Phase.WARMING_UP, "2/2")) == StartBar("Warming up", 3, 4, "steps")
    assert bar((Phase.READY, None), (Phase.LOADED, None)) == StartBar("Warming up", 1, 2, "ranks")

    ready = story.seen(starting(state=GroupState.READY), None, ADDRESS)
    assert ready.bar is None
    assert [text for text, _ in ready.lines] == [f"Serving tiny on 2 ranks at {ADDRESS} (Ctrl-C stops it)"]


def test_a_failed_start_ends_the_bar_and_says_which_rank_why_and_what_next():
    story = StartStory()
    story.seen(starting((Phase.LOADING, "3/28")), None, ADDRESS)
    news = story.seen(starting(state=GroupState.FAILED), INCIDENT, ADDRESS)
    assert news.bar is None
    told = "\n".join(text for text, _ in news.lines)
    assert INCIDENT.message in told
    assert INCIDENT.advice in told
    assert str(INCIDENT.next_step) in told
    assert "ringwarden why inc-7f3a" in told
    assert "tiny is not served" in told
    assert story.seen(starting(state=GroupState.FAILED), INCIDENT, ADDRESS).lines == (), "each thing is said once"


def test_a_group_that_restarts_is_shown_from_its_end_to_its_next_address():
    story = StartStory()
    story.seen(starting((Phase.READY, None), state=GroupState.READY), None, ADDRESS)
    down = story.seen(starting((Phase.READY, None), state=GroupState.RESTARTING), INCIDENT, ADDRESS)
    assert down.bar == StartBar("Ending what is left of generation 1")
    waits = msgspec.structs.replace(starting(state=GroupState.RESTARTING), restart_in_s=2.5)
    assert story.seen(waits, INCIDENT, ADDRESS).bar == StartBar("Starting tiny again", detail="in 2.5 s")
    again = story.seen(starting(state=GroupState.READY), INCIDENT, ADDRESS)
    assert [text for text, _ in again.lines] == [f"Serving tiny again on 2 ranks at {ADDRESS} (Ctrl-C stops it)"]


def test_a_group_without_a_place_says_what_it_waits_for():
    view = msgspec.structs.replace(starting(state=GroupState.DEGRADED), reason="node mini-2 is not there")
    assert StartStory().seen(view, None, ADDRESS).lines == (("Waiting, because node mini-2 is not there", "yellow"),)


def drawn(renderable: RenderableType, columns: int) -> str:
    page = StringIO()
    Console(file=page, width=columns, force_terminal=True, color_system=None).print(renderable)
    return page.getvalue()


@pytest.mark.parametrize("columns", [10, 20, 49, 50, 72, 80, 200])
def test_a_bar_is_one_line_at_any_width(columns: int):
    long = StartBar("Loading a-model-with-a-rather-long-name", 28, 56, "layers", "rank 1 has 3 of 28")
    for renderable in (
        bar_line(long, columns),
        bar_line(StartBar("Preparing \x1b[2J"), columns),
        download_line("mlx-community/a-model-with-a-long-name", 3_100_000_000, 17_200_000_000, 60.0, columns),
    ):
        text = drawn(renderable, columns)
        assert text.count("\n") == 1
        assert len(text) <= columns + 1
        assert "\x1b" not in text
    if columns >= 80:
        assert "28/56 layers" in drawn(bar_line(long, columns), columns)


def test_a_download_tells_size_speed_and_the_time_that_is_left():
    text = drawn(download_line("m", 3_100_000_000, 17_200_000_000, 60.0, 120), 120)
    assert "3.1 GB/17.2 GB" in text
    assert "51.7 MB/s, 4:32 left" in text
    assert "left" not in drawn(download_line("m", 10, 100, 0.5, 120), 120), "too early to judge"
    assert [size_text(size) for size in (0, 999, 1_400, 2_500_000_000_000)] == ["0 B", "999 B", "1.4 kB", "2.5 TB"]


def test_a_reporter_of_bytes_only_goes_forward_and_says_no_percents():
    told: list[tuple[str, int, int]] = []
    lines: list[str] = []
    reporter = PercentReporter("m", 1_000, lines.append, lambda *news: told.append(news))
    for done in (0, 400, 300, 400, 1_500):
        reporter.reached(done)
    assert told == [("m", 400, 1_000), ("m", 1_000, 1_000)]
    assert lines == []


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]):
    display = PlainDisplay()
    for done in (0, 10, 11, 1_000):
        display.download("m", done, 1_000)
    display.group(starting((Phase.LOADING, "1/2")), None, ADDRESS)
    display.group(starting((Phase.LOADING, "2/2")), None, ADDRESS)
    display.group(starting(state=GroupState.FAILED), INCIDENT, ADDRESS)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[:5] == [
        "m: 1%",
        "m: 100%",
        f"Starting tiny on 2 ranks; the API listens on {ADDRESS}",
        "Loading tiny",
        INCIDENT.message,
    ]


@pytest.mark.parametrize(
    ("variables", "colour", "redraw", "bars"),
    [
        ({"TERM": "xterm"}, True, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False, True, False),
        ({"TERM": "dumb"}, False, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, False, False),
        ({}, True, False, False),
        ({"TERM": "xterm", "CI": "true"}, True, True, False),
    ],
)
def test_what_a_terminal_gets(variables: dict[str, str], colour: bool, redraw: bool, bars: bool):
    assert wants_colour(variables, on_terminal=True) is colour
    assert can_redraw(variables, on_terminal=True) is redraw
    assert wants_progress_bars(variables, on_terminal=True) is bars
    assert wants_colour(variables, on_terminal=False) is ("FORCE_COLOR" in variables and not variables.get("NO_COLOR"))
    assert not can_redraw(variables, on_terminal=False)
    assert not wants_progress_bars(variables, on_terminal=False)
