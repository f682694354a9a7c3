"""`ringwarden diagnose`: the cause of a failure, from logs alone."""

import sys
from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from diagnostics.cause import Cause
from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.launcher_log import LogReport
from diagnostics.log_diagnosis import LogDiagnosis, root_cause_of
from diagnostics.mixed_log import examine_log
from diagnostics.post_mortem import PostMortem, RankLog, examine_group
from diagnostics.stream_tags import rank_label
from supervisor.cli.diagnose_inputs import (
    STANDARD_INPUT,
    RankInput,
    parse_exit_status,
    parse_rank_inputs,
    read_log,
    this_system,
)
from supervisor.cli.diagnose_json import group_document, log_document
from supervisor.cli.diagnose_story import group_story, log_story
from supervisor.cli.errors import CommandError
from supervisor.cli.terminal import complain, console, json_line, shown
from supervisor.exit_code import ExitCode

NO_CAUSE_FOUND = 1


def diagnose_logs(names: Sequence[str], exit_status: int | None, system: str | None, *, as_json: bool) -> int:
    """Examine logs one after the other; return the exit code: 65 when one could not be read, else 0 or 1.

    Args:
        names: Files, or `-` for standard input.
        exit_status: How the process of each log ended, as a number; None where that is not known.
        system: `darwin` or `linux`; None to let each log tell.
        as_json: Print one JSON document on a line for each log, instead of text.

    Raises:
        CommandError: The command was not called rightly.
    """
    status = parse_exit_status(exit_status)
    _check_standard_input(names)
    found = unreadable = False
    for position, name in enumerate(names):
        title = name if len(names) > 1 else None
        try:
            log = read_log(name, _system(system), status)
        except CommandError as problem:
            complain(str(problem), problem.remedy)
            unreadable = True
            continue
        diagnosis = examine_log(log, status)
        found = found or diagnosis.root_cause is not None
        if as_json:
            _print_document(log_document(diagnosis, title))
        else:
            _tell_log(diagnosis, log, title, status, first=position == 0)
    return ExitCode.BAD_DATA if unreadable else ExitCode.OK if found else NO_CAUSE_FOUND


def diagnose_group(words: Sequence[str], exit_status: int | None, system: str | None, *, as_json: bool) -> int:
    """Examine the logs of a group's ranks; return the exit code: 0 when the cause was found, else 1.

    Args:
        words: `RANK=FILE[:EXIT]` for each rank.
        exit_status: Refused: in a group, each rank has its own.
        system: `darwin` or `linux`; None to let the logs tell.
        as_json: Print one JSON document instead of text.

    Raises:
        CommandError: The command was not called rightly, or a log cannot be read: a verdict over half a group would
            be a wrong one.
    """
    if exit_status is not None:
        raise CommandError("--exit-status does not go with --group", "Write 0=rank0.log:-9", ExitCode.USAGE)
    inputs = parse_rank_inputs(words)
    _check_standard_input([one.file for one in inputs])
    reports = {one: read_log(one.file, _system(system), one.exit_status) for one in inputs}
    logs = [RankLog(one.rank, log.whole, one.exit_status, one.alive) for one, log in reports.items()]
    outcome = examine_group(logs, _common_system(list(reports.values())))
    ranks = {one.rank: _of_rank(one, log, outcome) for one, log in reports.items()}
    if as_json:
        _print_document(group_document(outcome.verdict, ranks))
    else:
        console().print(group_story(outcome.verdict, ranks, {one.rank: one for one in inputs}))
    found = outcome.verdict is not None and outcome.verdict.kind is not Cause.UNKNOWN
    return ExitCode.OK if found else NO_CAUSE_FOUND


def _of_rank(one: RankInput, log: LogReport, outcome: PostMortem) -> LogDiagnosis:
    """One rank, with the group's word about it: that it left early can only be known from the others."""
    diagnosis = outcome.ranks.get(one.rank)
    nothing = diagnosis is None or diagnosis.cause is Cause.UNKNOWN or outcome.verdict is None
    root = None if diagnosis is None or nothing else root_cause_of(diagnosis, log.whole, rank_label(one.rank))
    return LogDiagnosis(root, log.whole.diagnostics, log.whole.unclassified_lines)


def _system(name: str | None) -> OperatingSystem | None:
    return None if name is None else OperatingSystem(name)


def _common_system(logs: Sequence[LogReport]) -> OperatingSystem:
    """Ranks of one group may run on both systems; the more frequent one then decides what signal numbers mean."""
    systems = [log.operating_system for log in logs]
    return max(sorted(set(systems)), key=systems.count, default=this_system())


def _check_standard_input(names: Sequence[str]) -> None:
    if names.count(STANDARD_INPUT) > 1:
        raise CommandError("- is named more than once", "Standard input can be read once only.", ExitCode.USAGE)
    if STANDARD_INPUT in names and (sys.stdin is None or sys.stdin.isatty()):
        raise CommandError(
            "there is no log on standard input", "Name a file, or pipe one in: CMD 2>&1 | ringwarden diagnose",
            ExitCode.USAGE,
        )  # fmt: skip


def _print_document(document: object) -> None:
    console().out(json_line(document), highlight=False, end="")


def _tell_log(
    diagnosis: LogDiagnosis, log: LogReport, title: str | None, status: ExitStatus | None, *, first: bool
) -> None:
    heading = [] if title is None else [shown(title, "bold underline")]
    gap = [] if first else [Text()]
    console().print(Group(*gap, *heading, log_story(diagnosis, log, status)))
