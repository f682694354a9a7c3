"""The unit of a systemd user service, and what `systemctl show` says of one. Text only, on any system.

Facts: systemd.unit(5), systemd.service(5), systemd.exec(5) and systemd.syntax(7) of systemd 252.
"""

from pathlib import Path

from supervisor.exit_code import ExitCode
from supervisor.service.observed import ObservedService
from supervisor.service.plan import MARKER, MAX_OPEN_FILES, STOP_S, ServiceError, ServicePlan

UNIT = "ringwarden.service"

FINAL_EXIT_CODES = (ExitCode.USAGE, ExitCode.BAD_DATA, ExitCode.CONFIG)
"""Wrong usage, bad data, wrong configuration: another start would end the same way."""

SHOWN = ("LoadState", "ActiveState", "SubState", "MainPID", "NRestarts", "ExecMainCode", "ExecMainStatus")

_RESTART_S = 5
# A node that looks 10 s for its head and finds none goes on for ever; what dies within seconds does not.
_START_LIMIT_PERIOD_S = 300
_START_LIMIT = 25
_EXITED, _KILLED, _DUMPED = "1", "2", "3"


def units_folder(home: Path, config_home: str | None) -> Path:
    """Return the folder of this user's own units.

    Args:
        home: The home folder.
        config_home: The value of `XDG_CONFIG_HOME`; what is no absolute path does not count.
    """
    base = Path(config_home) if config_home and Path(config_home).is_absolute() else home / ".config"
    return base / "systemd" / "user"


def unit(plan: ServicePlan) -> str:
    """Return the file.

    Raises:
        ServiceError: The working folder's name cannot be written there.
    """
    lines = [
        f"# {MARKER}",
        "# Change it with: systemctl --user edit ringwarden",
        "[Unit]",
        "Description=Ringwarden: supervises MLX inference runners",
        f"StartLimitIntervalSec={_START_LIMIT_PERIOD_S}",
        f"StartLimitBurst={_START_LIMIT}",
        "",
        "[Service]",
        # Unlike `simple`, a Python that is gone fails the start itself.
        "Type=exec",
        f"ExecStart={_command_line(plan.command)}",
        f"WorkingDirectory={_folder(plan.working_folder)}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in plan.environment.items()),
        "Restart=on-failure",
        f"RestartSec={_RESTART_S}",
        f"RestartPreventExitStatus={' '.join(str(int(code)) for code in FINAL_EXIT_CODES)}",
        # The daemon ends its runners; what is left when it is gone is killed.
        "KillMode=mixed",
        f"TimeoutStopSec={STOP_S}",
        f"LimitNOFILE={MAX_OPEN_FILES}",
        # A runner that the kernel kills for memory is Ringwarden's to tell and to start again.
        "OOMPolicy=continue",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _command_line(command: tuple[str, ...]) -> str:
    """With `:` in front, a dollar sign is a dollar sign."""
    return ":" + " ".join(_quoted(word) for word in command)


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _folder(path: str) -> str:
    """Folders stand there unquoted, up to the end of the line."""
    if path != path.strip() or path.endswith("\\"):
        raise ServiceError(
            f"systemd cannot start anything in {path!r}: the name ends with a space or a backslash",
            "Install the service from another folder",
            ExitCode.USAGE,
        )
    return path.replace("%", "%%")


def observed(shown: str) -> ObservedService:
    """Return what `systemctl --user show UNIT --property=...` says, for the properties of `SHOWN`."""
    fields = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    how, status = fields.get("ExecMainCode", ""), _number(fields.get("ExecMainStatus", ""))
    restarts = _number(fields.get("NRestarts", ""))
    active = fields.get("ActiveState", "unknown")
    return ObservedService(
        loaded=fields.get("LoadState") == "loaded",
        state=f"{active} ({fields['SubState']})" if "SubState" in fields else active,
        pid=_number(fields.get("MainPID", "")) or None,
        starts=None if restarts is None or active == "inactive" else restarts + 1,
        last_exit_code=status if how == _EXITED else None,
        last_signal=status if how in {_KILLED, _DUMPED} else None,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else None
