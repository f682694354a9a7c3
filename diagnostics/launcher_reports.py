"""What launchers say about the end of the processes that they started."""

import re
from collections.abc import Iterator

import msgspec

from diagnostics.evidence import ExitStatus
from diagnostics.stream_tags import MAX_RANK, rank_label
from diagnostics.text import clean

_MAX_TEXT_BYTES = 1000
_REPORT = re.compile(
    # mlx.launch; its lines collide, so nothing is anchored
    rb"Node with rank (?P<rank>\d{1,4}) (?:exited with code (?P<code>-?\d{1,3})\b"
    rb"|completed(?: with exit code (?P<completed>-?\d{1,3})\b)?|(?P<stopped>was killed)\b)"
    # mpirun
    rb"|process rank (?P<mpi>\d{1,4}) with PID \d+ on node \S+ exited on\s{1,4}signal (?P<signal>\d{1,2})\b"
    # torchrun
    rb"|failed \(exitcode: (?P<exitcode>-?\d{1,3})\) local_rank: (?P<local>\d{1,4})\b"
    # docker compose, and systemd on a unit
    rb"|^(?P<service>[A-Za-z][\w.-]{0,60}\d) exited with code (?P<service_code>\d{1,3})\b"
    rb"|(?P<unit>[\w@.-]{1,64})\.service: Main process exited, code=\w{1,10}, status=(?P<unit_status>\d{1,3})/",
    re.MULTILINE,
)
_BY_SIGNAL = re.compile(rb"code=(?:killed|dumped)")
_SIGTERM = 15


class LauncherReport(msgspec.Struct, frozen=True):
    """One process's end as its launcher told it. `stopped` means that the launcher itself ended it.

    `offset` is where the report stands in the block that it was found in.
    """

    label: str
    rank: int | None
    status: ExitStatus | None
    text: str
    offset: int
    stopped: bool = False


def launcher_reports(data: bytes) -> Iterator[LauncherReport]:
    """The reports in `data`, in order. `data` begins where a line begins."""
    for found in _REPORT.finditer(data):
        rank_text = found["rank"] or found["mpi"] or found["local"]
        name = found["service"] or found["unit"]
        if rank_text is not None and int(rank_text) > MAX_RANK:
            continue
        yield LauncherReport(
            label=rank_label(int(rank_text)) if rank_text is not None else name.decode("ascii", "replace"),
            rank=None if rank_text is None else int(rank_text),
            status=_status(found),
            text=_line_around(data, found.start()),
            offset=found.start(),
            stopped=found["stopped"] is not None,
        )


def _status(found: re.Match[bytes]) -> ExitStatus | None:
    if found["stopped"] is not None:
        return None
    if found["signal"] is not None:
        return ExitStatus(signal=int(found["signal"]))
    if found["unit_status"] is not None and _BY_SIGNAL.search(found.group()):
        return ExitStatus(signal=int(found["unit_status"]))
    names = ("code", "completed", "exitcode", "service_code", "unit_status")
    number = int(next((found[name] for name in names if found[name] is not None), b"0"))
    return ExitStatus(signal=-number) if number < 0 else ExitStatus(code=number)


def stopped_by_launcher(report: LauncherReport, earlier: bool) -> bool:
    """Whether the launcher ended it because another had failed: it says so, or ends it by SIGTERM after a first report.

    Args:
        report: What the launcher said.
        earlier: Whether it had reported another process's failure before.
    """
    by_request = report.status is not None and report.status in (ExitStatus(signal=_SIGTERM), ExitStatus(code=143))
    return report.stopped or (earlier and by_request)


def _line_around(data: bytes, position: int) -> str:
    start = data.rfind(b"\n", 0, position) + 1
    end = data.find(b"\n", position)
    return clean(data[start : len(data) if end < 0 else end][:_MAX_TEXT_BYTES].decode("utf-8", "replace"))
