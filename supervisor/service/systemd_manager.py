"""systemd, through `systemctl --user`."""

from pathlib import Path

from supervisor.exit_code import ExitCode
from supervisor.service.observed import ObservedService
from supervisor.service.plan import STOP_S, ServiceError, ServicePlan
from supervisor.service.systemd import SHOWN, UNIT, observed, unit
from supervisor.service.tool import ToolAnswer, run_tool


class SystemdManager:
    """A user's own systemd.

    Args:
        folder: Where that user's units are kept.
        answer_s: How long one command may take; stopping takes longest.
    """

    name = "systemd"
    notes: tuple[str, ...] = ("It ends when you log out, unless you once type: loginctl enable-linger",)

    def __init__(self, folder: Path, *, answer_s: float = STOP_S + 30.0) -> None:
        self.file = folder / UNIT
        self._answer_s = answer_s

    def content(self, plan: ServicePlan) -> bytes:
        """See `ServiceManager`."""
        return unit(plan).encode()

    def check_reachable(self) -> None:
        """See `ServiceManager`."""
        answer = self._systemctl("show-environment")
        if answer.exit_code != 0:
            raise ServiceError(
                f"your own systemd cannot be reached: {answer.last_line}",
                "Log in as yourself (not through su or sudo), or add --no-start or --no-stop to touch the file only",
                ExitCode.UNAVAILABLE,
            )

    def start(self) -> None:
        """See `ServiceManager`."""
        self._must("daemon-reload")
        # It may have reached its limit of starts, which has to be forgiven first; there is nothing to forgive else.
        self._systemctl("reset-failed", UNIT)
        self._must("enable", "--now", UNIT)

    def stop(self) -> None:
        """See `ServiceManager`."""
        if self.observe().loaded:
            self._must("disable", "--now", UNIT)

    def forget(self) -> None:
        """See `ServiceManager`."""
        self._must("daemon-reload")
        self._systemctl("reset-failed", UNIT)

    def observe(self) -> ObservedService:
        """See `ServiceManager`."""
        answer = self._systemctl("show", UNIT, f"--property={','.join(SHOWN)}")
        if answer.exit_code != 0:
            self.check_reachable()
            return ObservedService(loaded=False, state="unknown")
        return observed(answer.text)

    def log_place(self, content: bytes) -> str:
        """See `ServiceManager`. The journal has it, whatever the file says."""
        return f"journalctl --user -u {UNIT}"

    def _must(self, *arguments: str) -> None:
        answer = self._systemctl(*arguments)
        if answer.exit_code != 0:
            raise ServiceError(
                f"systemctl --user {' '.join(arguments)} failed: {answer.last_line}",
                f"See: systemctl --user status {UNIT}",
                ExitCode.UNAVAILABLE,
            )

    def _systemctl(self, *arguments: str) -> ToolAnswer:
        return run_tool("systemctl", "--user", "--no-pager", *arguments, timeout_s=self._answer_s)
