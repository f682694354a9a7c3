"""The daemon of a folder, when it does not tell how it is: real servers on loopback."""

from pathlib import Path

from supervisor.doctor.finding import CheckState, Finding
from supervisor.doctor.lock import read_lock
from supervisor.doctor.running import judge_daemon, read_daemon
from supervisor.ports import free_ports
from supervisor.settings import Settings
from supervisor.state_directory import DaemonRecord, StateDirectory
from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import serving
from transports.http.limits import HttpSecurity

KEY = "a key of the daemon that is long enough"


def judged(folder: Path, url: str, api_key: str | None = None) -> Finding:
    """What is made of a daemon that holds the folder's lock and says that it serves there."""
    state = StateDirectory(folder)
    with state.lock():
        state.write_daemon(DaemonRecord(1, url, 1.0, "0"))
        return judge_daemon(read_daemon(Settings(state_dir=folder, api_key=api_key), read_lock(state.lock_file)))


def test_a_daemon_that_wants_a_key_is_not_said_to_hang(tmp_path: Path):
    """On a node it is mostly so: the head's API is asked, whose key the node need not have."""
    with serving(ScriptedGateway(), security=HttpSecurity(api_key=KEY)) as running:
        assert judged(tmp_path, running.url, KEY).state is CheckState.OK
        for wrong in (None, "another key, long enough, too"):
            finding = judged(tmp_path, running.url, wrong)
            assert finding.state is CheckState.SKIPPED, finding
            assert "--api-key-file" in finding.diagnosis


def test_a_daemon_that_does_not_answer_fails(tmp_path: Path):
    finding = judged(tmp_path, f"http://127.0.0.1:{free_ports(1)[0]}")
    assert (finding.state, finding.exit_code) == (CheckState.FAILED, 69)
