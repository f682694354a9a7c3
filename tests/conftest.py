"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Children inherit an ignored SIGINT, and a shell's background jobs have one: Ctrl-C has to work in tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
