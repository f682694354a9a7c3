"""Logs in which a launcher mixed several processes: taken apart, judged together. Ring lines are captured ones."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import ExitStatus, OperatingSystem, StreamReport
from diagnostics.launcher_log import LogReader, LogReport
from diagnostics.launcher_reports import launcher_reports
from diagnostics.line_origins import LineOrigins
from diagnostics.mixed_log import examine_log
from diagnostics.stream_tags import tagged_lines
from tests.diagnostics.chunking import chunkings

LINUX = OperatingSystem.LINUX
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "ringloop.py", line 44, in <module>\n'
    '    raise ValueError("synthetic failure injected at step %d" % i)\n'
    "ValueError: synthetic failure injected at step 20\n"
)
LOST = (
    "READY 0 3.0\n"
    + "[ring] Socket 3 was closed by the peer\n" * 10
    + "[ring] Too many send/recv errors. Failing pending tasks...\n"
    "Traceback (most recent call last):\n"
    '  File "ringloop.py", line 75, in <module>\n'
    "    step()\n"
    "RuntimeError: [ring] connection to a peer was lost\n"
)
SENDING = "[ring] Sending to socket 5 failed with errno 32\n" * 10
STYLES = [
    "[rank{}]: ", "[1,{}]<stderr>:", "[prterun-vm-6344@1,{}]<stderr>: ", "node-{}  | ", "\x1b[36mnode-{} | \x1b[0m",
    "[pod/mlx-{}/main] ", "Nov 20 14:03:22 mac{} exo[812]: ", "2026-11-20T14:03:22+0100 mac{} exo[812]: ",
    "(Worker_TP{} pid=77) ", "Rank {}: ", "[Rank {}/4] ", "[{}] ", "(node {}) ", "worker-{}: ", "[default{}]:",
    "2026-11-20 14:03:22,120 [rank {}] ", "0|exo{}  | ",
]  # fmt: skip


def read(text: str) -> LogReport:
    reader = LogReader(None, LINUX)
    reader.feed(text.encode())
    return reader.finish()


def alone(text: str) -> StreamReport:
    collector = DiagnosticCollector(LINUX)
    collector.feed(text.encode())
    return collector.finish()


def told(report: StreamReport) -> list[tuple[Cause, int, str]]:
    return [(one.kind, one.count, one.message) for one in report.diagnostics]


@pytest.mark.parametrize("style", STYLES)
def test_every_style_of_tag_is_read_and_kept_in_the_text(style: str) -> None:
    first = [style.format(1) + line for line in LOST.splitlines()]
    second = [style.format(2) + line for line in TRACEBACK.splitlines()]
    lines = [line for pair in zip(first, second, strict=False) for line in pair] + first[len(second) :]
    log = read("\n".join(lines))
    assert [told(stream.report) for stream in log.streams] == [told(alone(LOST)), told(alone(TRACEBACK))]
    root = examine_log(log).root_cause
    assert root is not None
    assert root.kind is Cause.PYTHON_EXCEPTION_OTHER
    assert root.line is not None
    assert lines[root.line].endswith("ValueError: synthetic failure injected at step 20")
    assert root.text == lines[root.line].replace("\x1b[36m", "").replace("\x1b[0m", "")


@pytest.mark.parametrize(
    "line",
    [
        "[ring] Rank 0 accepting", "[WARN] Node with rank 1 exited with code -9", "rank 1 ready", "step | loss | 3",
        "2026-11-20 14:03:22.120 | ERROR    | exo.worker:run:12 - gone", "[1/4] Downloading", "  | ValueError: boom",
        "[METAL] Command buffer execution failed", "[2026-11-20 14:03:22] loaded", "[1]+  Killed    python -m runner",
        "Fetching 4 files:  50%|#####     | 2/4", "objc[11433]: may have been in progress", "[99999] too high",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_tag_is_none(line: str) -> None:
    assert list(tagged_lines(line.encode())) == []


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_any_interleaving_gives_each_stream_what_it_says_alone(data: st.DataObject) -> None:
    texts = {"[rank0]: ": LOST, "[rank1]: ": TRACEBACK, "node-7  | ": SENDING, "": "warming up\nall quiet\n"}
    queues = {tag: text.splitlines() for tag, text in texts.items()}
    mixed: list[str] = []
    while any(queues.values()):
        tag = data.draw(st.sampled_from([tag for tag, queue in queues.items() if queue]))
        mixed.append(tag + queues[tag].pop(0))
    _, chunks = data.draw(chunkings(st.just(("\n".join(mixed) + "\n").encode())))
    reader = LogReader(None, LINUX)
    for chunk in chunks:
        reader.feed(chunk)
    log = reader.finish()
    by_label = {stream.label: stream.report for stream in log.streams}
    labels = {"[rank0]: ": "Rank 0", "[rank1]: ": "Rank 1", "node-7  | ": "node-7", "": ""}
    for tag, text in texts.items():
        assert told(by_label[labels[tag]]) == told(alone(text))
    for report in by_label.values():
        for one in report.diagnostics:
            assert one.text == mixed[one.line]
            assert list(one.evidence) == [mixed[line] for line in one.evidence_lines]
    root = examine_log(log).root_cause
    assert root is not None
    assert root.kind is Cause.PYTHON_EXCEPTION_OTHER
    assert root.subject == "Rank 1"


def test_one_tag_alone_is_a_plain_log() -> None:
    log = read("".join(f"[rank0]: {line}\n" for line in LOST.splitlines()))
    assert not log.mixed
    assert examine_log(log).diagnostics == log.whole.diagnostics


def test_a_killed_rank_counts_more_than_the_others_lost_peers() -> None:
    lost = "".join(f"[rank{rank}]: {line}\n" for line in LOST.splitlines() for rank in (0, 2))
    report = "\x1b[33m[WARN] Node with rank 1 exited with code -9 \x1b[0m"
    log = read(f"{lost}{report}\n[WARN] Node with rank 2 exited with code -15 \n")
    root = examine_log(log).root_cause
    assert root is not None
    assert (root.kind, root.subject, root.line) == (Cause.KILLED_NO_STDERR, "Rank 1", lost.count("\n"))
    assert root.text == "[WARN] Node with rank 1 exited with code -9"


def test_a_rank_that_completed_while_others_needed_it_left_early() -> None:
    lost = "".join(f"[rank{rank}]: {line}\n" for line in LOST.splitlines() for rank in (0, 2))
    root = examine_log(read(lost + "[INFO] Node with rank 1 completed \n")).root_cause
    assert root is not None
    assert (root.kind, root.subject) == (Cause.EXITED_EARLY, "Rank 1")


def test_lost_peers_alone_give_the_first_of_them() -> None:
    root = examine_log(
        read("".join(f"[rank{rank}]: {line}\n" for line in LOST.splitlines() for rank in (0, 2)))
    ).root_cause
    assert root is not None
    assert (root.kind, root.line) == (Cause.RING_PEER_CLOSED, 2)


def test_quiet_ranks_have_no_cause() -> None:
    text = "".join(f"[rank{rank}]: step {step} ok\n" for step in range(9) for rank in range(3))
    assert examine_log(read(text)).root_cause is None
    done = "".join(f"[INFO] Node with rank {rank} completed\n" for rank in range(3))
    assert examine_log(read(text + done)).root_cause is None
    told_from_outside = examine_log(read(text), ExitStatus(code=137)).root_cause
    assert told_from_outside is not None
    assert (told_from_outside.kind, told_from_outside.line) == (Cause.KILLED_NO_STDERR, None)


def test_streams_are_bounded_and_none_is_lost() -> None:
    lines = [f"[rank{rank}]: step" for rank in range(500)] + [f"[rank499]: {line}" for line in TRACEBACK.splitlines()]
    log = read("\n".join(lines))
    assert len(log.streams) <= 65
    root = examine_log(log).root_cause
    assert root is not None
    assert root.line == len(lines) - 1


def test_a_line_without_an_end_does_not_grow_the_memory_and_keeps_its_stream() -> None:
    reader = LogReader(None, LINUX, max_line_bytes=1024)
    reader.feed(b"[rank0]: a\n[rank1]: ")
    for _ in range(64):
        reader.feed(b"x" * 4096)
    reader.feed(b"\n[rank1]: ValueError: boom\n")
    log = reader.finish()
    assert log.whole.total_lines == 3
    assert [stream.report.total_lines for stream in log.streams] == [1, 2]
    assert log.streams[1].report.total_bytes == 64 * 4096 + len(b"\nValueError: boom\n")
    assert [one.line for one in log.streams[1].report.diagnostics] == [2]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4), st.sampled_from([b"", b"[0] "])), max_size=80),
    st.sets(st.integers(0, 60)),
)
def test_wanted_and_recent_origins_survive_trimming(steps: list[tuple[int, int, bytes]], wanted: set[int]) -> None:
    kept = LineOrigins(lambda: wanted, max_runs=4, recent_lines=3)
    expected: list[tuple[int, str]] = []
    log_line = 0
    for gap, count, tag in steps:
        log_line += gap
        kept.note(log_line, tag, count)
        expected += [(log_line + offset, tag.decode()) for offset in range(count)]
        log_line += count
        if all(line < len(expected) for line in wanted):
            kept.trim()
    if all(line < len(expected) for line in wanted):
        for line in {*wanted, *range(max(0, len(expected) - 3), len(expected))}:
            assert (kept.log_line(line), kept.tag(line)) == expected[line]


@pytest.mark.parametrize(
    ("text", "label", "status"),
    [
        ("[WARN] Node with rank 1 exited with code -9", "Rank 1", ExitStatus(signal=9)),
        ("[INFO] Node with rank 3 completed", "Rank 3", ExitStatus(code=0)),
        ("[INFO] Node with rank 3 completed with exit code -6", "Rank 3", ExitStatus(signal=6)),
        ("[WARN] Node with rank 2 was killed", "Rank 2", None),
        (
            "prterun noticed that process rank 1 with PID 6344 on node vm exited on\nsignal 9 (Killed).",
            "Rank 1",
            ExitStatus(signal=9),
        ),
        ("failed (exitcode: -11) local_rank: 0 (pid: 99) of binary: python", "Rank 0", ExitStatus(signal=11)),
        ("node-1 exited with code 137", "node-1", ExitStatus(code=137)),
        (
            "Nov 20 14:03:22 mac1 systemd[1]: exo.service: Main process exited, code=killed, status=9/KILL",
            "exo",
            ExitStatus(signal=9),
        ),
        ("systemd[1]: exo.service: Main process exited, code=exited, status=1/FAILURE", "exo", ExitStatus(code=1)),
    ],
)
def test_launchers_reports_are_read(text: str, label: str, status: ExitStatus | None) -> None:
    (report,) = launcher_reports(text.encode())
    assert (report.label, report.status, report.stopped) == (label, status, status is None)
    assert report.text == text.split("\n", maxsplit=1)[0]
