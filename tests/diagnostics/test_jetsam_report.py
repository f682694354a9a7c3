"""Jetsam reports, made up after Apple's description of the format."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.jetsam_report import MAX_REPORT_BYTES, parse_jetsam_report

HEADER = {"bug_type": "298", "timestamp": "2026-01-02 03:04:05.00 +0000", "os_version": "macOS 26.1 (25B1)"}
RUNNER = {"pid": 4242, "name": "python3.12", "rpages": 1_000_000, "reason": "per-process-limit", "states": ["active"]}
OTHER = {"pid": 77, "name": "WindowServer", "rpages": 9000, "states": ["frontmost"]}


def report(processes: list[Any], header: Any = HEADER, **body: Any) -> bytes:
    told = {"largestProcess": "python3.12", "memoryStatus": {"pageSize": 16384}, "processes": processes, **body}
    return f"{json.dumps(header)}\n{json.dumps(told, indent=1)}".encode()


def test_only_processes_with_a_reason_were_killed() -> None:
    (kill,) = parse_jetsam_report(report([OTHER, RUNNER]), "JetsamEvent-1.ips")
    assert (kill.pid, kill.name, kill.resident_bytes) == (4242, "python3.12", 1_000_000 * 16384)
    assert kill.words == "JetsamEvent-1.ips: pid 4242 (python3.12) was killed, reason per-process-limit"


@pytest.mark.parametrize("reason", ["per-process-limit", "vm-pageshortage", "fc-thrashing", "highwater"])
def test_any_reason_counts(reason: str) -> None:
    (kill,) = parse_jetsam_report(report([{**RUNNER, "reason": reason}]), "r")
    assert kill.words.endswith(reason)


def test_the_page_size_may_stand_in_the_body_or_be_absent() -> None:
    (kill,) = parse_jetsam_report(report([RUNNER], memoryStatus=None, pageSize=4096), "r")
    assert kill.resident_bytes == 1_000_000 * 4096
    (kill,) = parse_jetsam_report(report([RUNNER], memoryStatus={}), "r")
    assert kill.resident_bytes == 1_000_000 * 16384


@pytest.mark.parametrize(
    "broken", [7, None, [], {}, {"pid": "4"}, {"pid": 1e300, "reason": "x"}, {"pid": -1, "reason": "x"}]
)
def test_one_broken_process_costs_only_itself(broken: Any) -> None:
    assert [kill.pid for kill in parse_jetsam_report(report([broken, RUNNER]), "r")] == [4242]


def test_sizes_that_cannot_be_are_left_out() -> None:
    for pages in (-1, 0, 2**63):
        (kill,) = parse_jetsam_report(report([{**RUNNER, "rpages": pages}]), "r")
        assert kill.resident_bytes is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"not json\nnot json",
        report([RUNNER], header={"bug_type": "309"}),
        report([RUNNER], header=[]),
        report([RUNNER])[:-20],
        b'{"bug_type":"298"}\n' + b"[" * 100_000,
        b'{"bug_type":"298"}\n{"processes":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"bug_type":"298"}\n{"processes":{}}',
        report([RUNNER]) + b" " * MAX_REPORT_BYTES,
    ],
    ids=["empty", "newline", "noise", "crash", "list", "cut", "deep", "deep list", "object", "large"],
)
def test_what_is_no_such_report_tells_nothing(content: bytes) -> None:
    assert parse_jetsam_report(content, "r") == ()


def test_many_and_long_entries_are_bounded() -> None:
    many = [{**RUNNER, "pid": number + 1, "name": "x" * 10_000, "reason": "y" * 10_000} for number in range(200)]
    kills = parse_jetsam_report(report(many), "r")
    assert 0 < len(kills) <= 64
    assert all(len(kill.words) < 300 and len(kill.name) <= 64 for kill in kills)


@given(st.binary(max_size=500))
def test_nothing_in_a_report_raises(noise: bytes) -> None:
    assert parse_jetsam_report(noise, "r") == ()
    assert isinstance(parse_jetsam_report(b'{"bug_type":"298"}\n' + noise, "r"), tuple)
