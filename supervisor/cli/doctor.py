"""What `ringwarden doctor` does: make every check, show each finding as it comes, and end with the worst."""

import os
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from supervisor.certificate import OUR_SYSTEM
from supervisor.cli.reading import print_json
from supervisor.cli.terminal import console, shown
from supervisor.doctor.finding import CheckState, Finding, exit_code_of
from supervisor.doctor.visit import Order, Visit
from supervisor.settings_resolution import resolve_settings

WIDTH = 80
_STYLES = {
    CheckState.OK: "green",
    CheckState.WARNING: "yellow",
    CheckState.FAILED: "bold red",
    CheckState.SKIPPED: "dim",
}
_STATE_LETTERS = 9
_NAME_LETTERS = 17
_INDENT = " " * _STATE_LETTERS


class _Report(msgspec.Struct, frozen=True):
    """The JSON document."""

    ok: bool
    exit_code: int
    done: tuple[str, ...]
    checks: tuple[Finding, ...]


def examine(
    flags: Mapping[str, Any],
    config: Path | None,
    *,
    head: tuple[str, int] | None,
    fix: bool,
    form_ring: bool,
    as_json: bool,
) -> int:
    """Carry out `doctor`; return its exit code. Blocks: MLX alone may take a minute to load."""
    order = Order(
        resolved=resolve_settings(flags, os.environ, config),
        config=config,
        environment=dict(os.environ),
        system=OUR_SYSTEM,
        head=head,
        fix=fix,
        form_ring=form_ring,
    )
    visit = Visit(order)
    findings: list[Finding] = []
    for finding in visit.findings():
        findings.append(finding)
        if not as_json:
            _show(finding_lines(finding))
    code = exit_code_of(findings)
    if as_json:
        print_json(_Report(not code, int(code), tuple(visit.done), tuple(findings)))
    else:
        _show(closing_lines(findings, visit.done))
    return code


def finding_lines(finding: Finding) -> list[Text]:
    """Return one finding as lines of at most 80 letters; a word that is longer, such as a path, stays whole."""
    first = shown(f"{finding.state:<{_STATE_LETTERS}}", _STYLES[finding.state])
    if finding.state is CheckState.SKIPPED:
        lead = f"{finding.check:<{_NAME_LETTERS}} {finding.diagnosis}"
        lines = _wrapped(lead, " " * (_NAME_LETTERS + 1))
        return [first.append_text(shown(lines[0], "dim")), *(shown(_INDENT + line, "dim") for line in lines[1:])]
    evidence = finding.evidence or ("",)
    lines = _wrapped(f"{finding.check:<{_NAME_LETTERS}} {evidence[0]}", " " * (_NAME_LETTERS + 1))
    for line in evidence[1:]:
        lines += _wrapped(" " * (_NAME_LETTERS + 1) + line, " " * (_NAME_LETTERS + 3))
    shown_lines = [first.append_text(shown(lines[0])), *(shown(_INDENT + line) for line in lines[1:])]
    if finding.diagnosis:
        shown_lines += [shown(_INDENT + line, _STYLES[finding.state]) for line in _wrapped(finding.diagnosis, "")]
    if finding.remedy:
        shown_lines += [shown(_INDENT + line, "bold") for line in _wrapped(f"-> {finding.remedy}", "   ")]
    return shown_lines


def closing_lines(findings: Iterable[Finding], done: Iterable[str]) -> list[Text]:
    """Return what was put right, and how many checks came out how."""
    states = [finding.state for finding in findings]
    counts = ", ".join(f"{states.count(state)} {state}" for state in CheckState if state in states)
    fixed = [shown(f"{_INDENT if number else 'fixed    '}{line}") for number, line in enumerate(done)]
    return [Text(), *fixed, shown(counts, "bold")]


def _wrapped(text: str, hanging: str) -> list[str]:
    width = WIDTH - _STATE_LETTERS
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    ) or [""]


def _show(lines: Iterable[Text]) -> None:
    for line in lines:
        console().print(line, soft_wrap=True)
