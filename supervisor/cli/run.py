"""`ringwarden run`: check what was asked for, run it, and tell how it ended."""

import errno
import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from diagnostics.incident import Incident
from supervisor.cli.errors import CommandError
from supervisor.cli.run_verdict import verdict_text
from supervisor.colour import wants_colour
from supervisor.core.program_group import RestartWhen
from supervisor.exit_code import ExitCode
from supervisor.hostfile import HostfileError
from supervisor.journal.tags import TagError
from supervisor.process.child import StreamName
from supervisor.run.command import RunOptions, run_program
from supervisor.run.printer import STDERR, STDOUT
from supervisor.run.program_supervisor import CannotStart
from supervisor.run.ranks import read_hostfile
from supervisor.settings import default_state_folder
from supervisor.settings_resolution import load_settings
from supervisor.state_directory import StateDirectoryError

STDIN = 0


def run_ranks(
    command: Sequence[str],
    *,
    ranks: int | None,
    hostfile: Path | None,
    tags: Sequence[str],
    restart: RestartWhen,
    max_restarts: int,
    log_folder: Path | None,
    state_folder: Path | None,
    as_json: bool,
) -> int:
    """Carry out `run`; return its exit code. Blocks until the program is over."""
    _open_standard_streams()
    settings = load_settings({"state_dir": state_folder}, os.environ, None)
    ring = None if hostfile is None else _ring(hostfile, ranks)
    options = RunOptions(
        command=tuple(command),
        world_size=ranks or len(ring or [None]),
        ring=ring,
        tags=_tags(tags),
        restart=restart,
        max_restarts=max_restarts,
        state_folder=settings.state_dir.absolute(),
        log_folder=None if log_folder is None else _log_folder(log_folder),
        as_json=as_json,
    )

    def verdict(incident: Incident, log_folder: Path) -> str:
        where = "" if options.state_folder == default_state_folder() else f" --state-dir {options.state_folder}"
        why = f"ringwarden why {incident.incident_id}{where}"
        return verdict_text(incident, log_folder, why, coloured=_colour("stderr"))

    try:
        return run_program(options, verdict, _colour)
    except CannotStart as refusal:
        message, remedy, code = _refusal(command[0], refusal.problem)
        raise CommandError(message, remedy, code) from refusal
    except TagError as problem:
        raise CommandError(f"--tag: {problem}", problem.remedy, ExitCode.USAGE) from problem
    except StateDirectoryError as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.CONFIG) from problem


def _ring(hostfile: Path, ranks: int | None) -> tuple[tuple[str, ...], ...]:
    try:
        addresses = read_hostfile(hostfile)
    except HostfileError as problem:
        code = ExitCode.UNAVAILABLE if problem.is_remote else ExitCode.BAD_DATA
        raise CommandError(f"--hostfile {problem}", problem.remedy, code) from problem
    if ranks is not None and ranks != len(addresses):
        raise CommandError(f"-n is {ranks}, but {hostfile} has {len(addresses)} ranks", "Leave -n out.", ExitCode.USAGE)
    return tuple(tuple(of_rank) for of_rank in addresses)


def _tags(texts: Sequence[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f"--tag {text!r} has no value", "Write it as NAME=VALUE.", ExitCode.USAGE)
        if name in tags:
            raise CommandError(f"--tag {name} is given twice", "Give each tag one value.", ExitCode.USAGE)
        tags[name] = value
    return tags


def _log_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        message = f"--log-dir {path} cannot be made: {problem.strerror}"
        raise CommandError(message, "Name a folder that you may write to.", ExitCode.USAGE) from problem
    return path.absolute()


def _refusal(program: str, problem: OSError) -> tuple[str, str, ExitCode]:
    """What a shell would say of a program that cannot be started: words, remedy, exit code."""
    found = shutil.which(program) is not None
    if isinstance(problem, FileNotFoundError) and found:
        words = "names an interpreter in its first line that does not exist"
        return f"{program} {words}", "Correct that line.", ExitCode.NOT_EXECUTABLE
    if isinstance(problem, FileNotFoundError):
        return f"{program}: command not found", "Check the spelling and PATH, or give its path.", ExitCode.NOT_FOUND
    if isinstance(problem, PermissionError) and Path(program).is_dir():
        return f"{program} is a folder", "Name the program in it.", ExitCode.NOT_EXECUTABLE
    if isinstance(problem, PermissionError):
        return (
            f"{program} may not be executed",
            f"chmod +x {shlex.quote(program)}, or name its interpreter.",
            ExitCode.NOT_EXECUTABLE,
        )
    if problem.errno == errno.ENOEXEC:
        return (
            f"{program} is no program for this system",
            "Name its interpreter, or give it a #! line.",
            ExitCode.NOT_EXECUTABLE,
        )
    return f"{program} cannot be started: {problem}", "Look at the limits of this machine.", ExitCode.UNAVAILABLE


def _colour(stream: StreamName) -> bool:
    return wants_colour(os.environ, on_terminal=os.isatty(STDOUT if stream == "stdout" else STDERR))


def _open_standard_streams() -> None:
    """Put /dev/null where a standard stream was closed before our start; else another file would get its number."""
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
