"""What `ringwarden config` does: find all that is wrong, and tell where each value comes from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from supervisor.cli.reading import print_json
from supervisor.cli.terminal import console, shown
from supervisor.exit_code import ExitCode
from supervisor.redaction import HIDDEN
from supervisor.settings import Settings
from supervisor.settings_resolution import resolve_settings
from supervisor.settings_sources import ENVIRONMENT_PREFIX


class _Problem(msgspec.Struct, frozen=True):
    source: str
    key: str
    rule: str
    remedy: str


class _Checked(msgspec.Struct, frozen=True):
    file: str | None
    ok: bool
    problems: tuple[_Problem, ...]


class _Shown(msgspec.Struct, frozen=True):
    value: Any
    origin: str
    source: str | None


def check_settings(file: Path | None, *, as_json: bool) -> int:
    """Carry out `config check`; return the exit code."""
    found = resolve_settings({}, os.environ, file)
    problems = tuple(_Problem(one.source, one.key, one.rule, one.remedy) for one in found.problems)
    if as_json:
        print_json(_Checked(None if file is None else str(file), not problems, problems))
    elif problems:
        for one in problems:
            named = one.source if one.source.startswith(ENVIRONMENT_PREFIX) else f"{one.source}: {one.key}"
            console().print(shown(f"{named} {one.rule}. {one.remedy}"))
    else:
        what = "no ringwarden.toml here; the variables are" if file is None else f"{file} and the variables are"
        console().print(shown(f"{what} good"))
    return ExitCode.CONFIG if problems else ExitCode.OK


def show_settings(flags: Mapping[str, Any], file: Path | None, *, as_json: bool) -> None:
    """Carry out `config show`.

    Raises:
        SettingsError: A value cannot be used.
    """
    found = resolve_settings(flags, os.environ, file)
    if found.settings is None:
        raise found.problems[0]
    rows = {name: _row(found.settings, name, found.sources.get(name)) for name in Settings.__struct_fields__}
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for name, row in rows.items():
        value = "-" if row.value is None or row.value == "" else str(row.value)
        origin = row.origin if row.source is None else f"{row.origin} {row.source}"
        table.add_row(name, shown(value), shown(origin))
    console().print(table)


def _row(settings: Settings, name: str, source: str | None) -> _Shown:
    value = getattr(settings, name)
    if name == "api_key" and value is not None:
        value = HIDDEN
    elif isinstance(value, Path):
        value = str(value)
    if source is None:
        return _Shown(value, "default", None)
    if source.startswith("--"):
        return _Shown(value, "flag", source)
    return _Shown(value, "variable" if source.startswith(ENVIRONMENT_PREFIX) else "file", source)
