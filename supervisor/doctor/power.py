"""Does this machine stay awake?"""

import re

from diagnostics.evidence import OperatingSystem
from supervisor.doctor.finding import Finding, ok, skipped, warning
from supervisor.doctor.system_tool import ToolAnswer, ask_tool

CHECK = "sleep"
_NEVER = re.compile(r"^\s*SleepDisabled\s+1\b", re.MULTILINE)
_SLEEP = re.compile(r"^\s*sleep\s+(\d+)(?:\s+\((.*)\))?", re.MULTILINE)


def ask_power(system: OperatingSystem) -> ToolAnswer | None:
    """Return the power settings in use as macOS tells them; None elsewhere."""
    return ask_tool("pmset", "-g") if system is OperatingSystem.DARWIN else None


def judge_power(answer: ToolAnswer | None) -> Finding:
    """Judge when the Mac goes to sleep: a rank that sleeps holds up all others."""
    if answer is None:
        return skipped(CHECK, "Only on macOS can this be asked.")
    if _NEVER.search(answer.output or "") is not None:
        return ok(CHECK, "SleepDisabled 1: it never sleeps, whatever else is set")
    found = _SLEEP.search(answer.output or "")
    if found is None:
        return skipped(CHECK, f"The settings are not known: {answer.problem or '`pmset -g` names no sleep'}.")
    minutes, note = int(found[1]), found[2]
    evidence = [f"sleep {minutes}" + (f" ({note})" if note else "")]
    if minutes == 0:
        return ok(CHECK, *evidence)
    return warning(
        CHECK,
        evidence,
        f"This Mac sleeps after {minutes} min without anybody at it; its ranks then stand still, and the group fails.",
        "sudo pmset -a sleep 0, or start it with: caffeinate -s ringwarden up",
    )
