"""Cgroup files of both versions: where they are, and what they say."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cgroup_memory import locate_cgroup, parse_kill_counter, parse_limit

ROOT = PurePosixPath("/sys/fs/cgroup")


def test_version_2_counts_in_its_own_folder_and_is_limited_by_all_above() -> None:
    place = locate_cgroup("0::/system.slice/serve.service\n", ROOT)
    assert place.counters[0] == ROOT / "system.slice/serve.service/memory.events"
    assert place.limits == tuple(
        ROOT / name / "memory.max" for name in ("system.slice/serve.service", "system.slice", "")
    )


def test_version_1_has_a_folder_for_memory() -> None:
    place = locate_cgroup("5:cpu,cpuacct:/a\n4:memory:/a/b\n1:name=systemd:/a\n", ROOT)
    assert place.counters == (ROOT / "memory/a/b/memory.oom_control", ROOT / "memory/memory.oom_control")
    assert place.limits[0] == ROOT / "memory/a/b/memory.limit_in_bytes"
    assert place.limits[-1] == ROOT / "memory/memory.limit_in_bytes"


def test_a_container_sees_its_own_cgroup_as_the_root() -> None:
    place = locate_cgroup("0::/docker/0123\n", ROOT)
    assert place.counters == (ROOT / "docker/0123/memory.events", ROOT / "memory.events")


@pytest.mark.parametrize("membership", ["", "\n", "nonsense", "0:", "0::/../../etc", "4:memory:/a/../../../etc"])
def test_what_is_no_membership_leads_nowhere(membership: str) -> None:
    assert all(
        path.is_relative_to(ROOT) and ".." not in path.parts for path in locate_cgroup(membership, ROOT).counters
    )
    assert locate_cgroup("0::/../../etc", ROOT).limits == ()


@pytest.mark.parametrize(
    ("text", "counter"),
    [
        ("low 0\nhigh 12\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n", 2),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", 7),
        ("oom_kill_disable 0\nunder_oom 0\n", None),
        ("oom_kill -1\n", None),
        ("", None),
    ],
)
def test_the_counter(text: str, counter: int | None) -> None:
    assert parse_kill_counter(text) == counter


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1073741824\n", 2**30),
        ("max\n", None),
        ("9223372036854771712\n", None),
        ("0\n", None),
        ("-1", None),
        ("²", None),
    ],
)
def test_the_limit(text: str, limit: int | None) -> None:
    assert parse_limit(text) == limit


@given(st.text(max_size=300))
def test_nothing_in_the_files_raises(text: str) -> None:
    assert len(locate_cgroup(text, ROOT).limits) <= 16 * (text.count("\n") + len(text.splitlines()) + 1)
    assert parse_kill_counter(text) is None or "oom_kill" in text
    assert parse_limit(text) is None or text.strip().isdigit()
