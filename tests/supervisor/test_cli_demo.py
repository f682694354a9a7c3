"""The demo is a promise: it exits 0 only when all of the story happened, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest


def start_demo(temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor.cli", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )


def wait_until_gone(processes: list[psutil.Process], deadline_s: float) -> None:
    _, alive = psutil.wait_procs(processes, timeout=deadline_s)
    assert alive == []


@pytest.mark.mlx
@pytest.mark.timeout(300)
def test_the_story_happens(tmp_path: Path):
    demo = start_demo(tmp_path, "--json")
    output, errors = demo.communicate(timeout=240)
    assert demo.returncode == 0, (output, errors)
    report = json.loads(output)
    assert report["ok"] is True
    assert report["error"]["rank"] == 1
    assert report["error"]["cause"] == "killed_no_stderr"
    assert report["error"]["incident_id"] == report["incident"]["incident_id"]
    assert report["error"]["tokens_emitted"] >= report["tokens_before_error"] - 1 >= 4
    assert report["incident"]["recovered_after_s"] is not None
    assert report["generation_after"] > report["generation_before"]
    assert "Ringwarden" in report["second_answer"]
    assert not psutil.pid_exists(report["killed_pid"])
    assert list(tmp_path.glob("ringwarden-demo-*")) == []


@pytest.mark.mlx
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_an_interrupted_demo_takes_its_daemon_along(tmp_path: Path, number: signal.Signals):
    demo = start_demo(tmp_path)
    children: list[psutil.Process] = []
    deadline = time.monotonic() + 60
    while len(children) < 2 and time.monotonic() < deadline:
        children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 2, "the daemon and something that it started"
    demo.send_signal(number)
    demo.communicate(timeout=60)
    assert demo.returncode == 128 + number
    wait_until_gone(children, 10)
    assert list(tmp_path.glob("ringwarden-demo-*")) == []
