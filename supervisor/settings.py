"""All settings of one daemon in one struct, and where each value may come from.

A flag beats `RINGWARDEN_*`, which beats `ringwarden.toml`, which beats the default. Nothing is guessed: an unknown key
or a wrong value is a `SettingsError` that names where it stands, which rule it breaks and what to do.
"""

import difflib
import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
import platformdirs
from msgspec import Meta

from supervisor.settings_sources import (
    Layer,
    SettingsError,
    environment_layer,
    flag_layer,
    is_text_source,
    read_secret,
    toml_layer,
)
from transports.messages import Backend, Parallelism


def default_state_folder() -> Path:
    """Where a daemon keeps its state when nobody says otherwise: the platform's per-user state folder."""
    return Path(platformdirs.user_state_dir("ringwarden", appauthor=False))


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one daemon was told. Durations end in `_s` (seconds), sizes name their unit."""

    model: Annotated[str, Meta(min_length=1, description="`tiny`, a model folder, or a Hugging Face repository id")] = (
        "tiny"
    )
    ranks: Annotated[int, Meta(ge=1, le=64, description="runner processes that share the model")] | None = None
    parallel: Annotated[Parallelism, Meta(description="how the model is split over the ranks")] | None = None
    backend: Annotated[Backend, Meta(description="the MLX distributed backend; `none` for one rank")] | None = None
    engine: Annotated[
        str, Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="the engine's class, as `module:Class`")
    ] = "runner.mlx_engine:MlxEngine"

    host: Annotated[str, Meta(min_length=1, description="the address that the API listens on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="the API's port; 0 takes any free one")] = 52_415
    api_key: Annotated[str, Meta(min_length=16, description="the bearer token that clients must send")] | None = None
    api_key_file: Annotated[Path, Meta(description="a file that holds the API key")] | None = None
    insecure: Annotated[bool, Meta(description="allow a non-loopback host without an API key")] = False
    allowed_hosts: Annotated[str, Meta(description="further names of this host for clients, comma-separated")] = ""
    state_dir: Annotated[Path, Meta(description="the folder for incidents, logs and the daemon's lock")] = (
        msgspec.field(default_factory=default_state_folder)
    )

    nodes: Annotated[
        str, Meta(description="the nodes that share the model, comma-separated; `auto` takes what it needs")
    ] = ""
    hostfile: Annotated[Path, Meta(description="a hostfile of mlx.launch: which addresses, in which order")] | None = (
        None
    )
    bus_host: Annotated[str, Meta(min_length=1, description="the address on which nodes reach the head")] = "127.0.0.1"
    bus_port: Annotated[int, Meta(ge=0, le=65_534, description="the head's port for nodes; events use the next")] = (
        52_416
    )
    node_address: Annotated[str, Meta(description="this node's own address for the ring; default: the best it has")] = (
        ""
    )
    node_silence_s: Annotated[float, Meta(gt=0, le=600, description="a node not heard of for so long is lost")] = 5.0
    reconnect_grace_s: Annotated[
        float, Meta(gt=0, le=600, description="to come back, for a node whose connection was closed")
    ] = 0.5
    node_return_s: Annotated[
        float, Meta(ge=0, le=3_600, description="how long a lost node is waited for before the others do without it")
    ] = 15.0
    adoption_wait_s: Annotated[
        float, Meta(ge=0, le=600, description="how long a restarted head waits for nodes that may still run its group")
    ] = 15.0
    outage_budget_s: Annotated[
        float, Meta(gt=0, le=86_400, description="how long a node keeps its runners while its head does not answer")
    ] = 120.0

    max_concurrent_tasks: Annotated[int, Meta(ge=1, le=1_024, description="requests computed together")] = 8
    max_queued_tasks: Annotated[int, Meta(ge=0, le=65_536, description="requests that may wait for a place")] = 64
    admission_wait_s: Annotated[
        float, Meta(ge=0, le=600, description="how long a request waits for a restarting group")
    ] = 10.0
    prefill_step_tokens: Annotated[int, Meta(ge=1, le=65_536, description="prompt tokens computed at once")] = 512

    start_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="longest silence before ready of a rank that waits for no other")
    ] = 600.0
    drain_deadline_s: Annotated[float, Meta(gt=0, le=60, description="to read a dead runner's last output")] = 0.25
    verdict_settle_s: Annotated[float, Meta(ge=0, le=60, description="to wait for other ranks' certificates")] = 0.5
    fatal_grace_s: Annotated[
        float, Meta(ge=0, le=600, description="from a fatal line to declaring a live runner failed")
    ] = 5.0
    stall_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="longest silence of a rank in any request; shorter ones are learned")
    ] = 120.0
    stall_floor_s: Annotated[
        float, Meta(gt=0, le=86_400, description="a silence that is no stall, whatever was learned")
    ] = 15.0
    start_stall_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="longest silence of a rank that loads or warms up")
    ] = 120.0
    dead_man_s: Annotated[
        float, Meta(gt=0, le=600, description="to leave after the supervisor is gone, whatever the runner does")
    ] = 10.0

    stable_after_s: Annotated[float, Meta(gt=0, le=86_400, description="ready this long resets the backoff")] = 60.0
    restart_intensity: Annotated[int, Meta(ge=0, le=1_000, description="restarts allowed within a period")] = 5
    restart_period_s: Annotated[float, Meta(gt=0, le=86_400, description="the period of restart_intensity")] = 300.0
    backoff_first_s: Annotated[float, Meta(gt=0, le=600, description="the first wait before a restart")] = 0.2
    backoff_cap_s: Annotated[float, Meta(gt=0, le=3_600, description="the longest wait before a restart")] = 10.0

    def __repr__(self) -> str:
        """Like any struct, without the secret: settings end up in logs."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown["api_key"] = None if self.api_key is None else "(hidden)"
        return "Settings(" + ", ".join(f"{name}={value!r}" for name, value in shown.items()) + ")"


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


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`. A name other than `localhost` is not trusted to."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


_FIELD_TYPES: Mapping[str, Any] = get_type_hints(Settings, include_extras=True)
