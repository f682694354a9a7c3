import signal
import sys

import pytest

from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.exit_status import describe_exit, signal_name, signal_of

DARWIN, LINUX = OperatingSystem.DARWIN, OperatingSystem.LINUX


def test_signal_numbers_differ_by_system() -> None:
    assert (signal_name(10, DARWIN), signal_name(10, LINUX)) == ("SIGBUS", "SIGUSR1")
    assert (signal_name(7, DARWIN), signal_name(7, LINUX)) == ("SIGEMT", "SIGBUS")
    assert signal_name(64, LINUX) == "signal 64"


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="only these two systems are pinned")
def test_the_pinned_table_is_this_system_s() -> None:
    here = LINUX if sys.platform == "linux" else DARWIN
    for one in signal.Signals:
        if one <= 31:
            assert signal_name(one, here) == one.name


def test_words() -> None:
    assert describe_exit(None, LINUX) == "has not ended"
    assert describe_exit(ExitStatus(signal=9), LINUX) == "was killed by SIGKILL"
    assert describe_exit(ExitStatus(code=3), LINUX) == "exited with code 3"
    assert describe_exit(ExitStatus(code=137), LINUX) == "exited with code 137 (SIGKILL)"


def test_shells_pass_signals_on_as_exit_codes() -> None:
    assert signal_of(ExitStatus(code=139)) == 11
    assert signal_of(ExitStatus(code=128)) is None
    assert signal_of(ExitStatus(code=255)) is None
    assert signal_of(None) is None
