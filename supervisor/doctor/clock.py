"""Does this machine's clock agree with its head's, or at least follow network time?"""

import time
from email.utils import parsedate_to_datetime

import httpx2

from diagnostics.evidence import OperatingSystem
from supervisor.doctor.finding import Finding, ok, skipped, warning
from supervisor.doctor.system_tool import ToolAnswer, ask_tool

CHECK = "clock"
_AGREES_WITHIN_S = 2.0
"""HTTP tells the time in whole seconds."""

_MEANING = "Times in logs and incidents of different machines do not fit. Nothing else depends on them."
_REMEDY = "Let every machine set its clock by network time."


def read_clock(url: str) -> float | str:
    """Return how far the clock of who serves `url` is ahead of ours, in seconds, or why that is not known.

    Blocks for 5 s in each step, and reads only the head of the answer. HTTP tells whole seconds, so this is known to
    about one second.
    """
    try:
        before = time.time()
        with httpx2.stream("GET", f"{url.rstrip('/')}/health/live", timeout=5.0, trust_env=False) as answer:
            after = time.time()
            told = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
        return f"{url} did not answer: {problem or type(problem).__name__}"
    except (KeyError, ValueError):
        return f"{url} did not tell the time"
    # It was told somewhere between, and cut to the second.
    return told + 0.5 - (before + after) / 2


def judge_clock(ahead: float | str) -> Finding:
    """Judge a head's clock beside ours, or why it is not known."""
    if isinstance(ahead, str):
        return skipped(CHECK, f"The head's clock is not known: {ahead}.")
    words = "ahead of" if ahead > 0 else "behind"
    evidence = [f"the head's clock is {abs(ahead):.1f} s {words} this machine's (known to about 1 s)"]
    if abs(ahead) > _AGREES_WITHIN_S:
        return warning(CHECK, evidence, _MEANING, _REMEDY)
    return ok(CHECK, *evidence)


def ask_synchronised(system: OperatingSystem) -> ToolAnswer | None:
    """Return whether the system follows network time, `yes` or `no`; None where everybody cannot ask."""
    if system is OperatingSystem.DARWIN:
        return None
    return ask_tool("timedatectl", "show", "--property=NTPSynchronized", "--value")


def judge_synchronised(answer: ToolAnswer | None) -> Finding:
    """Judge our own clock, where no other machine's can be asked."""
    if answer is None:
        return skipped(CHECK, "No other machine's clock can be asked from here, and macOS tells only root.")
    if answer.output == "yes":
        return ok(CHECK, "timedatectl: the clock follows network time; no other machine's could be asked")
    if answer.output == "no":
        return warning(CHECK, ["timedatectl: the clock does not follow network time"], _MEANING, _REMEDY)
    why = answer.problem or f"timedatectl said {answer.output!r}"
    return skipped(CHECK, f"No other machine's clock can be asked from here, and this one's is not known: {why}.")
