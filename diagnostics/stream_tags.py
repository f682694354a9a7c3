"""The tags that launchers put in front of lines when they mix the output of several processes in one log.

A tag names who wrote the line: `[rank1]: ` (torchrun), `[1,0]<stderr>:` (mpirun), `node-1  | ` (docker compose),
`[pod/runner-0/main] ` (kubectl), `Nov 20 14:03:22 mac1 exo[812]: ` (syslog, journalctl), `(Worker pid=12) ` (Ray).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_RANK = 1024

_COLOURS = rb"(?:\x1b\[[\d;]{0,16}m)*"
_STAMP = rb"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]? |\d\d:\d\d:\d\d )?"
_PEER = rb"runner|node|worker|host|replica|shard|stage|process|peer|trainer|instance|mac"
_TAG = (
    # `[1,0]<stderr>:`, `[prterun-mac-61@1,0]<stderr>: `; MPICH's `[0] `
    rb"\[(?:[\w.@-]{1,80},)?(?P<mpi>\d{1,4})\]<std(?:out|err|diag)>:? ?"
    rb"|\[(?P<number>\d{1,4})\]:? "
    # `[rank1]: `, `[Rank 0/2] `, `(worker 3) `; torchrun's `[default0]:`
    rb"|[\[(](?i:rank|default)[ =:#_-]?(?P<rank>\d{1,4})(?:(?:/| of )\d{1,4})?[\])](?::? |:(?=\[|$)|:)"
    rb"|[\[(](?P<peer>(?i:" + _PEER + rb")[ =:#_-]?\d{1,4})(?:(?:/| of )\d{1,4})?[\])]:? ?"
    rb"|(?i:rank)[ _=#-]?(?P<bare>\d{1,4})(?:/\d{1,4})? ?[|:>] ?"
    rb"|(?P<word>(?i:" + _PEER + rb")[ _=#-]?\d{1,4}) ?[:>] "
    # docker compose and Procfile runners; pm2; kubectl --prefix; Ray and vLLM
    rb"|(?:\d{1,3}\|)?(?P<service>[A-Za-z][\w.-]{0,60}\d) {0,40}\| ?"
    rb"|\[(?P<pod>pod/[\w./-]{1,200})\] ?"
    rb"|\((?P<actor>[\w.:<>\[\]-]{1,60} pid=\d{1,10}(?:, ip=[\da-f.:]{2,40})?)\) ?"
    # syslog and journalctl
    rb"|(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?(?P<unit>[\w.-]{1,64} [\w./@-]{1,64}\[\d{1,10}\]): ?"
    # structured records keep their text whole: only the key is read
    rb"|(?=time=\S{1,40} level=\w{1,9} .{0,200}?\b(?:rank|node_rank)=\"?(?P<logfmt>\d{1,4})\b)"
    rb"|(?=\{.{0,300}?\"(?:rank|node_rank)\": ?\"?(?P<json>\d{1,4})\b)"
)
_TAGGED = re.compile(rb"^" + _COLOURS + _STAMP + rb"(?:" + _TAG + rb")" + _COLOURS, re.MULTILINE)
_RANKS = frozenset({"mpi", "number", "rank", "bare", "logfmt", "json"})


@dataclass(frozen=True, slots=True)
class TaggedLine:
    """A line with a tag: `data[start:text_start]` of the block is the tag, and `label` whom it names.

    `rank` is the rank's number where the tag says one, None where it only has a name.
    """

    start: int
    text_start: int
    label: str
    rank: int | None


def tagged_lines(data: bytes) -> Iterator[TaggedLine]:
    """The lines of `data` that have a tag, in order. `data` begins where a line begins."""
    for found in _TAGGED.finditer(data):
        kind = found.lastgroup or ""
        name = found[kind].decode("ascii", "replace")
        rank = int(name) if kind in _RANKS else None
        if rank is None or rank <= MAX_RANK:
            yield TaggedLine(found.start(), found.end(), name if rank is None else rank_label(rank), rank)


def rank_label(rank: int) -> str:
    """How a rank is called as the subject of a sentence."""
    return f"Rank {rank}"
