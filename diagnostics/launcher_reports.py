"""What launchers say about the end of the processes that they started."""

import re
from collections.abc import Iterator

import msgspec

from diagnostics.evidence import ExitStatus
from diagnostics.stream_tags import MAX_RANK, rank_label
from diagnostics.text import clean

_MAX_TEXT_BYTES = 1000
# Each behind a plain string that stands in it: a search for that keeps up with a flood, one by pattern does not.
_REPORTS = tuple(
    (keyword, re.compile(pattern, re.MULTILINE))
    for keyword, pattern in (
        # mlx.launch; its lines collide, so nothing is anchored
        (
            b"Node with rank ",
            rb"Node with rank (?P<rank>\d{1,4}) (?:exited with code (?P<code>-?\d{1,3})\b"
            rb"|completed(?: with exit code (?P<completed>-?\d{1,3})\b)?|(?P<stopped>was killed)\b)",
        ),
        # mpirun
        (
            b" noticed that process rank ",
            rb"process rank (?P<rank>\d{1,4}) with PID \d+ on node \S+ exited on\s{1,4}signal (?P<signal>\d{1,2})\b",
        ),
        # torchrun
        (b"(exitcode: ", rb"failed \(exitcode: (?P<code>-?\d{1,3})\) local_rank: (?P<rank>\d{1,4})\b"),
        # docker compose
        (b" exited with code ", rb"^(?P<name>[A-Za-z][\w.-]{0,60}\d) exited with code (?P<code>\d{1,3})\b"),
        # systemd, about a unit
        (
            b".service: Main process exited",
            rb"[ ](?P<name>[\w@.-]{1,64})\.service: Main process exited, code=(?:exited, status=(?P<code>\d{1,3})/"
            rb"|(?:killed|dumped), status=(?P<signal>\d{1,2})/)",
        ),
    )
)
_SIGTERM = 15


class LauncherReport(msgspec.Struct, frozen=True):
    """One process's end as its launcher told it. `stopped` means that the launcher itself ended it.

    `offset` is where the report stands in the block that it was found in.
    """

    label: str
    status: ExitStatus | None
    text: str
    offset: int
    stopped: bool = False


def launcher_reports(data: bytes) -> Iterator[LauncherReport]:
    """The reports in `data`, in order. `data` begins where a line begins."""
    found = [one for keyword, pattern in _REPORTS if keyword in data for one in pattern.finditer(data)]
    for one in sorted(found, key=lambda one: one.start()):
        groups = {name: text.decode("ascii", "replace") for name, text in one.groupdict().items() if text is not None}
        rank = int(groups["rank"]) if "rank" in groups else None
        if rank is None or rank <= MAX_RANK:
            yield LauncherReport(
                label=groups["name"] if rank is None else rank_label(rank),
                status=_status(groups),
                text=_line_around(data, one.start()),
                offset=one.start(),
                stopped="stopped" in groups,
            )


def _status(groups: dict[str, str]) -> ExitStatus | None:
    if "stopped" in groups:
        return None
    if "signal" in groups:
        return ExitStatus(signal=int(groups["signal"]))
    number = int(groups.get("code") or groups.get("completed") or 0)
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
