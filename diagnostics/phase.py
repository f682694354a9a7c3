"""The phases of a runner's life, as the runner announces them."""

from enum import StrEnum


class Phase(StrEnum):
    """Where a runner is in its life. Announced by the runner, except `FAILED`, which the supervisor sets."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOADING = "loading"
    LOADED = "loaded"
    WARMING_UP = "warming_up"
    READY = "ready"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting_down"
    SHUTDOWN = "shutdown"
    FAILED = "failed"


SERVING_PHASES = frozenset({Phase.READY, Phase.RUNNING})
STARTING_PHASES = frozenset(
    {Phase.IDLE, Phase.CONNECTING, Phase.CONNECTED, Phase.LOADING, Phase.LOADED, Phase.WARMING_UP}
)
