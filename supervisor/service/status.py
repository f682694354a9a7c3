"""What a person and a script are told of the service."""

from datetime import UTC, datetime

import msgspec
import psutil

from supervisor.service.installation import read_installed
from supervisor.service.observed import ObservedService
from supervisor.service.plan import ServiceError
from supervisor.service.service_manager import ServiceManager


class ServiceStatus(msgspec.Struct, frozen=True):
    """The service as it is now. `since` is seconds since the Unix epoch; `problem` says why something is not known."""

    system: str
    file: str
    installed: bool
    running: bool
    state: str
    pid: int | None
    since: float | None
    starts: int | None
    last_exit_code: int | None
    last_signal: int | None
    logs: str
    problem: str | None


def service_status(manager: ServiceManager) -> ServiceStatus:
    """Look at the file and ask the manager. Blocks; raises nothing for a manager that does not answer."""
    problem, content = None, None
    try:
        content = read_installed(manager.file)
    except ServiceError as refused:
        problem = str(refused)
    try:
        seen = manager.observe()
    except ServiceError as silent:
        problem = str(silent) if problem is None else problem
        seen = ObservedService(loaded=False, state="unknown")
    since = _started_at(seen.pid)
    return ServiceStatus(
        system=manager.name,
        file=str(manager.file),
        installed=content is not None,
        running=since is not None,
        state=seen.state,
        pid=seen.pid,
        since=since,
        starts=seen.starts,
        last_exit_code=seen.last_exit_code,
        last_signal=seen.last_signal,
        logs=manager.log_place(content or b""),
        problem=problem,
    )


def status_lines(status: ServiceStatus) -> list[str]:
    """Return the status as text."""
    lines = [
        f"installed  {'yes' if status.installed else 'no'}, {status.file}",
        f"running    {_running(status)}",
    ]
    if status.last_signal is not None:
        lines.append(f"last exit  signal {status.last_signal}")
    elif status.last_exit_code is not None:
        lines.append(f"last exit  code {status.last_exit_code}")
    lines.append(f"log        {status.logs}")
    if status.problem is not None:
        lines.append(f"problem    {status.problem}")
    return lines


def _running(status: ServiceStatus) -> str:
    if status.since is None:
        return f"no, {status.system} says: {status.state}"
    since = datetime.fromtimestamp(status.since, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    starts = "" if status.starts is None else f", start {status.starts}"
    return f"yes, pid {status.pid} since {since}{starts}"


def _started_at(pid: int | None) -> float | None:
    try:
        return None if pid is None else psutil.Process(pid).create_time()
    except psutil.Error:
        return None
