"""The matrix: each client meets each fault, streamed and whole, and every cell is judged by the one rule."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Literal, NamedTuple

from tests.acceptance.catalogue import Client
from tests.acceptance.environments import command_of
from tests.acceptance.faults import Fault
from tests.acceptance.known_exceptions import KNOWN_EXCEPTIONS
from tests.acceptance.rule import Seen, complaint

MODES = ("stream", "whole")


class Cell(NamedTuple):
    """One cell, judged. `complaint` says how it breaks the rule, or what is known of it."""

    client: Client
    fault: Fault
    mode: str
    verdict: Literal["holds", "known", "broken"]
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
    """Run all cells, `jobs` at a time, and give each when it is done."""
    with ThreadPoolExecutor(jobs) as pool:
        running = [
            pool.submit(run_cell, client, fault, mode) for fault in faults for client in clients for mode in MODES
        ]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for one in running:
                one.cancel()


def run_cell(client: Client, fault: Fault, mode: str) -> Cell:
    """Run one cell with a daemon of its own."""
    try:
        seen = fault.scene(fault.setting, command_of(client), mode)
    except AssertionError as exc:  # the daemon did not do what the scene needs
        seen = Seen({"outcome": "could not be asked: " + " ".join(str(exc)[-500:].split()), "seconds": 0.0}, 0)
    wrong = complaint(fault.expected, seen, fault.answer)
    known = KNOWN_EXCEPTIONS.get((client.name, fault.name, mode))
    if known is None:
        return Cell(client, fault, mode, "broken" if wrong else "holds", wrong, seen)
    if wrong is None:
        return Cell(client, fault, mode, "broken", f"is a known exception no longer: {known}", seen)
    return Cell(client, fault, mode, "known", known, seen)
