"""The kernel's wordings of an out-of-memory kill, and what only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.kernel_log import MAX_WORDS_CHARACTERS, parse_kernel_record

SIZES = "total-vm:9000000kB, anon-rss:8000000kB, file-rss:100kB, shmem-rss:4kB"


@pytest.mark.parametrize(
    "text",
    [
        f"Killed process 4242 (python3) {SIZES}",
        f"Killed process 4242 (python3), UID 501, {SIZES}",
        f"Out of memory: Killed process 4242 (python3) {SIZES}, UID:501 pgtables:17000kB oom_score_adj:0",
        f"Out of memory (oom_kill_allocating_task): Killed process 4242 (python3) {SIZES}, UID:0",
        f"Memory cgroup out of memory: Killed process 4242 (python3) {SIZES}, UID:0 pgtables:188kB oom_score_adj:0",
    ],
)
def test_every_wording_names_the_process_and_its_memory(text: str) -> None:
    kill = parse_kernel_record(f"3,416,14167365365,-;{text}\n SUBSYSTEM=none\n".encode())
    assert kill is not None
    assert (kill.pid, kill.name, kill.words) == (4242, "python3", text)
    assert kill.resident_bytes == (8_000_000 + 100 + 4) * 1024


def test_the_summary_line_names_the_process_without_its_memory() -> None:
    text = (
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/serve,"
        "task_memcg=/serve/a,task=python3,pid=4242,uid=0"
    )
    kill = parse_kernel_record(f"6,415,14167365335,-;{text}".encode())
    assert kill is not None
    assert (kill.pid, kill.name, kill.resident_bytes) == (4242, "python3", None)


def test_a_name_may_hold_parentheses() -> None:
    kill = parse_kernel_record(f"3,1,1,-;Out of memory: Killed process 7 (a (b)) {SIZES}".encode())
    assert kill is not None
    assert kill.name == "a (b)"


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b";",
        b"3,1,1,-;",
        b"3,1,1,-;Out of memory: Killed process",
        b"4,339,1,-;python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        b"3,1,1,-;Out of memory: Kill process 4242 (python3) score 900 or sacrifice child",
        b"6,1,1,-;oom_reaper: reaped process 4242 (python3), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
        b"6,1,1,-;audit: comm=Killed process 4242 (python3) total-vm:1kB",
        f"12,1,1,-;Out of memory: Killed process 4242 (python3) {SIZES}".encode(),
        f"x,1,1,-;Out of memory: Killed process 4242 (python3) {SIZES}".encode(),
        f"Out of memory: Killed process 4242 (python3) {SIZES}".encode(),
    ],
    ids=["empty", "bare", "blank", "cut", "invoked", "chosen", "reaped", "inside", "program", "priority", "headless"],
)
def test_what_tells_of_no_kill_is_ignored(record: bytes) -> None:
    assert parse_kernel_record(record) is None


@given(st.binary(max_size=2000), st.booleans())
def test_nothing_in_a_record_raises_and_what_is_kept_is_bounded(noise: bytes, is_kernel: bool) -> None:
    kill = parse_kernel_record((b"3,1,1,-;Out of memory: Killed process 1 (" if is_kernel else b"") + noise)
    assert kill is None or len(kill.words) <= MAX_WORDS_CHARACTERS
