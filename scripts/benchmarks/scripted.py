"""A daemon whose runners do not load MLX: they start fast, and their pace is known."""

import contextlib
from collections.abc import Iterator, Mapping

from scripts.benchmarks.daemon import Daemon, running_daemon
from scripts.benchmarks.model import SMALLEST, random_model

SCRIPTED = "tests.faults.scripted:ScriptedEngine"
CLOCK = "scripts.benchmarks.clock_engine:ClockEngine"


@contextlib.contextmanager
def scripted_daemon(
    *, ranks: int, engine: str = SCRIPTED, environment: Mapping[str, str] | None = None
) -> Iterator[Daemon]:
    """Start a daemon of scripted runners, wait until it serves, and leave nothing of it behind."""
    with (
        random_model(SMALLEST) as model,
        running_daemon(ranks=ranks, engine=engine, model=model, environment=environment) as daemon,
    ):
        yield daemon
