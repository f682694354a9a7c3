"""Linux cgroup files about memory, version 1 and 2: where they are, and what they say.

Both versions count in a process's own cgroup every process of it that any out-of-memory killer took, whichever limit
was hit; the counter rises before the signal is sent (Linux mm/oom_kill.c).
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec

_COUNTER = re.compile(r"^oom_kill (\d{1,18})$", re.MULTILINE)
_MAX_LEVELS = 16
# Version 1 writes "no limit" as the largest multiple of a page that fits into 63 bits.
_NO_LIMIT = 2**62


class CgroupPlace(msgspec.Struct, frozen=True):
    """Where one cgroup's files may be. `counters` are tried in order; every file of `limits` that exists holds."""

    counters: tuple[PurePosixPath, ...]
    limits: tuple[PurePosixPath, ...]


def locate_cgroup(membership: str, root: PurePosixPath) -> CgroupPlace:
    """Say where the memory files of a process are.

    A container often sees its own cgroup mounted as the root, whatever the path in `membership`: both are tried.

    Args:
        membership: The content of /proc/PID/cgroup; lines that cannot be read are left out.
        root: Where cgroups are mounted.
    """
    counters: list[PurePosixPath] = []
    limits: list[PurePosixPath] = []
    for line in membership.splitlines():
        _, _, place = line.partition(":")
        controllers, found, path = place.partition(":")
        if not found or ".." in path.split("/"):
            continue
        if controllers == "":
            folders = _with_parents(root, path)
            counters += _files([folders[0], root], "memory.events")
            limits += _files(folders, "memory.max")
        elif "memory" in controllers.split(","):
            folders = _with_parents(root / "memory", path)
            counters += _files([folders[0], root / "memory"], "memory.oom_control")
            limits += _files(folders, "memory.limit_in_bytes")
    return CgroupPlace(tuple(dict.fromkeys(counters)), tuple(dict.fromkeys(limits)))


def parse_kill_counter(text: str) -> int | None:
    """Read `oom_kill` from memory.events or memory.oom_control; None when it is not there (Linux < 4.13)."""
    found = _COUNTER.search(text)
    return None if found is None else int(found.group(1))


def parse_limit(text: str) -> int | None:
    """Read memory.max or memory.limit_in_bytes; None when there is no limit, or no number."""
    word = text.strip()
    if not word.isascii() or not word.isdigit() or len(word) > 19:
        return None
    limit = int(word)
    return limit if 0 < limit < _NO_LIMIT else None


def _with_parents(mount: PurePosixPath, path: str) -> list[PurePosixPath]:
    """The folder of `path` and those above it, up to the mount; the mount alone stands for a path that is not there."""
    folder = mount / path.strip("/")
    above = [parent for parent in folder.parents if parent.is_relative_to(mount)]
    return [folder, *above][:_MAX_LEVELS]


def _files(folders: Sequence[PurePosixPath], name: str) -> list[PurePosixPath]:
    return [folder / name for folder in folders]
