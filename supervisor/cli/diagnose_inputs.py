"""The logs that `ringwarden diagnose` is given: their names, their bytes, how their processes ended."""

import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import msgspec

from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.launcher_log import LogReader, LogReport
from diagnostics.log_system import system_of_exit
from supervisor.cli.errors import CommandError
from supervisor.exit_code import ExitCode

STANDARD_INPUT = "-"
CHUNK_BYTES = 1024 * 1024
MAX_RANK = 1024
_MAX_SIGNAL = 64
_COMPRESSED = {
    b"\x1f\x8b": "gunzip -c",
    b"BZh": "bunzip2 -c",
    b"\xfd7zXZ\x00": "xz -dc",
    b"\x28\xb5\x2f\xfd": "zstd -dc",
    b"PK\x03\x04": "unzip -p",
}
_END = re.compile(r"(?P<file>.+):(?P<end>-?\d+|alive)", re.DOTALL)


class RankInput(msgspec.Struct, frozen=True):
    """One `RANK=FILE[:EXIT]`. `alive` means that the process never ended."""

    rank: int
    file: str
    exit_status: ExitStatus | None
    alive: bool


def parse_exit_status(number: int | None) -> ExitStatus | None:
    """Return what a number says: negative is a signal; 128 + signal is understood where it is read.

    Raises:
        CommandError: No process can have ended so.
    """
    if number is None or 0 <= number <= 255:
        return None if number is None else ExitStatus(code=number)
    if -_MAX_SIGNAL <= number < 0:
        return ExitStatus(signal=-number)
    raise CommandError(
        f"{number} is no exit status",
        f"Give an exit code from 0 to 255, or a signal from -1 to -{_MAX_SIGNAL}.",
        ExitCode.USAGE,
    )


def parse_rank_inputs(words: Sequence[str]) -> tuple[RankInput, ...]:
    """Return the ranks of a group, by number.

    Raises:
        CommandError: One cannot be read, is there twice, or nothing is there.
    """
    if not words:
        raise _wrong("--group needs at least one rank")
    inputs = [_rank_input(word) for word in words]
    ranks = [one.rank for one in inputs]
    twice = next((rank for rank in ranks if ranks.count(rank) > 1), None)
    if twice is not None:
        raise _wrong(f"rank {twice} is given twice")
    if sum(one.file == STANDARD_INPUT for one in inputs) > 1:
        raise _wrong("standard input (-) can be the log of one rank only")
    return tuple(sorted(inputs, key=lambda one: one.rank))


def _rank_input(word: str) -> RankInput:
    rank, separator, rest = word.partition("=")
    if not separator or not rest:
        raise _wrong(f"{word!r} is no RANK=FILE")
    if not (rank.isascii() and rank.isdecimal() and len(rank) < 6 and int(rank) <= MAX_RANK):
        raise _wrong(f"{rank!r} in {word!r} is no rank from 0 to {MAX_RANK}")
    found = None if Path(rest).exists() else _END.fullmatch(rest)
    if found is None:
        return RankInput(int(rank), rest, None, alive=False)
    alive = found["end"] == "alive"
    status = None if alive else parse_exit_status(int(found["end"][:6]))
    return RankInput(int(rank), found["file"], status, alive)


def _wrong(message: str) -> CommandError:
    return CommandError(message, "Write it as: --group 0=rank0.log:-9 1=rank1.log:alive", ExitCode.USAGE)


def this_system() -> OperatingSystem:
    """Return the system that this command runs on."""
    return OperatingSystem.DARWIN if sys.platform == "darwin" else OperatingSystem.LINUX


def read_log(name: str, system: OperatingSystem | None, exit_status: ExitStatus | None) -> LogReport:
    """Read a whole log, in bounded memory. Blocks until its end.

    Args:
        name: A file, or `-` for standard input.
        system: Where it was written; None to let the log tell, then the signal, then this machine.
        exit_status: How the process ended.

    Raises:
        CommandError: It cannot be read, or is compressed.
    """
    reader = LogReader(system, system_of_exit(exit_status) or this_system())
    try:
        with nullcontext(sys.stdin.buffer) if name == STANDARD_INPUT else Path(name).open("rb") as stream:
            _feed(reader, stream, name)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise CommandError(
            f"{name} cannot be read: {reason}", "Name a log file, or - for standard input.", ExitCode.BAD_DATA
        ) from problem
    except ValueError as problem:  # a NUL in the name
        raise CommandError(f"{name!r} is no file name", "Name a log file.", ExitCode.BAD_DATA) from problem
    return reader.finish()


def _feed(reader: LogReader, stream: BinaryIO, name: str) -> None:
    chunk = stream.read(CHUNK_BYTES)
    for magic, command in _COMPRESSED.items():
        if chunk.startswith(magic):
            remedy = f"Try: {command} {name} | ringwarden diagnose -"
            raise CommandError(f"{name} is compressed", remedy, ExitCode.BAD_DATA)
    while chunk:
        reader.feed(chunk)
        chunk = stream.read(CHUNK_BYTES)
