"""What healthy programs print: silent, alone and all together, and no cover for a real failure.

The blocks stand in `noise/*.txt`, each under a line `=== name`. To add one, write it there.
"""

from pathlib import Path

import pytest

from diagnostics.cause import Cause
from diagnostics.collector import HINTS, DiagnosticCollector
from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.launcher_log import LogReader
from diagnostics.log_diagnosis import RootCause
from diagnostics.mixed_log import examine_log
from diagnostics.signature import Strength
from diagnostics.signatures import CATALOGUE
from tests.diagnostics.catalogue_examples import log_of


def read_blocks() -> dict[str, str]:
    blocks: dict[str, str] = {}
    for path in sorted((Path(__file__).parent / "noise").glob("*.txt")):
        for block in path.read_text(encoding="utf-8").removeprefix("=== ").split("\n=== "):
            name, _, text = block.partition("\n")
            blocks[f"{path.stem}: {name}"] = text.rstrip("\n") + "\n"
    return blocks


BLOCKS = read_blocks()
FAILURES = [row for row in CATALOGUE if row.strength is Strength.SPECIFIC and not row.symptom]
ENDS = (None, ExitStatus(code=0))


def cause_of(log: str, exit_status: ExitStatus | None) -> RootCause | None:
    reader = LogReader(None, OperatingSystem.DARWIN)
    reader.feed(log.encode())
    return examine_log(reader.finish(), exit_status).root_cause


def test_there_are_many_blocks() -> None:
    assert len(BLOCKS) > 200
    assert all(text.strip() for text in BLOCKS.values())


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_alone_has_no_cause(name: str) -> None:
    for end in ENDS:
        assert cause_of(BLOCKS[name], end) is None


@pytest.mark.parametrize("end", [ExitStatus(code=130), ExitStatus(signal=2)])
@pytest.mark.parametrize("name", ["python: keyboard interrupt", "python: keyboard interrupt in asyncio"])
def test_who_was_interrupted_was_ended_from_outside_and_did_not_raise(name: str, end: ExitStatus) -> None:
    cause = cause_of(BLOCKS[name], end)
    assert cause is not None
    assert (cause.kind, "SIGINT" in cause.message) == (Cause.KILLED_NO_STDERR, True)


GONE_CLIENTS = ["servers: http.server's client went away", "servers: http.server's client reset the connection"]


@pytest.mark.parametrize("name", GONE_CLIENTS)
def test_the_end_decides_whether_only_a_client_had_left(name: str) -> None:
    died = cause_of(BLOCKS["logs: no errors, loguru"] + BLOCKS[name], ExitStatus(code=1))
    assert died is not None
    assert died.kind is Cause.PYTHON_EXCEPTION_OTHER
    assert "Error: [Errno" in (died.text or "")
    assert cause_of(BLOCKS[name], ExitStatus(code=0)) is None
    long_ago = BLOCKS[name] + BLOCKS["logs: no errors, loguru"] * 100
    assert cause_of(long_ago, ExitStatus(code=1)) is None


def test_a_client_that_left_is_silent_in_the_log_of_several_ranks_too() -> None:
    start = "[0] INFO:app:start\n[1] INFO:app:start\n" * 20
    of_rank_0 = "".join(f"[0] {line}\n" for line in BLOCKS[GONE_CLIENTS[0]].splitlines())
    work = "[0] INFO:app:step\n[1] INFO:app:step\n" * 20
    for log in (start + of_rank_0 + work, start + of_rank_0):
        assert cause_of(log, None) is None


def test_of_many_clients_that_left_the_last_one_is_told() -> None:
    block = BLOCKS[GONE_CLIENTS[0]]
    died = cause_of(block * 5, ExitStatus(code=1))
    assert died is not None
    assert died.line == block.count("\n") * 5 - 2


def test_a_warning_in_front_of_the_end_handled_nothing() -> None:
    log = (
        "2026-11-21 01:02:03,456 WARNING name lookup failed, trying the short name\n"
        'Traceback (most recent call last):\n  File "main.py", line 3, in f\n    listen()\nValueError: bad address\n'
    )
    ignored = "Exception ignored in: <function Listener.__del__ at 0x1>\n" + log.partition("\n")[2]
    for rest in ("", ignored, "\nDuring handling of the above exception, another exception occurred:\n\n" + ignored):
        cause = cause_of(log + rest, None)
        assert cause is not None
        assert cause.line == 4


@pytest.mark.parametrize(
    "last_words",
    [
        "/opt/p/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked semaphore objects",
        "INFO:     Shutting down",
        "[INFO] Node with rank 1 completed",
        "ERROR:root:no more work",
    ],
)
def test_what_a_process_writes_while_it_goes_down_is_no_sign_of_life(last_words: str) -> None:
    log = (
        "WARNING:root:failed to load the fast path\n"
        'Traceback (most recent call last):\n  File "main.py", line 3, in f\n    step()\nKeyError: 7\n'
    )
    cause = cause_of(f"{log}{last_words}\n", None)
    assert cause is not None
    assert cause.line == 4
    assert cause_of(f"{log}INFO:root:step 2\n", None) is None


def test_a_code_fence_that_does_not_close_hides_nothing() -> None:
    quoted = BLOCKS["quoting: a fence with a native message"]
    unfinished = quoted.partition("\n```\n")[0]
    assert cause_of(quoted, None) is None
    cut = cause_of(unfinished, None)
    assert cut is not None
    assert cut.kind is Cause.METAL_GPU_TIMEOUT
    far_away = cause_of(unfinished + "\nword" * 60 + "\n```\n", None)
    assert far_away is not None


def test_a_warning_that_something_crashed_is_no_word_of_handling() -> None:
    log = (
        "[ 05:21:09.0000AM | WARNING ] Runner 7 crashed with critical exception no such layer\n"
        'Traceback (most recent call last):\n  File "main.py", line 3, in f\n    step()\nKeyError: 7\n'
        "[ 05:21:09.1000AM | INFO    ] next runner\n"
    )
    cause = cause_of(log, None)
    assert cause is not None
    assert cause.line == 4


def test_what_a_warning_announced_is_a_failure_where_nothing_follows() -> None:
    for name in ("handled: a warning with its traceback", "handled: a warning of loguru with its traceback"):
        until_the_exception = BLOCKS[name].rstrip("\n").rpartition("\n")[0]
        died = cause_of(until_the_exception, None)
        assert died is not None
        assert died.line == until_the_exception.count("\n")


@pytest.mark.parametrize("end", ENDS)
def test_all_blocks_together_have_no_cause(end: ExitStatus | None) -> None:
    assert cause_of("".join(BLOCKS.values()), end) is None


@pytest.mark.parametrize("order", [1, -1])
def test_all_blocks_together_hide_no_failure(order: int) -> None:
    blocks, failures = list(BLOCKS.values())[::order], FAILURES[order > 0 :: 2]
    for number, failure in enumerate(failures):
        cut = number * len(blocks) // len(failures)
        before = "".join(blocks[:cut])
        # Without a hint, a message counts only at the end of a stream.
        hinted = any(hint.decode() in log_of(failure) for hint in HINTS)
        check_found(before, log_of(failure), "".join(blocks[cut:]) if hinted else "", failure.id)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_failure_beside_a_block_is_found_at_its_line(number: int) -> None:
    block = list(BLOCKS.values())[number]
    for step in range(4):
        failure = FAILURES[(number * 4 + step) % len(FAILURES)]
        check_found(block, log_of(failure), "", failure.id)
        check_found("", log_of(failure), block, failure.id)


def check_found(before: str, failure: str, after: str, signature_id: str) -> None:
    collector = DiagnosticCollector(OperatingSystem.DARWIN)
    collector.feed(f"{before}step 1\n{failure}\n{after}".encode())
    root = collector.finish().root_cause
    assert root is not None, signature_id
    assert (root.signature_id, root.line) == (signature_id, before.count("\n") + 1 + failure.count("\n"))
