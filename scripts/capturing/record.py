"""From what a run left to one line of a corpus: rewritten paths, the truth, no text twice."""

import getpass
import json
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from capturing.scenario import Ended, Scenario, Workshop

_VARIABLE = re.compile(
    r"(?<=socket )\d+|(?<=line )\d+|0x[0-9a-f]+|\d{4}-\d\d-\d\d[ T][\d:,.]+|(?<=127\.0\.0\.1:)\d+"
    r"|(?<=\[)\d+(?=\])|\d+(?=/\d+ \[)|[\d.]+(?:it/s|s/it|B/s)|\[\d\d:\d\d.{0,20}?\]"
)
_OF_THIS_MACHINE = re.compile(r"(?<![\w.:/])/(?:work|root|farm|Users|home|tmp)/[\w.]")


def scrub(text: str, workshop: Workshop) -> str:
    """`text` as another machine would have written it."""
    for path, name in (
        (workshop.models, "/models"),
        (workshop.scratch, "/app"),
        (workshop.environment.folder, "/venv"),
        (Path(sys.base_prefix), "/python"),
    ):
        text = text.replace(str(path), name)
    text = re.sub(r"/\S*/(?=lib/python3\.\d+/(?!site-packages))(?<!/venv/)", "/python/", text)
    host, user = socket.gethostname(), getpass.getuser()
    text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", "host", text)
    if user != "root":
        text = text.replace(user, "user")
    return text


def entry_of(scenario: Scenario, workshop: Workshop, ended: Sequence[Ended]) -> dict | str:
    """The corpus entry of a run, or a sentence that says why the run is not what the scenario wanted."""
    truth, environment = scenario.truth, workshop.environment
    texts = [scrub(one.stderr, workshop) for one in ended]
    leaks = [found.group() for text in texts for found in (_OF_THIS_MACHINE.search(text),) if found]
    if leaks:
        return f"names a path of this machine: {leaks}"
    numbers = scenario.ranks or tuple(range(len(ended)))
    absent = truth.rank is not None and truth.rank not in numbers
    at = len(ended) - 1 if absent else numbers.index(truth.rank or 0)
    lines = _lines_with(truth.marker, texts[at])
    if truth.marker and not lines:
        return f"process {at} did not say {truth.marker!r}; it ended with {ended[at].exit}: {texts[at][-300:]!r}"
    if truth.without and re.search(truth.without, texts[at]):
        return f"process {at} said {truth.without!r}"
    if truth.exits and ended[at].exit not in truth.exits:
        return f"process {at} ended with {ended[at].exit}, not {truth.exits}: {texts[at][-300:]!r}"
    return {
        "id": f"{scenario.name}@{environment.mlx}-py{environment.python_version}",
        "scenario": scenario.name,
        "mlx": environment.mlx,
        "mlx_lm": environment.mlx_lm,
        "python": environment.python_version,
        "truth": {"kind": truth.kind, "rank": truth.rank, "line": lines[0] if truth.marker and not absent else None},
        "ranks": {
            str(rank): {"exit": one.exit, "stderr": text} for rank, one, text in zip(numbers, ended, texts, strict=True)
        },
    }


def _lines_with(marker: str, text: str) -> list[int]:
    """Numbers of the lines that `marker` is found in; source lines of a traceback, which are indented, only at need."""
    found = [(number, line) for number, line in enumerate(text.split("\n")) if re.search(marker, line)]
    return [number for number, line in found if not line.startswith("    ")] or [number for number, _ in found]


def without_repeats(entries: Iterable[dict]) -> list[dict]:
    """One entry for each text of a scenario; the newest version is kept, `also` names the others."""
    kept: dict[str, dict] = {}
    for entry in sorted(entries, key=_newest_first):
        said = _VARIABLE.sub("#", json.dumps([entry["scenario"], *_words(entry)]))
        first = kept.setdefault(said, entry)
        if first is not entry:
            others = {*first.get("also", ()), entry["id"].partition("@")[2], *entry.get("also", ())}
            first["also"] = sorted(others - {first["id"].partition("@")[2]})
    return sorted(kept.values(), key=lambda entry: (entry["scenario"], entry["id"]))


def _words(entry: dict) -> Iterator[object]:
    """What is told by an entry: how each rank ended, and its lines, in whatever order and number."""
    for rank, said in sorted(entry["ranks"].items()):
        yield rank, said["exit"], sorted({_VARIABLE.sub("#", line) for line in said["stderr"].split("\n")})


def _newest_first(entry: dict) -> tuple[list[int], str]:
    return [-int(part) for part in entry["mlx"].split(".")], entry["python"]


def merge(path: Path, fresh: Iterable[dict]) -> int:
    """Write `fresh` over the entries of the same id in `path`; return how many entries the file has."""
    old = [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []
    new = {entry["id"]: entry for entry in fresh}
    entries = without_repeats([*(entry for entry in old if entry["id"] not in new), *new.values()])
    path.write_text("".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n" for entry in entries))
    return len(entries)
