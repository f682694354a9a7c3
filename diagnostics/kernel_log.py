"""Out-of-memory kills as Linux writes them into its log.

Wordings from Linux mm/oom_kill.c, 4.4 to 6.18: until 4.20 "Killed process N (name)" stands alone after a line "Kill
process N (name) score S or sacrifice child"; from 5.3 on it begins with what ran out ("Out of memory", "Memory cgroup
out of memory"); from 5.0 on a line "oom-kill:constraint=...,task=name,pid=N,uid=U" precedes it.
"""

import re

from diagnostics.memory_evidence import MemoryKill

MAX_WORDS_CHARACTERS = 300
_KILLED = re.compile(
    r"(?:^|: )Killed process (?P<pid>\d{1,10}) \((?P<name>.{1,64}?)\)(?:, UID \d+,)? total-vm:(?P<rest>.*)"
)
_CHOSEN = re.compile(r"^oom-kill:constraint=.*,task=(?P<name>.{0,64}?),pid=(?P<pid>\d{1,10}),uid=\d+")
_RESIDENT = re.compile(r"\b(?:anon|file|shmem)-rss:(\d{1,15})kB")


def parse_kernel_record(record: bytes) -> MemoryKill | None:
    """Read one record of /dev/kmsg ("priority,sequence,microseconds,flags;text"); None when it tells of no kill.

    Only records of the kernel itself count: what a program wrote into the log proves nothing. Never raises.
    """
    head, separator, text = record.partition(b";")
    facility = head.partition(b",")[0]
    # The facility is the priority without its low three bits; the kernel's is 0 (Linux Documentation/ABI dev-kmsg).
    if not separator or not facility.isdigit() or len(facility) > 10 or int(facility) >> 3 != 0:
        return None
    return _parse_text(text.partition(b"\n")[0].decode("utf-8", "replace"))


def _parse_text(text: str) -> MemoryKill | None:
    found = _KILLED.search(text) or _CHOSEN.search(text)
    if found is None:
        return None
    sizes = _RESIDENT.findall(found.groupdict().get("rest") or "")
    return MemoryKill(
        pid=int(found["pid"]),
        name=found["name"],
        words=text[:MAX_WORDS_CHARACTERS],
        resident_bytes=sum(int(size) for size in sizes) * 1024 if sizes else None,
    )
