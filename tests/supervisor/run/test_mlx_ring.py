"""A real MLX ring started by `ringwarden run`, as `mlx.launch --backend ring` would start it."""

import signal
from pathlib import Path

import pytest

from tests.supervisor.run.program import end, events, python, read_lines, run, started

pytestmark = pytest.mark.mlx

SUMS = """
import mlx.core as mx
group = mx.distributed.init(strict=True, backend="ring")
print("sum", mx.distributed.all_sum(mx.array(float(group.rank() + 1))).item(), "of", group.size())
"""
SUMS_FOREVER = """
import time
import mlx.core as mx
group = mx.distributed.init(strict=True, backend="ring")
mx.eval(mx.distributed.all_sum(mx.ones(10)))
import os
print(os.getpid(), flush=True)
while True:
    mx.eval(mx.distributed.all_sum(mx.ones(10)))
    time.sleep(0.01)
"""


def test_ranks_find_each_other(tmp_path: Path) -> None:
    outcome = run(tmp_path, "-n", "2", *python(SUMS))
    assert outcome.returncode == 0, outcome.stderr
    assert sorted(outcome.stdout.splitlines()) == ["[0] sum 3.0 of 2", "[1] sum 3.0 of 2"]


@pytest.mark.parametrize(
    "text",
    ['[["127.0.0.1:{}"], ["127.0.0.1:{}"]]', '[{{"ssh": "localhost", "ips": ["127.0.0.1"]}}, {{"ssh": "127.0.0.1"}}]'],
)
def test_a_hostfile_gives_the_addresses_and_the_number(tmp_path: Path, text: str) -> None:
    from supervisor.ports import free_ports

    hostfile = tmp_path / "hosts.json"
    hostfile.write_text(text.format(*free_ports(2)))
    outcome = run(tmp_path, "--hostfile", str(hostfile), *python(SUMS))
    assert outcome.returncode == 0, outcome.stderr
    assert "[1] sum 3.0 of 2" in outcome.stdout


def test_a_killed_rank_is_named_and_not_the_one_that_lost_it(tmp_path: Path) -> None:
    import os

    with started(tmp_path, ["-n", "2", "--json", *python(SUMS_FOREVER)]) as process:
        pids: dict[int, int] = {}
        while len(pids) < 2:
            for event in events(read_lines(process, 1)[0]):
                if event["event"] == "output" and event["line"].isdigit():
                    pids[event["rank"]] = int(event["line"])
        os.kill(pids[1], signal.SIGKILL)
        code, stdout, stderr = end(process)
    verdict = next(event for event in events(stdout) if event["event"] == "verdict")
    assert (verdict["rank"], verdict["cause"], code) == (1, "killed_no_stderr", 137), stderr
