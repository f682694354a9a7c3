"""All settings of one daemon in one struct. `settings_resolution.py` reads them."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import platformdirs
from msgspec import Meta

from transports.messages import Backend, Parallelism


def default_state_folder() -> Path:
    """Where a daemon keeps its state when nobody says otherwise: the platform's per-user state folder."""
    return Path(platformdirs.user_state_dir("ringwarden", appauthor=False))


LogFormat = Literal["text", "json"]
DEFAULT_BUS_PORT = 52_416


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one daemon was told. Durations end in `_s` (seconds), sizes name their unit."""

    model: Annotated[str, Meta(min_length=1, description="`tiny`, a model folder, or a Hugging Face repository id")] = (
        "tiny"
    )
    # Clients and tests of mlx-lm's own server ask for these.
    model_aliases: Annotated[
        str, Meta(description="further names under which clients may ask for the model, comma-separated")
    ] = "default_model,chat_model"
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
        DEFAULT_BUS_PORT
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
    request_timeout_s: (
        Annotated[float, Meta(gt=0, le=86_400, description="the longest that a request may take in all; default: any")]
        | None
    ) = None
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

    log_format: Annotated[
        LogFormat, Meta(description="the daemon's log: lines for people, or one JSON object each")
    ] = "text"
    otel: Annotated[bool, Meta(description="send traces of requests; OTEL_* variables say where (an extra)")] = False

    def __repr__(self) -> str:
        """Like any struct, without the secret: settings end up in logs."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown["api_key"] = None if self.api_key is None else "(hidden)"
        return "Settings(" + ", ".join(f"{name}={value!r}" for name, value in shown.items()) + ")"


def listed(names: str) -> tuple[str, ...]:
    """Return the names in a setting that holds several, as in `a, b,c`."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`. A name other than `localhost` is not trusted to."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
