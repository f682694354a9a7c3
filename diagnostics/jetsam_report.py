"""Jetsam reports: what macOS writes when it kills processes for want of memory.

A report (`JetsamEvent-*.ips`, bug type 298) is two JSON documents: a header on one line, then a body with every process
of that moment. Those that were killed have a `reason`; sizes are in pages (Apple, "Identifying high-memory use with
jetsam event reports").
"""

import msgspec

from diagnostics.memory_evidence import MemoryKill

JETSAM_BUG_TYPE = "298"
MAX_REPORT_BYTES = 8 * 1024 * 1024
_MAX_KILLS = 64
_MAX_NAME_CHARACTERS = 64
_MAX_PAGES = 2**40
_APPLE_SILICON_PAGE_BYTES = 16384
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Header(msgspec.Struct):
    bug_type: str = ""


class _MemoryStatus(msgspec.Struct, rename="camel"):
    page_size: int | None = None


class _Body(msgspec.Struct, rename="camel"):
    processes: list[msgspec.Raw]
    memory_status: _MemoryStatus | None = None
    page_size: int | None = None


class _Process(msgspec.Struct):
    pid: int
    name: str = ""
    reason: str | None = None
    rpages: int | None = None


def parse_jetsam_report(content: bytes, report_name: str) -> tuple[MemoryKill, ...]:
    """Return the processes that a report says were killed; none when it is not such a report, or damaged.

    Never raises. Content beyond `MAX_REPORT_BYTES` makes the report one that is not read.
    """
    header, _, body = content.partition(b"\n")
    if len(content) > MAX_REPORT_BYTES:
        return ()
    try:
        if msgspec.json.decode(header, type=_Header).bug_type != JETSAM_BUG_TYPE:
            return ()
        report = msgspec.json.decode(body, type=_Body)
    except _UNREADABLE:
        return ()
    page_bytes = report.page_size or (report.memory_status and report.memory_status.page_size)
    killed: list[MemoryKill] = []
    for raw in report.processes:
        kill = _read_process(raw, page_bytes or _APPLE_SILICON_PAGE_BYTES, report_name)
        if kill is not None and len(killed) < _MAX_KILLS:
            killed.append(kill)
    return tuple(killed)


def _read_process(raw: msgspec.Raw, page_bytes: int, report_name: str) -> MemoryKill | None:
    try:
        process = msgspec.json.decode(raw, type=_Process)
    except _UNREADABLE:
        return None
    if not process.reason or process.pid <= 0:
        return None
    name, reason = process.name[:_MAX_NAME_CHARACTERS], process.reason[:_MAX_NAME_CHARACTERS]
    pages = process.rpages
    known = pages is not None and 0 < pages < _MAX_PAGES and 0 < page_bytes <= 2**20
    return MemoryKill(
        pid=process.pid,
        name=name,
        words=f"{report_name}: pid {process.pid} ({name}) was killed, reason {reason}",
        resident_bytes=pages * page_bytes if known and pages is not None else None,
    )
