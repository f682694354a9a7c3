"""Where each setting comes from, and whether it can be used.

A flag beats `RINGWARDEN_*`, which beats `ringwarden.toml`, which beats the default. Nothing is guessed: an unknown key
or a wrong value is a `SettingsError` that names where it stands, which rule it breaks and what to do.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from supervisor.settings import Settings, is_loopback
from supervisor.settings_sources import (
    Layer,
    SettingsError,
    environment_layer,
    flag_layer,
    is_text_source,
    read_secret,
    toml_layer,
)


class ResolvedSettings(msgspec.Struct, frozen=True):
    """What the sources say together.

    `settings` is None when there are `problems`; `sources` has the flag, variable or file of each field that did not
    keep its default.
    """

    settings: Settings | None
    sources: Mapping[str, str]
    problems: tuple[SettingsError, ...]


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str], toml_path: Path | None) -> Settings:
    """Merge the sources, check every value, and check the values against each other.

    Args:
        flags: By field name; None means that the flag was not given.
        environment: All variables; those that do not start with `RINGWARDEN_` are ignored.
        toml_path: A file to read, or None for none. A file that is named must exist.

    Raises:
        SettingsError: For the first value that cannot be used.
    """
    resolved = resolve_settings(flags, environment, toml_path)
    if resolved.settings is None:
        raise resolved.problems[0]
    return resolved.settings


def resolve_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], toml_path: Path | None
) -> ResolvedSettings:
    """Do as `load_settings`, but find all problems, and tell where each value comes from.

    Values are checked against each other once each is right by itself.
    """
    problems: list[SettingsError] = []
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, value, source in _layers(flags, environment, toml_path, problems):
        try:
            values[key] = _converted(key, value, source)
            sources[key] = source
        except SettingsError as problem:
            problems.append(problem)
    if not values.get("nodes"):
        # On nodes, placement chooses what nobody said.
        values = {"ranks": 2, "parallel": "tensor", **values}
        values.setdefault("backend", "none" if values["ranks"] == 1 else "ring")
    if "api_key_file" in values and "api_key" not in values:
        source = sources["api_key_file"]
        try:
            values["api_key"] = _converted("api_key", read_secret(values["api_key_file"], source), source)
            sources["api_key"] = source
        except SettingsError as problem:
            problems.append(problem)
    if problems:
        return ResolvedSettings(None, sources, tuple(problems))
    settings = Settings(**values)
    problems.extend(_problems_together(settings, sources))
    return ResolvedSettings(None if problems else settings, sources, tuple(problems))


def _layers(
    flags: Mapping[str, Any], environment: Mapping[str, str], toml_path: Path | None, problems: list[SettingsError]
) -> Layer:
    """What all sources say, the weakest first; a file that cannot be read is a problem."""
    layers = [*environment_layer(environment), *flag_layer(flags)]
    if toml_path is None:
        return layers
    try:
        return [*toml_layer(toml_path), *layers]
    except SettingsError as problem:
        problems.append(problem)
        return layers


def settings_schema() -> dict[str, Any]:
    """Return the JSON schema of `Settings`, descriptions and limits included."""
    return msgspec.json.schema(Settings, schema_hook=_schema_of_path)


def _schema_of_path(kind: type) -> dict[str, Any]:
    if kind is Path:
        return {"type": "string"}
    raise NotImplementedError


def _converted(key: str, value: Any, source: str) -> Any:
    """Return `value` as the field's type. Flags and variables may spell numbers and booleans as text."""
    kind = _FIELD_TYPES.get(key)
    if kind is None:
        close = difflib.get_close_matches(key, _FIELD_TYPES, n=1)
        remedy = f"Did you mean {close[0]}?" if close else "Remove it; the README lists the settings."
        raise SettingsError(source, key, "is not a setting", remedy)
    try:
        return msgspec.convert(value, kind, dec_hook=_path_from_text)
    except msgspec.ValidationError as strict_problem:
        if isinstance(value, str) and is_text_source(source):
            try:
                return msgspec.convert(value, kind, strict=False, dec_hook=_path_from_text)
            except msgspec.ValidationError as problem:
                raise _wrong(key, value, source, problem) from problem
        raise _wrong(key, value, source, strict_problem) from strict_problem


def _wrong(key: str, value: Any, source: str, problem: msgspec.ValidationError) -> SettingsError:
    shown = "(hidden)" if key == "api_key" else repr(value)
    entry = settings_schema()["$defs"]["Settings"]["properties"][key]
    # What may be left out is described one level deeper.
    described: dict[str, Any] = entry.get("anyOf", [entry])[0]
    choices = f" ({', '.join(described['enum'])})" if "enum" in described else ""
    return SettingsError(
        source,
        key,
        f"is {shown}, which is wrong: {_lowered(str(problem))}",
        f"It is: {described['description']}{choices}. Correct it, or leave it out to get the default.",
    )


def _lowered(problem: str) -> str:
    """A clause of a sentence; that a setting may be left out is no news for whoever wrote it."""
    return f"{problem[0].lower()}{problem[1:]}".replace(" | null", "")


def _path_from_text(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path) and str(value):
        return Path(value).expanduser()
    raise ValueError("Expected a path")


def _problems_together(settings: Settings, sources: Mapping[str, str]) -> Iterator[SettingsError]:
    """Rules over more than one setting."""

    def refuse(key: str, rule: str, remedy: str) -> SettingsError:
        return SettingsError(sources.get(key, "the default"), key, rule, remedy)

    if settings.ranks is not None and settings.ranks > 1 and settings.backend == "none":
        yield refuse("backend", f"is none, but {settings.ranks} ranks must talk", "Use --backend ring, or --ranks 1.")
    if settings.nodes and settings.backend in ("mpi", "nccl"):
        yield refuse("backend", f"is {settings.backend}, which nodes cannot use", "Use ring or jaccl, or leave it out.")
    if settings.hostfile is not None and not settings.nodes:
        yield refuse("hostfile", "fixes the addresses of nodes, but there are none", "Name them with --nodes.")
    if settings.backoff_first_s > settings.backoff_cap_s:
        yield refuse("backoff_cap_s", "is shorter than backoff_first_s", "Make it at least as long.")
    if not is_loopback(settings.host) and settings.api_key is None and not settings.insecure:
        yield refuse(
            "host",
            f"is {settings.host}, which others can reach, and there is no API key",
            "Give --api-key-file FILE, or --insecure if everybody there may use the model.",
        )


_FIELD_TYPES: Mapping[str, Any] = get_type_hints(Settings, include_extras=True)
