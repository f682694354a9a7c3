"""The bounds on each runner, as the settings have them."""

from supervisor.core.lifecycle import LifecycleLimits
from supervisor.runner_supervisor import RunnerLimits
from supervisor.settings import Settings


def runner_limits(settings: Settings) -> RunnerLimits:
    """Return them."""
    return RunnerLimits(
        lifecycle=LifecycleLimits(start_timeout_s=settings.start_timeout_s, fatal_grace_s=settings.fatal_grace_s),
        drain_deadline_s=settings.drain_deadline_s,
    )
