"""What is counted about failures, from the daemon's start on: exits, restarts, and how long they took."""

import signal
from collections import Counter

from diagnostics.cause import Cause
from diagnostics.incident import DeathCertificate, Incident
from diagnostics.phase import Phase
from supervisor.core.histogram import Histogram
from transports.messages import RunnerFailed

DETECT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECOVERY_S = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


class FailureStatistics:
    """The machine. Monotonic `now` in seconds; all times of one process.

    Every key is of a closed set: what a peer or a client sent can make none that is new.

    Args:
        own_node: The node whose clock this is. Of ranks elsewhere, a death counts from when it was told here.
    """

    def __init__(self, own_node: str) -> None:
        self._own_node = own_node
        self._generation: int | None = None
        self._first_death_at: float | None = None
        self._declared: str | None = None
        self._recovered: str | None = None
        self.runner_exits: Counter[tuple[Cause, str]] = Counter()
        self.runner_restarts = 0
        self.stalled: Counter[Phase] = Counter()
        self.incidents: Counter[Cause] = Counter()
        self.detect_s = Histogram(DETECT_S)
        self.recovery_s = Histogram(RECOVERY_S)

    def generation_started(self, generation: int, world_size: int) -> None:
        """A generation is being started, or one that runs was taken over."""
        if self._generation is not None and generation != self._generation:
            self.runner_restarts += world_size
        self._generation = generation
        self._first_death_at = None

    def runner_failed(self, failed: RunnerFailed, now: float) -> None:
        """A runner died in a group that was not being stopped: by itself, or it fell or was ended with another one."""
        certificate = next(iter(failed.incident.certificates), None)
        self.runner_exits[failed.incident.cause, _signal_of(certificate)] += 1
        if failed.incident.cause is Cause.STALLED:
            self.stalled[failed.incident.phase] += 1
        seen_here = certificate is not None and certificate.pid and certificate.node == self._own_node
        died_at = min(now, certificate.died_at_s) if certificate is not None and seen_here else now
        self._first_death_at = died_at if self._first_death_at is None else min(self._first_death_at, died_at)

    def incident(self, incident: Incident, now: float) -> None:
        """An incident was declared, or is known better now."""
        if incident.incident_id != self._declared:
            self._declared = incident.incident_id
            self.incidents[incident.cause] += 1
            if self._first_death_at is not None and incident.generation == self._generation:
                self.detect_s.add(max(0.0, now - self._first_death_at))
        if incident.recovered_after_s is not None and incident.incident_id != self._recovered:
            self._recovered = incident.incident_id
            self.recovery_s.add(incident.recovered_after_s)


def _signal_of(certificate: DeathCertificate | None) -> str:
    """The signal that ended it, by name; `none` for an exit."""
    if certificate is None or certificate.exit_status is None or certificate.exit_status.signal is None:
        return "none"
    try:
        return signal.Signals(certificate.exit_status.signal).name
    except ValueError:
        return "other"
