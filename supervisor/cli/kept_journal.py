"""The journal of a state folder, for commands that read it themselves: with a daemon or without one."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from supervisor.cli.errors import CommandError
from supervisor.exit_code import ExitCode
from supervisor.journal.database import JournalUnusable
from supervisor.journal.reader import JournalReader, NoJournalFile
from supervisor.state_directory import StateDirectory


@contextmanager
def kept_journal(state_dir: Path) -> Generator[JournalReader]:
    """Open the journal of `state_dir` for reading; what goes wrong with it ends the command with a sentence.

    Raises:
        CommandError: There is none, or it cannot be read.
    """
    try:
        with JournalReader(StateDirectory(state_dir).journal_file) as reader:
            yield reader
    except NoJournalFile as problem:
        remedy = "Start a daemon with: ringwarden up; or name its folder with --state-dir"
        raise CommandError(str(problem), remedy, ExitCode.UNAVAILABLE) from problem
    except (JournalUnusable, sqlite3.Error) as problem:
        remedy = "docs/journal.md says how to look at it by hand"
        raise CommandError(f"the journal cannot be read: {problem}", remedy, ExitCode.BAD_DATA) from problem
