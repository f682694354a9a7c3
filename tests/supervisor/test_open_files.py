"""The limit of open files is raised as far as the system lets us, and never lowered."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from supervisor.open_files import allow_many_files
print(allow_many_files(300), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "expected"), [(100, 400, 300), (100, 200, 200), (350, 400, 350)])
def test_the_soft_limit_is_raised_within_the_hard_one(soft: int, hard: int, expected: int) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(soft=soft, hard=hard)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout.split() == [str(expected), str(expected), str(hard)]
