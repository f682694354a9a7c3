"""The state folder: whose it is, who may look into it, and whether its journal can be read."""

import os
import sqlite3
import stat
from pathlib import Path

import msgspec

from supervisor.doctor.finding import Finding, failed, ok, skipped, warning
from supervisor.exit_code import ExitCode
from supervisor.journal.database import JournalUnusable
from supervisor.journal.reader import JournalReader, NoJournalFile

FOLDER, JOURNAL = "state-folder", "journal"


class FolderFacts(msgspec.Struct, frozen=True):
    """What the file system says. `mode` is None when there is nothing there; then `parent` is what has to take it."""

    path: Path
    mode: int | None
    is_folder: bool = False
    is_ours: bool = False
    may_write: bool = False
    parent: Path | None = None
    problem: str | None = None


class JournalFacts(msgspec.Struct, frozen=True):
    """What came of opening the journal. `incidents` is None when it was not read; `absent` when there is none."""

    path: Path
    size_bytes: int = 0
    incidents: int | None = None
    absent: bool = False
    problem: str | None = None


def read_folder(path: Path) -> FolderFacts:
    """Look at the folder; nothing is made."""
    try:
        found = path.stat()
    except FileNotFoundError:
        parent = next((one for one in path.absolute().parents if one.exists()), Path("/"))
        return FolderFacts(path, None, parent=parent, may_write=os.access(parent, os.W_OK | os.X_OK))
    except OSError as problem:
        return FolderFacts(path, None, problem=problem.strerror)
    return FolderFacts(
        path,
        stat.S_IMODE(found.st_mode),
        is_folder=stat.S_ISDIR(found.st_mode),
        is_ours=found.st_uid == os.geteuid(),
        may_write=os.access(path, os.W_OK | os.X_OK),
    )


def judge_folder(facts: FolderFacts) -> Finding:
    """Judge whether a daemon can use it, and nobody else."""
    choose = "choose another with --state-dir."
    if facts.problem is not None:
        evidence = [f"{facts.path} cannot be looked at: {facts.problem}"]
        return failed(FOLDER, evidence, "A daemon cannot use it.", f"Make it yours, or {choose}", ExitCode.CONFIG)
    if facts.mode is None:
        if facts.may_write:
            return ok(FOLDER, f"{facts.path} is not there yet; it can be made in {facts.parent}")
        evidence = [f"{facts.path} is not there, and {facts.parent} may not be written"]
        return failed(FOLDER, evidence, "A daemon cannot make it.", f"Make it by hand, or {choose}", ExitCode.CONFIG)
    evidence = [f"{facts.path}, mode {facts.mode:04o}, {'yours' if facts.is_ours else 'of another user'}"]
    if not facts.is_folder:
        return failed(FOLDER, evidence, "That is no folder.", f"Move it away, or {choose}", ExitCode.CONFIG)
    if not facts.is_ours:
        diagnosis = "A daemon refuses a state folder of another user."
        return failed(FOLDER, evidence, diagnosis, f"Make it yours, or {choose}", ExitCode.CONFIG)
    if not facts.may_write:
        return failed(
            FOLDER, evidence, "It cannot be written.", f"chmod 700 '{facts.path}', or {choose}", ExitCode.CONFIG
        )
    if facts.mode & 0o077:
        return warning(
            FOLDER,
            evidence,
            "Other users may look into it: prompts, logs and keys are in there.",
            f"chmod 700 '{facts.path}', or: ringwarden doctor --fix. The next start does it, too.",
        )
    return ok(FOLDER, *evidence)


def tighten_folder(path: Path) -> tuple[str, ...]:
    """Take away what other users may do with a folder of ours; return what was done, in a line."""
    facts = read_folder(path)
    if facts.mode is None or not (facts.mode & 0o077 and facts.is_folder and facts.is_ours):
        return ()
    try:
        path.chmod(facts.mode & ~0o077)
    except OSError:
        return ()  # Looked at again, it is as it was.
    return (f"{path} is yours alone now (mode {facts.mode & ~0o077:04o})",)


def read_journal(path: Path) -> JournalFacts:
    """Open the journal for reading, as `ringwarden incidents` does. Blocks on the disk."""
    try:
        size_bytes = path.stat().st_size
        with JournalReader(path) as reader:
            return JournalFacts(path, size_bytes, incidents=len(reader.incidents(limit=1000)))
    except (FileNotFoundError, NoJournalFile):
        return JournalFacts(path, absent=True)
    except (JournalUnusable, sqlite3.Error, OSError) as problem:
        return JournalFacts(path, problem=str(problem))


def judge_journal(facts: JournalFacts) -> Finding:
    """Judge whether it can be read."""
    if facts.absent:
        return skipped(JOURNAL, f"There is no {facts.path} yet: the first start makes it.")
    if facts.problem is not None:
        return failed(
            JOURNAL,
            [facts.problem],
            "What happened cannot be read, and may not be kept.",
            "Move the file away (it may be rescued by hand): the next start makes a new one.",
            ExitCode.CONFIG,
        )
    return ok(JOURNAL, f"{facts.path}, {facts.size_bytes:,} bytes, {facts.incidents} incidents could be read")
