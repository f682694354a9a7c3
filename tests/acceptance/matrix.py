"""The matrix: each client meets each fault, streamed and whole, and every cell is judged by the one rule."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

from tests.acceptance.catalogue import Client
from tests.acceptance.environments import command_of
from tests.acceptance.faults import Fault
from tests.acceptance.known_exceptions import Verdict, verdict
from tests.acceptance.rule import Seen, complaint

MODES = ("stream", "whole")
Place = tuple[Client, str]


class Cell(NamedTuple):
    """One cell, judged. `complaint` says how it breaks the rule, or what is known of it."""

    client: Client
    fault: Fault
    mode: str
    verdict: Verdict
    complaint: str | None
    seen: Seen

    @property
    def outcome(self) -> str:
        """The exception's class, or what else came out."""
        outcome = self.seen.outcome
        return outcome.get("exception", outcome["outcome"])

    @property
    def cause(self) -> str:
        """What the client was told, as its SDK hands it over: fields, or the sentence alone."""
        fields = self.seen.fields
        told = [str(fields[name]) for name in ("code", "cause") if fields.get(name)]
        if told:
            return " / ".join(told)
        return "in the sentence" if self.seen.outcome.get("message") else ""

    def as_json(self) -> dict[str, Any]:
        """Everything that was seen."""
        return {
            "client": self.client.name,
            "version": self.client.version,
            "fault": self.fault.name,
            "mode": self.mode,
            "verdict": self.verdict,
            "complaint": self.complaint,
            "finished_tasks": self.seen.finished_tasks,
            **self.seen.outcome,
            "request_id": self.seen.request_id,
        }


def run_matrix(clients: Sequence[Client], faults: Sequence[Fault], jobs: int) -> Iterator[Cell]:
    """Run all cells, `jobs` daemons at a time, and give each cell when it is done."""
    batches: list[tuple[Fault, list[Place]]] = []
    for fault in faults:
        places = [(client, mode) for client in clients for mode in MODES]
        batches += [(fault, places)] if fault.is_shared else [(fault, [place]) for place in places]
    done: SimpleQueue[Cell] = SimpleQueue()
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_run_batch, fault, places, done.put) for fault, places in batches]
        try:
            for _ in range(len(clients) * len(faults) * len(MODES)):
                yield done.get()
        finally:
            for one in running:
                one.cancel()


def _run_batch(fault: Fault, places: Sequence[Place], put: Callable[[Cell], None]) -> None:
    """Run some cells of one fault with one daemon."""
    remaining = list(places)
    try:
        with fault.scene(fault.setting) as ask:
            while remaining:
                client, mode = remaining[0]
                seen = ask(command_of(client), mode)
                put(judged(client, fault, mode, seen))
                remaining.pop(0)
    except Exception as exc:  # noqa: BLE001 - the daemon did not do what the scene needs: that is the outcome
        said = " ".join(f"{type(exc).__name__}: {exc}"[-500:].split())
        for client, mode in remaining:
            put(judged(client, fault, mode, Seen({"outcome": f"could not be asked: {said}", "seconds": 0.0}, 0)))


def judged(client: Client, fault: Fault, mode: str, seen: Seen) -> Cell:
    """Return the cell for what was seen."""
    wrong = complaint(fault.expected, seen, fault.answer)
    decided, why = verdict(client.name, mode, fault.expected, seen, wrong)
    return Cell(client, fault, mode, decided, why, seen)
