"""What the commands ask of launchd and systemd, and which of them there is."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from supervisor.exit_code import ExitCode
from supervisor.service.launchd import agents_folder
from supervisor.service.launchd_manager import LaunchdManager
from supervisor.service.observed import ObservedService
from supervisor.service.plan import ServiceError, ServicePlan
from supervisor.service.systemd import units_folder
from supervisor.service.systemd_manager import SystemdManager


class ServiceManager(Protocol):
    """One user's service manager. Every method that talks to it blocks, for a bounded time."""

    name: str
    file: Path
    """Where the service's file belongs."""

    notes: tuple[str, ...]
    """What whoever installs the service has to know."""

    def content(self, plan: ServicePlan) -> bytes:
        """Return the service's file. Raises `ServiceError` when a value cannot stand in it."""
        ...

    def check_reachable(self) -> None:
        """Raise `ServiceError` when this user's manager cannot be talked to from here."""
        ...

    def start(self) -> None:
        """Take the file in, start the service now and at every login. Raises `ServiceError`."""
        ...

    def stop(self) -> None:
        """Stop the service, now and for good; fine when it does not run. Raises `ServiceError`."""
        ...

    def forget(self) -> None:
        """Be told that the file is gone. Raises `ServiceError`."""
        ...

    def observe(self) -> ObservedService:
        """Ask how the service is. Raises `ServiceError` when nobody can be asked."""
        ...

    def log_place(self, content: bytes) -> str:
        """Return how a person reads the log of the service that the file installed."""
        ...


def manager_for(system: str, environment: Mapping[str, str], home: Path) -> ServiceManager:
    """Return this user's service manager.

    Args:
        system: As `sys.platform` has it.
        environment: All variables.
        home: The user's home folder.

    Raises:
        ServiceError: Neither launchd nor systemd is at home there, or another user is meant.
    """
    if os.geteuid() == 0 and environment.get("SUDO_USER"):
        raise ServiceError(
            "a service belongs to the user who installs it, and here that would be root",
            "Type it again without sudo",
            ExitCode.USAGE,
        )
    if system == "darwin":
        return LaunchdManager(agents_folder(home), os.getuid())
    if system == "linux":
        return SystemdManager(units_folder(home, environment.get("XDG_CONFIG_HOME")))
    raise ServiceError(
        f"services are for macOS (launchd) and Linux (systemd), and this is {system}",
        "Start `ringwarden up` with what your system has for that",
        ExitCode.UNAVAILABLE,
    )


def own_manager() -> ServiceManager:
    """Return the service manager of whoever runs this process. Raises `ServiceError` as `manager_for`."""
    return manager_for(sys.platform, os.environ, Path.home())
