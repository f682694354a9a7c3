"""MLX that works, and copies of it that raise, abort, hang or lie: each is tried in a real child."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from supervisor.certificate import OUR_SYSTEM
from supervisor.doctor.finding import CheckState, Finding
from supervisor.doctor.lock import LockFacts
from supervisor.doctor.mlx import judge_mlx, read_mlx
from supervisor.doctor.ring import RingFacts, judge_ring, read_ring


def findings(environment: dict[str, str], deadline_s: float = 60.0) -> dict[str, Finding]:
    facts = read_mlx(OUR_SYSTEM, {**os.environ, **environment}, deadline_s=deadline_s)
    assert not [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return {finding.check: finding for finding in judge_mlx(facts)}


def fake_mlx(folder: Path, body: str) -> dict[str, str]:
    """A package `mlx` that comes first, with this in its `core`."""
    (folder / "mlx").mkdir()
    (folder / "mlx" / "__init__.py").touch()
    (folder / "mlx" / "core.py").write_text(body)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.mlx
def test_the_installed_mlx_loads_computes_and_forms_a_ring():
    found = findings({})
    assert {check: finding.state for check, finding in found.items()} == {
        "mlx": CheckState.OK,
        "metal": CheckState.OK if sys.platform == "linux" else found["metal"].state,
        "mlx-lm": CheckState.OK,
    }, found
    facts = read_ring(os.environ, OUR_SYSTEM, LockFacts(held=False), deadline_s=45.0)
    assert judge_ring(facts, OUR_SYSTEM).state is CheckState.OK, facts


def test_an_mlx_that_raises_is_told_with_its_traceback(tmp_path: Path):
    found = findings(fake_mlx(tmp_path, "raise ImportError('libmlx.so: cannot open shared object file')"))
    assert found["mlx"].state is CheckState.FAILED
    assert found["mlx"].exit_code == 69
    assert any("exited with code 1" in line for line in found["mlx"].evidence)
    assert any("libmlx.so" in line for line in found["mlx"].evidence)
    assert "dlopen_failed" in found["mlx"].diagnosis
    assert {found["metal"].state, found["mlx-lm"].state} == {CheckState.SKIPPED}


def test_an_mlx_that_aborts_ends_only_its_child(tmp_path: Path):
    found = findings(fake_mlx(tmp_path, "import os\nos.abort()"))
    assert found["mlx"].state is CheckState.FAILED
    assert any("was killed by SIGABRT" in line for line in found["mlx"].evidence)
    assert "abort_other" in found["mlx"].diagnosis
    assert any("core.py" in line for line in found["mlx"].evidence)


def test_an_mlx_that_hangs_is_ended_at_its_deadline_and_tells_where_it_stood(tmp_path: Path):
    found = findings(fake_mlx(tmp_path, "import time\ntime.sleep(600)"), deadline_s=1.0)
    assert found["mlx"].state is CheckState.FAILED
    assert any("did not end within 1 s" in line for line in found["mlx"].evidence)
    assert any("core.py" in line for line in found["mlx"].evidence)
    assert "stalled" in found["mlx"].diagnosis


DEAF = """
import faulthandler, signal, time
faulthandler.cancel_dump_traceback_later()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""


@pytest.mark.soak
def test_an_mlx_that_cannot_even_be_ended_in_order_is_killed(tmp_path: Path):
    found = findings(fake_mlx(tmp_path, DEAF), deadline_s=0.5)
    assert found["mlx"].state is CheckState.FAILED
    assert any("did not end within 0.5 s and was ended" in line for line in found["mlx"].evidence)


WRONG = """
__version__ = "9.9.9"
class metal:
    is_available = staticmethod(lambda: False)
default_device = lambda: "Device(cpu, 0)"
class Ones:
    def __init__(self, shape): pass
    def __matmul__(self, other): return self
    def sum(self): return self
    def item(self): return 7.0
ones = Ones
"""


def test_another_copy_on_the_path_and_wrong_numbers_are_seen(tmp_path: Path):
    found = findings(fake_mlx(tmp_path, WRONG))
    assert found["mlx"].state is CheckState.WARNING
    assert str(tmp_path) in found["mlx"].evidence[1]
    assert found["metal"].state is CheckState.FAILED
    assert "wrong numbers" in found["metal"].diagnosis


ONE_RANK_ABORTS = """
import os
if os.environ["MLX_RANK"] == "1":
    os.abort()
raise RuntimeError("[ring] connection to a peer was lost")
"""


def test_a_ring_that_fails_gets_a_verdict(tmp_path: Path):
    environment = {**os.environ, **fake_mlx(tmp_path, ONE_RANK_ABORTS)}
    finding = judge_ring(read_ring(environment, OUR_SYSTEM, LockFacts(held=False), deadline_s=45.0), OUR_SYSTEM)
    assert finding.state is CheckState.FAILED
    assert "rank 1 was killed by SIGABRT" in finding.evidence
    assert finding.diagnosis.startswith("Rank 1 ")
    assert "abort_other" in finding.diagnosis


def test_no_ring_is_formed_beside_a_daemon():
    facts = read_ring(os.environ, OUR_SYSTEM, LockFacts(held=True, pid=1), deadline_s=45.0)
    assert facts == RingFacts(refused=facts.refused)
    assert judge_ring(facts, OUR_SYSTEM).state is CheckState.SKIPPED
