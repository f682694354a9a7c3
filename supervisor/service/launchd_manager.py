"""launchd, through `launchctl`."""

import time
from pathlib import Path

from supervisor.exit_code import ExitCode
from supervisor.service.launchd import FILE_NAME, LABEL, THROTTLE_S, log_place, observed, property_list
from supervisor.service.observed import ObservedService
from supervisor.service.plan import STOP_S, ServiceError, ServicePlan
from supervisor.service.tool import ToolAnswer, run_tool

_ANSWER_S = 20.0
_POLL_S = 0.2


class LaunchdManager:
    """A user's agents in the domain of their login at the screen.

    Args:
        folder: Where that user's agents are kept.
        user_id: Their number.
        stop_s: How long a job may take to leave.
    """

    name = "launchd"
    notes: tuple[str, ...] = (
        "It starts when you log in at this Mac's screen; for a Mac without one, turn on automatic login.",
        f"launchd cannot tell exit codes apart: a wrong setting is tried again every {THROTTLE_S} s; see the log.",
    )

    def __init__(self, folder: Path, user_id: int, *, stop_s: float = STOP_S + 10.0) -> None:
        self.file = folder / FILE_NAME
        self._domain = f"gui/{user_id}"
        self._job = f"{self._domain}/{LABEL}"
        self._stop_s = stop_s

    def content(self, plan: ServicePlan) -> bytes:
        """See `ServiceManager`."""
        return property_list(plan)

    def check_reachable(self) -> None:
        """See `ServiceManager`."""
        answer = self._launchctl("print", self._domain)
        if answer.exit_code != 0:
            raise ServiceError(
                f"launchd has no {self._domain}, so nobody is logged in at the screen: {answer.last_line}",
                "Log in there, or add --no-start: the service starts with the next login",
                ExitCode.UNAVAILABLE,
            )

    def start(self) -> None:
        """See `ServiceManager`."""
        answer = self._launchctl("bootstrap", self._domain, str(self.file))
        if answer.exit_code != 0:
            raise ServiceError(
                f"launchctl bootstrap failed: {answer.last_line}",
                f"If it was disabled once: launchctl enable {self._job}",
                ExitCode.UNAVAILABLE,
            )

    def stop(self) -> None:
        """See `ServiceManager`. launchctl returns before the job is gone, and takes no new one until then."""
        if not self._is_loaded():
            return
        answer = self._launchctl("bootout", self._job)
        gives_up_at = time.monotonic() + self._stop_s
        while self._is_loaded():
            if time.monotonic() >= gives_up_at:
                raise ServiceError(
                    f"launchd still has the service after {self._stop_s:g} s: {answer.last_line}",
                    f"Try it by hand: launchctl bootout {self._job}",
                    ExitCode.UNAVAILABLE,
                )
            time.sleep(_POLL_S)

    def forget(self) -> None:
        """See `ServiceManager`. launchd read the file only once."""

    def observe(self) -> ObservedService:
        """See `ServiceManager`."""
        answer = self._launchctl("print", self._job)
        if answer.exit_code != 0:
            return ObservedService(loaded=False, state="not loaded")
        return observed(answer.text)

    def log_place(self, content: bytes) -> str:
        """See `ServiceManager`."""
        return log_place(content) or "unknown: the file cannot be read"

    def _is_loaded(self) -> bool:
        return self._launchctl("print", self._job).exit_code == 0

    def _launchctl(self, *arguments: str) -> ToolAnswer:
        return run_tool("launchctl", *arguments, timeout_s=max(_ANSWER_S, self._stop_s))
