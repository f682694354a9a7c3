"""What one run keeps on disk: opened before anything starts, closed after everything has ended."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from supervisor.journal.journal import Journal
from supervisor.journal.run_id import new_run_id
from supervisor.raw_log_folder import RawLogFolder
from supervisor.raw_logs import RawLogs
from supervisor.state_directory import StateDirectory


class Keeping(NamedTuple):
    """A state folder with the journal and the raw logs of one run, under one `run_id`."""

    state: StateDirectory
    run_id: str
    journal: Journal
    raw_logs: RawLogs


@contextmanager
def keeping(state: StateDirectory, say: Callable[[str], None]) -> Generator[Keeping]:
    """Open the journal and the raw logs of a state folder for a new run; both are closed at the end.

    Opening and closing block on the disk, closing for a bounded time. A disk that refuses is said, and no error.

    Args:
        state: The folder.
        say: Takes one sentence each time something about them has to be said; called from any thread.
    """
    run_id = new_run_id()
    journal = Journal(state.journal_file, run_id=run_id, observer=say)
    raw_logs = RawLogs(RawLogFolder(state.raw_logs_folder), run_id, observer=partial(journal.note, "output_lost"))
    try:
        yield Keeping(state, run_id, journal, raw_logs)
    finally:
        raw_logs.close()
        journal.close()
