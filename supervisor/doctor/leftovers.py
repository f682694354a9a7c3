"""What a daemon that died may have left: runners that still hold memory, and files."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from supervisor.doctor.finding import Finding, failed, gibibytes, ok, skipped, warning
from supervisor.doctor.lock import LockFacts
from supervisor.exit_code import ExitCode
from supervisor.runner_record import RUNNERS_FILE, RunnerRecord, StraysOutlive
from supervisor.state_directory import StateDirectory, StateDirectoryError

STRAYS, FILES = "stray-runners", "leftover-files"
_ADOPTERS = frozenset({"systemd", "launchd", "init"})
"""Who gets the children of a parent that died."""


class Stray(msgspec.Struct, frozen=True):
    """A runner without a supervisor. `resident_bytes` is 0 where the system hides it."""

    pid: int
    resident_bytes: int = 0


class Leftovers(msgspec.Struct, frozen=True):
    """What was found.

    `recorded` are runners that this folder's record names by pid and start time; `orphans` look like runners, have
    lost their parent, and are in no record of this folder. `files` are what the next start would remove.
    `record_problem` says why the record of runners tells nothing.
    """

    lock: LockFacts
    recorded: tuple[Stray, ...] = ()
    orphans: tuple[Stray, ...] = ()
    files: tuple[Path, ...] = ()
    stale_record: bool = False
    record_problem: str | None = None


def read_leftovers(state: StateDirectory, lock: LockFacts) -> Leftovers:
    """Look for what is left; nothing is changed. Blocks while it looks at all processes of this user."""
    if lock.held or lock.problem is not None:
        return Leftovers(lock, orphans=_orphans(frozenset()))
    record = RunnerRecord(state.path / RUNNERS_FILE)
    recorded = record.strays()
    work = state.work_folder
    return Leftovers(
        lock,
        recorded=tuple(map(_stray, recorded)),
        orphans=_orphans(frozenset(recorded)),
        files=(work,) if not state.holds_others_work() and work.is_dir() and any(work.iterdir()) else (),
        stale_record=state.read_daemon() is not None,
        record_problem=record.problem(),
    )


def judge_strays(facts: Leftovers) -> Finding:
    """Judge the processes."""
    evidence = [f"pid {one.pid}, {gibibytes(one.resident_bytes)}: in this folder's record" for one in facts.recorded]
    evidence += [f"pid {one.pid}, {gibibytes(one.resident_bytes)}: lost its parent" for one in facts.orphans]
    if facts.recorded:
        return failed(
            STRAYS,
            evidence,
            "Runners of a daemon that died still run: they hold memory, and maybe the GPU.",
            "ringwarden doctor --fix ends those in the record; so does the next `ringwarden up`.",
            ExitCode.TEMPORARY,
        )
    if facts.orphans:
        return warning(
            STRAYS,
            evidence,
            "They look like runners without a supervisor, but this folder's record does not name them.",
            "If their daemon had another --state-dir, run doctor with that; else look at them with ps, and kill them.",
        )
    if facts.lock.problem is not None:
        return skipped(STRAYS, f"Whether a daemon runs here is not known: {facts.lock.problem}.")
    if facts.record_problem is not None:
        why = f"Only runners that lost their parent could be looked for, and there are none: {facts.record_problem}."
        return skipped(STRAYS, why)
    if facts.lock.held:
        return ok(STRAYS, "a daemon runs here, and no runner has lost its parent")
    return ok(STRAYS, "no runner in the record is alive, and none has lost its parent")


def judge_files(facts: Leftovers) -> Finding:
    """Judge the files. Those of an orderly end are no fault: the next start empties them."""
    if facts.lock.held or facts.lock.problem is not None:
        return skipped(FILES, "A daemon may be using them.")
    evidence = [f"{path} is left of an earlier run" for path in facts.files]
    if facts.stale_record:
        return warning(
            FILES,
            [*evidence, "daemon.json names a daemon, but nobody holds the lock"],
            "The last daemon did not end in order; what it was doing is in `ringwarden incidents`.",
            "ringwarden doctor --fix removes it; so does the next start.",
        )
    return ok(FILES, *(evidence or ["nothing is left"]))


def clean_up(state: StateDirectory, facts: Leftovers) -> tuple[str, ...]:
    """End the runners of the record and remove the files, under the folder's lock; return what was done, a line each.

    Only what the record identifies by pid, start time and group is ended: a stranger that has the number now lives.
    Nothing is done while a daemon runs. Blocks for 5 s at most.
    """
    if facts.lock.held or facts.lock.problem is not None or not (facts.recorded or facts.files or facts.stale_record):
        return ()
    done: list[str] = []
    try:
        with state.lock():
            with suppress(StraysOutlive):
                ended = RunnerRecord(state.path / RUNNERS_FILE).end_strays()
                done += [f"ended the stray runner with pid {pid}" for pid in ended]
            for path in facts.files:
                shutil.rmtree(path, ignore_errors=True)
                if not path.exists():
                    done.append(f"removed {path}")
            if facts.stale_record:
                # Leaving the lock removes the record.
                done.append("removed the record of a daemon that is gone (daemon.json)")
    except StateDirectoryError:
        # Somebody started a daemon meanwhile, or the folder cannot be used: the next look says so.
        return tuple(done)
    return tuple(done)


def _stray(pid: int) -> Stray:
    with suppress(psutil.Error):
        return Stray(pid, psutil.Process(pid).memory_info().rss)
    return Stray(pid)


def _orphans(known: frozenset[int]) -> tuple[Stray, ...]:
    found: list[Stray] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_ours = process.uids().real == os.getuid()
            if is_ours and process.pid not in known and _is_runner(process.cmdline()) and _is_adopted(process.ppid()):
                found.append(_stray(process.pid))
    return tuple(found)


def _is_runner(command: list[str]) -> bool:
    """As `RunnerLaunch.command` writes it."""
    return command[1:3] == ["-m", "runner"] and any(word.startswith("--channel-fd=") for word in command)


def _is_adopted(parent: int) -> bool:
    try:
        return parent in (0, 1) or psutil.Process(parent).name() in _ADOPTERS
    except psutil.Error:
        return True
