"""What a service manager is to run, before it becomes a property list or a unit."""

import math
import os
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import msgspec

from supervisor.core.ladder import GRACEFUL
from supervisor.exit_code import ExitCode
from supervisor.service.carried import carried_variables

MARKER = "Written by `ringwarden service install`, which overwrites it."
"""How a file of ours is told from a foreign one."""

STOP_S = math.ceil(sum(step.grace_s for step in GRACEFUL)) + 15
"""From the manager's SIGTERM to its SIGKILL: a runner that takes the whole ladder, and what follows it."""

MAX_OPEN_FILES = 8_192
"""launchd gives 256, systemd 1,024: each client, runner and node takes some."""

_NONCHARACTERS = range(0xFDD0, 0xFDF0)


class ServiceError(Exception):
    """The service cannot be installed, removed or asked about; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.exit_code = exit_code


class ServicePlan(msgspec.Struct, frozen=True):
    """What is to run. `log_file` is for a manager that keeps no log of its own."""

    command: tuple[str, ...]
    working_folder: str
    environment: Mapping[str, str]
    log_file: str


def plan_service(
    arguments: tuple[str, ...], *, working_folder: Path, environment: Mapping[str, str], log_file: Path
) -> ServicePlan:
    """Return the plan that runs this very installation, by absolute paths, virtual environment included.

    Args:
        arguments: Of the `ringwarden` command.
        working_folder: Relative paths in arguments, variables and the settings file are meant from here.
        environment: All variables; the service gets those that `carried_variables` chooses.
        log_file: Absolute.

    Raises:
        ServiceError: A value cannot stand in a service file.
    """
    # `-P`: a folder named `supervisor` in the working folder is not ours.
    command = (sys.executable, "-P", "-m", "supervisor.cli", *arguments)
    plan = ServicePlan(
        command=command,
        working_folder=str(working_folder),
        environment={**_import_path(), **carried_variables(environment)},
        log_file=str(log_file),
    )
    _check(plan)
    return plan


def _import_path() -> dict[str, str]:
    """A checkout that is not installed is found by a variable; what is installed needs none."""
    packages = Path(__file__).resolve().parent.parent.parent
    return {} if packages.name in {"site-packages", "dist-packages"} else {"PYTHONPATH": str(packages)}


def _check(plan: ServicePlan) -> None:
    values = {
        **{f"the argument {value!r}": value for value in plan.command},
        **{f"the value of {name}": value for name, value in plan.environment.items()},
        "the working folder": plan.working_folder,
        "the log file": plan.log_file,
    }
    for what, value in values.items():
        if not all(_can_be_written(letter) for letter in value):
            raise ServiceError(
                f"{what} contains a letter that no service file can hold: {value!r}",
                "Use a name of printable UTF-8 letters",
                ExitCode.USAGE,
            )
    if not os.path.isabs(plan.command[0]):  # noqa: PTH117 - it may be empty, in an embedded Python
        raise ServiceError("this Python does not know its own path", "Run it by its path", ExitCode.SOFTWARE)


def _can_be_written(letter: str) -> bool:
    """XML takes no control characters, systemd none of Unicode's noncharacters, and neither takes half a letter."""
    code = ord(letter)
    if code in _NONCHARACTERS or code & 0xFFFE == 0xFFFE:
        return False
    return unicodedata.category(letter) not in {"Cc", "Cs"}
