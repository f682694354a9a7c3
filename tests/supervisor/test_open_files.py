"""The limit of open files is raised as far as the system lets us, and never lowered."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from supervisor.open_files import allow_many_files
print(allow_many_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "expected"), [(256, 12_000, 10_240), (256, 1_000, 1_000), (11_000, 12_000, 11_000)]
)
def test_the_soft_limit_is_raised_within_the_hard_one(soft: int, hard: int, expected: int) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(soft=soft, hard=hard)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout.split() == [str(expected), str(expected), str(hard)]
