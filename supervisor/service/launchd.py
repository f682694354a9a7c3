"""The property list of a launchd user agent, and what `launchctl print` says of one. Text only, on any system.

Facts: launchd.plist(5) and launchctl(1) of macOS. The output of `launchctl print` is not promised to programs, so all
of it is optional here.
"""

import plistlib
import re
from pathlib import Path
from typing import cast
from xml.parsers.expat import ExpatError

from supervisor.service.observed import ObservedService
from supervisor.service.plan import MARKER, MAX_OPEN_FILES, STOP_S, ServicePlan

LABEL = "local.ringwarden"
FILE_NAME = f"{LABEL}.plist"

THROTTLE_S = 30
"""launchd cannot tell exit codes apart: a wrong setting is tried again, but no more often than this."""

_COMMENT = f"<!-- {MARKER} -->\n<plist".encode()
_TOP_LEVEL_FIELD = re.compile(r"\t([a-z][a-z ]*) = (.*)")


def agents_folder(home: Path) -> Path:
    """Return the folder that launchd reads when this user logs in."""
    return home / "Library" / "LaunchAgents"


def property_list(plan: ServicePlan) -> bytes:
    """Return the file. A clean exit is final; every other one, a signal included, leads to a new start."""
    content = {
        "Label": LABEL,
        "ProgramArguments": list(plan.command),
        "WorkingDirectory": plan.working_folder,
        "EnvironmentVariables": dict(plan.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": THROTTLE_S,
        "ExitTimeOut": STOP_S,
        # macOS slows down what it takes for background work, the GPU included.
        "ProcessType": "Interactive",
        "SoftResourceLimits": {"NumberOfFiles": MAX_OPEN_FILES},
        "StandardOutPath": plan.log_file,
        "StandardErrorPath": plan.log_file,
    }
    return plistlib.dumps(content, sort_keys=False).replace(b"<plist", _COMMENT, 1)


def log_place(content: bytes) -> str | None:
    """Return the log file that an installed property list names; None when it cannot be read as one of ours."""
    try:
        found: object = plistlib.loads(content)
    except (plistlib.InvalidFileException, ValueError, OverflowError, LookupError, ExpatError):
        return None
    if not isinstance(found, dict):
        return None
    place = cast("dict[str, object]", found).get("StandardErrorPath")
    return place if isinstance(place, str) else None


def observed(printed: str) -> ObservedService:
    """Return what `launchctl print gui/UID/LABEL` says of a job that is loaded."""
    fields: dict[str, str] = {}
    for line in printed.splitlines():
        match = _TOP_LEVEL_FIELD.fullmatch(line)
        if match is not None:
            fields.setdefault(match[1], match[2].strip())
    signal = re.search(r"(\d+)$", fields.get("last terminating signal", ""))
    code = re.match(r"\d+", fields.get("last exit code", ""))
    runs = fields.get("runs", "")
    return ObservedService(
        loaded=True,
        state=fields.get("state", "unknown"),
        pid=_number(fields.get("pid", "")),
        starts=_number(runs),
        last_exit_code=None if code is None or signal is not None else int(code[0]),
        last_signal=None if signal is None else int(signal[1]),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else None
