"""What a daemon writes about its group: its log, and its incidents."""

from loguru import logger

from diagnostics.incident import Incident
from supervisor.incident_log import IncidentLog
from supervisor.log import add_io_level, log_output
from supervisor.output_relay import OutputRelay
from transports.http.gateway import GroupState
from transports.messages import RunnerFailed


class GroupLog:
    """Implements `supervisor.group_supervisor.GroupObserver`.

    Args:
        incidents: Keeps them.
    """

    def __init__(self, incidents: IncidentLog) -> None:
        self._incidents = incidents
        self._relays: dict[tuple[int, str], OutputRelay] = {}
        add_io_level()

    def on_state(self, state: GroupState, reason: str | None) -> None:
        """Log it."""
        logger.info("group is {}{}", state.value, f": {reason}" if reason else "")

    def on_runner_failed(self, failed: RunnerFailed) -> None:
        """Log it."""
        logger.warning("generation {}: {}", failed.generation, failed.incident.message)

    def on_incident(self, incident: Incident) -> None:
        """Keep it; log its first version and its end."""
        if self._incidents.record(incident):
            logger.error("{} {} {}", incident.incident_id, incident.message, incident.next_step or "")
        elif incident.recovered_after_s is not None:
            logger.info("{} serving again after {:.2f} s", incident.incident_id, incident.recovered_after_s)

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """Relay whole lines to the log, at their own level."""
        relay = self._relays.get((rank, stream))
        if relay is None:
            relay = self._relays[rank, stream] = OutputRelay(f"[rank {rank} {stream}]", log_output)
        relay.feed(data)
