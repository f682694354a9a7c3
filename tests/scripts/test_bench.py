"""Every benchmark runs and prints its rows. No figure is judged here: a loaded machine must not fail the tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "scripts" / "bench"
QUICK = ("diagnostics", "journal", "bus", "cluster")
SLOW = ("death", "token_latency", "orphans", "idle", "tokens", "concurrent", "clients", "recovery")
FRAMES = "frames"


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(BENCH), *arguments], capture_output=True, text=True, timeout=280, check=False
    )


def check_rows(name: str) -> list[dict[str, Any]]:
    done = bench(name, "--quick", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows
    for row in rows:
        assert row["benchmark"] == name
        assert row["what"]
        assert row["how"]
        assert row["count"] >= 1
        assert row["verdict"] in ("ok", "over", "-")
        assert isinstance(row["value"], float | int)
    return rows


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", QUICK)
def test_a_quick_benchmark_prints_its_rows(name: str) -> None:
    check_rows(name)


@pytest.mark.soak
@pytest.mark.mlx
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SLOW)
def test_a_slow_benchmark_prints_its_rows(name: str) -> None:
    check_rows(name)


def test_every_benchmark_is_tested() -> None:
    usage = bench("--help").stdout
    listed = usage.split("any of ")[1].split(" (default")[0].replace("\n", " ")
    assert {name.strip() for name in listed.split(",")} == {*QUICK, *SLOW, FRAMES}


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    done = bench("deth")
    assert done.returncode == 2
    assert "there is no benchmark deth; there are tokens" in done.stderr


def test_every_frame_written_before_a_sigkill_arrives() -> None:
    (arrival,) = [row for row in check_rows(FRAMES) if "SIGKILL" in row["what"]]
    assert (arrival["value"], arrival["verdict"]) == (100.0, "ok")
