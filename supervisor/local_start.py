"""All ranks of a group on this machine, as children of this process."""

from supervisor.generation_start import CannotStart, Earlier, PreparedGeneration
from supervisor.guard import Guard
from supervisor.incident_report import start_failure
from supervisor.launch import GroupSpec, prepare_generation
from supervisor.observers import RunnerObserver
from supervisor.runner_supervisor import RunnerLimits, RunnerSupervisor


class LocalStarter:
    """Implements `supervisor.generation_start.GenerationStarter`.

    Args:
        spec: The group.
        limits: The bounds on each runner.
        guard: Ends the runners should this process die.
    """

    def __init__(self, spec: GroupSpec, limits: RunnerLimits, guard: Guard) -> None:
        self._spec = spec
        self._limits = limits
        self._guard = guard

    async def earlier(self, observer: RunnerObserver) -> Earlier:
        """Nothing: runners do not outlive the process that started them."""
        del observer
        return Earlier()

    async def prepare(self, generation: int, observer: RunnerObserver) -> PreparedGeneration:
        """Write the generation's files. Blocks on the disk, briefly."""
        spec = self._spec
        try:
            launches = prepare_generation(spec, generation)
        except OSError as exc:
            failures = [start_failure(rank, generation, spec.node, exc) for rank in range(spec.world_size)]
            raise CannotStart(failures) from exc
        ranks = [RunnerSupervisor(launch, self._limits, observer, self._guard) for launch in launches]
        return PreparedGeneration(spec, ranks)
