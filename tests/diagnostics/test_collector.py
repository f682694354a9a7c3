# ruff: noqa: E501 - real messages are long
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.collector import HINTS, DiagnosticCollector
from diagnostics.evidence import OperatingSystem, StreamReport
from tests.diagnostics.chunking import chunkings

LINUX, DARWIN = OperatingSystem.LINUX, OperatingSystem.DARWIN


def read(text: str | bytes, system: OperatingSystem = LINUX, **limits: int) -> StreamReport:
    collector = DiagnosticCollector(system, **limits)
    collector.feed(text.encode() if isinstance(text, str) else text)
    return collector.finish()


def kind(text: str, system: OperatingSystem = LINUX) -> Cause | None:
    root = read(text, system).root_cause
    return None if root is None else root.kind


def test_a_fatal_line_is_told_at_once_and_only_once() -> None:
    collector = DiagnosticCollector(DARWIN)
    assert collector.feed(b"[ring] Receiving from socket 5 failed with errno 54\n") == ()
    (fatal,) = collector.feed(b"[ring] Too many send/recv errors. Aborting...\n")
    assert fatal.kind is Cause.RING_ABORT
    assert collector.feed(b"[ring] Too many send/recv errors. Aborting...\n") == ()


def test_repeated_lines_are_counted_and_the_first_one_is_kept() -> None:
    report = read("start\n" + "[ring] Sending to socket 4 failed with errno 32\n" * 10)
    (only,) = report.diagnostics
    assert (only.line, only.count) == (1, 10)
    assert report.unclassified_lines == 1


def test_evidence_is_bounded_lines_before_and_after() -> None:
    lines = [f"line {number}" for number in range(40)]
    lines[20] = "[ring] Too many send/recv errors. Aborting..."
    root = read("\n".join(lines), evidence_lines=3).root_cause
    assert root is not None
    assert root.evidence == tuple(lines[17:24])


def test_an_error_glued_behind_a_progress_bar_keeps_its_line_number() -> None:
    root = read("a\nFetching: 10%\rFetching: 90%[ring] Socket 3 was closed by the peer\rmore\nb\n").root_cause
    assert root is not None
    assert (root.kind, root.line) == (Cause.RING_PEER_CLOSED, 1)


def test_errno_is_read_by_the_writing_system() -> None:
    darwin = read("[ring] Receiving from socket 5 failed with errno 54\n", LINUX).root_cause
    linux = read("[ring] Receiving from socket 5 failed with errno 104\n", DARWIN).root_cause
    assert darwin is not None and linux is not None
    assert "ECONNRESET" in darwin.message and "ECONNRESET" in linux.message


def test_torn_lines_of_two_socket_threads() -> None:
    torn = "[ring] Socket [ring] Sending to socket 5 failed with errno 32\n3 was closed by the peer\n[ring][ring] Receiving from socket 3 failed with errno 9\n"
    assert {one.kind for one in read(torn).diagnostics} == {
        Cause.RING_SEND_ERRNO,
        Cause.RING_PEER_CLOSED,
        Cause.RING_RECV_ERRNO,
    }


METAL = "[METAL] Command buffer execution failed: Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)"


@pytest.mark.parametrize(
    "text",
    [
        f"libc++abi: terminating due to uncaught exception of type std::runtime_error: {METAL}\n",
        f"libc++abi: terminating with uncaught exception of type std::runtime_error: {METAL}\n",
        f"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    mx.eval(y)\nRuntimeError: {METAL}.\n",
        "[METAL] Command buffer execution failed: Caused GPU\nTimeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)\n",
        "[METAL] Command buffer execution failed:\n  Caused GPU Timeout Error (kIOGPUCommandBufferCallbackErrorTimeout)\n",
        " Command buffer execution failed: Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)\n",
        "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 1, in f\n  | ExceptionGroup: two\n"
        f"  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    |   File \"a.py\", line 2, in g\n    | RuntimeError: {METAL}\n",
        json.dumps({"level": "error", "message": "step failed", "exc_info": f"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nRuntimeError: {METAL}"}) + "\n",
        f"MLX error: {METAL} at /x/mlx-c/mlx/c/transforms.cpp:73\n",
        f"2026-11-21 01:02:03.456 | INFO     | runner:load:12 - layers 3/32{METAL}\n",
    ],
)  # fmt: skip
def test_a_metal_timeout_in_every_dress(text: str) -> None:
    assert kind(text, DARWIN) is Cause.METAL_GPU_TIMEOUT


def traceback(
    *exceptions: str, link: str = "The above exception was the direct cause of the following exception:"
) -> str:
    blocks = [
        f'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n{one}\n' for one in exceptions
    ]
    return f"\n{link}\n\n".join(blocks)


def test_the_deepest_exception_of_a_chain_counts() -> None:
    report = read(traceback("PermissionError: [Errno 13] Permission denied: 'x'", "RuntimeError: start failed"))
    assert report.root_cause is not None
    assert report.root_cause.line == 3
    assert len(report.diagnostics) == 1


def test_a_known_text_counts_more_than_the_exception_that_it_handled() -> None:
    text = traceback(
        "ModuleNotFoundError: No module named 'mlx_lm.models.x'", "ValueError: Model type x not supported."
    )
    assert kind(text) is Cause.MODEL_UNSUPPORTED


def test_wrappers_are_looked_through() -> None:
    assert (
        kind(traceback("RuntimeError: [ring] connection to a peer was lost", "EngineError: step failed"))
        is Cause.RING_ABORT
    )


def test_an_ignored_exception_is_none_and_a_thread_s_is_weak() -> None:
    assert kind("Exception ignored in: <function f at 0x1>\n" + traceback("ValueError: x")) is None
    weak = "Exception in thread Thread-1 (f):\n" + traceback("ValueError: x") + "\n" + traceback("KeyError: 'y'")
    root = read(weak).root_cause
    assert root is not None
    assert root.message.startswith("raised KeyError")


def test_an_own_exception_counts_more_than_another_rank_s_symptoms_before_it() -> None:
    text = "[ring] Socket 5 was closed by the peer\n" + traceback("ValueError: synthetic")
    assert kind(text) is Cause.PYTHON_EXCEPTION_OTHER


def test_an_exception_out_of_the_tokenizer_is_the_tokenizer_s() -> None:
    text = 'Traceback (most recent call last):\n  File "/x/transformers/tokenization_utils_base.py", line 9, in f\n    g()\nTypeError: bad\n'
    assert kind(text) is Cause.TOKENIZER_ERROR


@pytest.mark.parametrize(
    "text",
    [
        "Fetching 6 files: 100%|##########| 6/6\n",
        "UserWarning: resource_tracker: There appear to be 1 leaked semaphore objects to clean up at shutdown\n",
        "WARNING:urllib3.connectionpool:Retrying (Retry(total=4)) after connection broken by 'ConnectError'\n",
        "download failed: httpx.ReadTimeout: timed out, retrying in 2 s\n",
        "[ring] Attempt 3 waiting 8000 ms (error: 111 )\n[ring] Rank 0 accepting\n",
        "[jaccl] Connection attempt 0 waiting 1000 ms\n",
        "The `kIOGPUCommandBufferCallbackErrorTimeout` error means that the GPU ran out of time.\n",
        "mx.metal.device_info is deprecated and will be removed in a future version.\n",
        "objc[9791]: Class AVFFrameReceiver is implemented in both /a (0x1) and /b (0x2).\n",
    ],
)
def test_noise_has_no_cause(text: str) -> None:
    assert kind(text) is None


def test_the_report_can_be_asked_for_at_any_time_and_sees_the_unfinished_line() -> None:
    collector = DiagnosticCollector(LINUX)
    collector.feed(b"ok\n[ring] Socket 3 was closed by the peer")
    early = collector.report(drained=False)
    assert early.root_cause is not None and not early.drained
    assert early == collector.report(drained=False)
    collector.feed(b"\n")
    assert collector.finish().diagnostics == early.diagnostics


def test_memory_is_bounded_by_the_number_of_different_diagnostics() -> None:
    names = "".join(f"Traceback (most recent call last):\nErrorNumber{number}: x\n\n" for number in range(500))
    assert len(read(names, max_diagnostics=8).diagnostics) == 8
    stronger = read(names + "[ring] Too many send/recv errors. Aborting...\n" + names, max_diagnostics=8)
    assert Cause.RING_ABORT in {one.kind for one in stronger.diagnostics}


FRAGMENTS = st.sampled_from(
    [
        "noise\n", "\n", "bar 1%\r", "bar 2%\r\n", "€uro\n", "x" * 90, "\x1b[33m", "Traceback (most recent call last):\n",
        '  File "a.py", line 1, in f\n', "    g()\n", "ValueError: x\n", "KeyError: 'model_type'\n",
        "[ring] Socket 3 was closed by the peer", "[ring] Sending to socket 4 failed with errno 32\n",
        "[METAL] Command buffer execution failed:\n", " Insufficient Memory (00000008:k)\n", "zsh: killed     python\n",
        "terminate called after throwing an instance of 'X'\n  what():  bad\n", '{"level":"error","msg":"OSError: No space left on device"}\n',
        "The above exception was the direct cause of the following exception:\n", "Exception ignored in: f\n",
        "```python\n", "```\n", "retrying in 2 s\n", "WARNING:a:it failed\n", "INFO:a:ok\n", "Look:\n",
        '  File "/x/socketserver.py", line 1, in f\n', "BrokenPipeError: x\n",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(chunkings(st.lists(FRAGMENTS, max_size=150).map(lambda parts: "".join(parts).encode())))
def test_any_chunking_gives_the_same_report(case: tuple[bytes, list[bytes]]) -> None:
    whole, chunks = case
    collector = DiagnosticCollector(LINUX, max_line_bytes=64, evidence_lines=3, max_diagnostics=4)
    for chunk in chunks:
        collector.feed(chunk)
    assert collector.finish() == read(whole, max_line_bytes=64, evidence_lines=3, max_diagnostics=4)


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_no_bytes_break_it(data: bytes) -> None:
    assert read(data).total_bytes == len(data)


def test_noise_in_bulk_is_skipped_without_changing_the_answer() -> None:
    noise = b"".join(b"2026-11-21 | INFO | step %d done\n" % number for number in range(20_000))
    assert not any(hint in noise for hint in HINTS)
    report = read(noise + b"[ring] Too many send/recv errors. Aborting...\n" + noise)
    assert report.root_cause is not None
    assert (report.root_cause.line, report.total_lines) == (20_000, 40_001)
    assert report.tail[-1].endswith("step 19999 done")


@pytest.mark.parametrize(
    "filler", ["a", "A", "1", "{", "[", '"', "File ", "\\x1b[", "a.", "Error: ", "Tokenizer", "warning: "]
)
def test_long_hostile_lines_take_little_time(filler: str) -> None:
    line = "okenizer rror ailed by the peer closed by the peer disk .swift: Fatal error: " + filler * 20_000
    started = time.process_time()
    read(line[:32_000] + "\n")
    assert time.process_time() - started < 5
