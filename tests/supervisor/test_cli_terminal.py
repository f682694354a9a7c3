"""`up` and `top` as a person at a terminal meets them: drawn, resized, quit, interrupted."""

import json
import signal
import sys
import time
from pathlib import Path

import msgspec
import pytest

from supervisor.state_directory import DaemonRecord, StateDirectory
from tests.supervisor.canned_daemon import INCIDENT
from tests.support.terminal import Terminal, on_a_terminal
from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import serving
from transports.live import IncidentSeen

ROOT = Path(__file__).parents[2]
ENGINE = "--engine=tests.faults.scripted:ScriptedEngine"


def up(tmp_path: Path) -> tuple[str, ...]:
    return ("up", "--port=0", f"--state-dir={tmp_path / 'state'}", ENGINE, "--config=/dev/null")


def visual_lines(raw: str) -> list[str]:
    """What was on one line at some moment: a line ends where it is ended or erased."""
    return raw.replace("\x1b[2K", "\n").replace("\r", "\n").split("\n")


def test_a_start_on_a_terminal_ends_with_the_address_and_ctrl_c_leaves_it_as_it_was(tmp_path: Path):
    script = json.dumps({"layers": 8, "layer_interval_s": 0.06})
    with on_a_terminal(*up(tmp_path), FAULT_ENGINE_SCRIPT=script) as terminal:
        terminal.wait_for("layers")
        terminal.resize(40, 10)
        terminal.wait_for("Serving tiny on 2 ranks at http://127.0.0.1:")
        assert "\x1b[?25l" not in terminal.raw, "killed now, it would leave a terminal without a cursor"
        terminal.press("\x03")
        assert terminal.wait() == 0
        assert "Stopped." in terminal.text
        assert terminal.is_sane()
        mixed = [line for line in visual_lines(terminal.raw) if "INFO" in line and "━" in line]
        assert mixed == [], "a log line and the bar never share a line"
        assert [line for line in visual_lines(terminal.raw) if "group is ready" in line]


@pytest.mark.soak
def test_a_start_that_cannot_succeed_shows_its_one_sentence(tmp_path: Path):
    fault = {
        "action": "raise",
        "rank": 1,
        "at": "load",
        "step": 2,
        "exception": "ValueError",
        "message": "Received 3 parameters not in model: a, b, c",
    }
    with on_a_terminal(*up(tmp_path), columns=300, NO_COLOR="1", FAULT_ENGINE_FAULTS=json.dumps([fault])) as terminal:
        terminal.wait_for("tiny is not served. Requests to http://127.0.0.1:")
        told = [line for line in terminal.text.splitlines() if line.startswith(("Rank 1 ", "  what to do ", "  then "))]
        assert len(told) == 3, terminal.text
        assert "operator has to act" in told[2]
        assert "ringwarden why inc-" in terminal.text
        assert "\x1b" not in terminal.raw, "NO_COLOR means plain lines"
        terminal.press("\x03")
        assert terminal.wait() == 0


_DOWNLOAD = """
import sys, time
from supervisor.cli.start_screen import start_display

with start_display() as display:
    for done in range(0, 50_000_000, 1_000_000):
        display.download("owner/model", done, 200_000_000)
        if done == 10_000_000:
            print("a line of the log", file=sys.stderr)
        time.sleep(0.01)
    print("waiting", file=sys.stderr)
    time.sleep(60)
"""


def test_a_download_is_a_bar_that_an_interrupt_takes_away():
    variables = {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    terminal = Terminal([sys.executable, "-c", _DOWNLOAD], variables, columns=90, lines=20)
    try:
        terminal.wait_for("waiting")
        terminal.wait_for("MB/200.0 MB")
        assert "Downloading owner/model" in terminal.text
        assert [line for line in visual_lines(terminal.raw) if line.strip() == "a line of the log"]
        terminal.press("\x03")
        assert terminal.wait() == -signal.SIGINT
        assert terminal.is_sane()
        assert "KeyboardInterrupt" in terminal.raw[terminal.raw.rfind("Downloading") :]
    finally:
        terminal.close()


def test_top_draws_resizes_follows_and_quits(tmp_path: Path):
    gateway = ScriptedGateway()
    state = StateDirectory(tmp_path)
    with on_a_terminal("top", f"--state-dir={tmp_path}") as terminal:
        assert terminal.wait() == 69, "the first daemon has to be there"
        assert "no daemon runs" in terminal.text
    with serving(gateway) as first:
        state.write_daemon(DaemonRecord(pid=1, url=first.url, started_at=0.0, version="0"))
        terminal_of = on_a_terminal("top", f"--state-dir={tmp_path}")
        with terminal_of as terminal:
            terminal.wait_for(f"ringwarden at {first.url}")
            terminal.wait_for("generation 3")
            told = msgspec.structs.replace(INCIDENT, occurred_at=time.time(), recovered_after_s=None)
            first.call(lambda: gateway.live.publish(IncidentSeen(time.time(), told)))
            terminal.wait_for(INCIDENT.message[:40])
            terminal.resize(44, 12)
            terminal.wait_for("q quits")
            first.begin_stop()
            first.join()
            terminal.wait_for("connection lost")
            with serving(ScriptedGateway()) as second:
                state.write_daemon(DaemonRecord(pid=1, url=second.url, started_at=0.0, version="0"))
                terminal.wait_for("connected again")
                terminal.press("q")
                assert terminal.wait() == 0
            assert terminal.is_sane()


def test_top_leaves_no_shell_with_its_screen():
    with serving(ScriptedGateway()) as running, on_a_terminal("top", "--url", running.url) as terminal:
        terminal.wait_for("generation 3")
        assert not terminal.can_suspend()
        terminal.press("\x1c")
        assert terminal.wait() == 128 + signal.SIGQUIT
        assert terminal.is_sane()


@pytest.mark.soak
def test_top_gives_the_terminal_back_when_it_is_interrupted():
    with serving(ScriptedGateway()) as running, on_a_terminal("top", "--url", running.url, NO_COLOR="1") as terminal:
        terminal.wait_for("generation 3")
        assert "\x1b[3" not in terminal.raw, "no colours"
        terminal.press("\x03")
        assert terminal.wait() == 130
        assert terminal.is_sane()
