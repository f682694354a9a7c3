"""Where settings come from: flags, variables and a file, as layers, and what is said of a value that is wrong."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.exit_code import ExitCode

ENVIRONMENT_PREFIX = "RINGWARDEN_"
DEFAULT_CONFIG = Path("ringwarden.toml")

Layer = list[tuple[str, Any, str]]
"""A field's name, its value, and the source by which an error names it."""


class SettingsError(Exception):
    """A setting that cannot be used.

    `source` is the flag, variable or file it came from; `exit_code` follows sysexits: 64 for a flag, 78 otherwise.
    """

    def __init__(self, source: str, key: str, rule: str, remedy: str) -> None:
        named = source if source.startswith(("--", ENVIRONMENT_PREFIX)) else f"{source}: {key}"
        super().__init__(f"{named} {rule}.")
        self.source = source
        self.key = key
        self.rule = rule
        self.remedy = remedy
        self.exit_code = ExitCode.USAGE if source.startswith("--") else ExitCode.CONFIG


def toml_layer(path: Path) -> Layer:
    """Return what a file says.

    Raises:
        SettingsError: The file cannot be read, or is not TOML.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise SettingsError(str(path), "the file", f"cannot be read: {reason}", "Name a readable file.") from problem
    except tomllib.TOMLDecodeError as problem:
        raise SettingsError(str(path), "the file", f"is not TOML: {problem}", "Correct that line.") from problem
    return [(key, value, str(path)) for key, value in table.items()]


def environment_layer(environment: Mapping[str, str]) -> Layer:
    """Return what the variables say, those that start with `RINGWARDEN_`."""
    names = sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX))
    return [(name.removeprefix(ENVIRONMENT_PREFIX).lower(), environment[name], name) for name in names]


def flag_layer(flags: Mapping[str, Any]) -> Layer:
    """Return what the flags say; None means that a flag was not given."""
    return [(key, value, flag_name(key)) for key, value in flags.items() if value is not None]


def flag_name(key: str) -> str:
    """Return the command line's spelling of a field: `state_dir` is `--state-dir`."""
    return "--" + key.replace("_", "-")


def is_text_source(source: str) -> bool:
    """Return whether a source spells numbers and booleans as text: flags and variables do, files do not."""
    return source.startswith((ENVIRONMENT_PREFIX, "--"))


def read_secret(path: Path, source: str) -> str:
    """Return the key that a file holds.

    Raises:
        SettingsError: The file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        rule, remedy = f"names {path}, which cannot be read", "Put the key there, alone on one line."
        raise SettingsError(source, "api_key_file", rule, remedy) from problem


def found_config(given: Path | None) -> Path | None:
    """Return the settings file that `up` would read here: the one that was named, or the one in this folder."""
    found = DEFAULT_CONFIG if given is None and DEFAULT_CONFIG.is_file() else given
    return None if found is None else found.absolute()
