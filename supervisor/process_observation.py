"""What can be seen of a process from outside in a moment: whether it is stopped, and how much of a core it uses."""

import anyio
import msgspec
import psutil


class ProcessObservation(msgspec.Struct, frozen=True):
    """`cpu_share` is its use of a core while it was looked at, above 1 with several threads; None when unknown."""

    stopped: bool
    cpu_share: float | None


async def observe_process(pid: int | None, observe_s: float) -> ProcessObservation:
    """Look at a process for so long. One that is gone, or whose pid is None, is not stopped and uses nothing known."""
    before = _cpu_seconds(pid)
    await anyio.sleep(observe_s)
    after = _cpu_seconds(pid)
    share = None if before is None or after is None or observe_s <= 0 else (after - before) / observe_s
    return ProcessObservation(_is_stopped(pid), share)


def _cpu_seconds(pid: int | None) -> float | None:
    # Process(None) would be this process.
    if pid is None:
        return None
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system


def _is_stopped(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return False
