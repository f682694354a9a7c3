"""What each process of a cluster wrote down of an incident, and when the others knew it after the head did."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from diagnostics.incident import Incident
from supervisor.cluster.key_store import HEAD
from supervisor.journal.database import JournalUnusable
from supervisor.journal.reader import JournalReader
from supervisor.state_directory import StateDirectory

TOLD_WITHIN_S = 1.0
# What a loaded two-core machine may add before this is a failure of the code.
NOISE_S = 3.0


class Journals:
    """The journals of a cluster, read as `ringwarden why` reads them.

    Args:
        folders: State folders by the name of the node; the head's is `head`.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._files = {name: StateDirectory(folder).journal_file for name, folder in folders.items()}

    def why(self, node: str) -> tuple[Incident, ...]:
        """The incidents that a node, or the head, has in its journal, newest first."""
        try:
            with JournalReader(self._files[node]) as journal:
                return journal.incidents(100)
        except JournalUnusable:  # not written yet
            return ()

    def incident(self, node: str, incident_id: str) -> Incident | None:
        """One incident as a node wrote it down."""
        return next((one for one in self.why(node) if one.incident_id == incident_id), None)

    def wait_told(self, nodes: Sequence[str], incident_id: str, deadline_s: float = 10.0) -> dict[str, float]:
        """Wait until head and nodes have an incident on disk; return how much later than the head each had it."""
        missing = {HEAD, *nodes}
        seen_at: dict[str, float] = {}
        ends_at = time.monotonic() + deadline_s
        while missing:
            for node in tuple(missing):
                if self.incident(node, incident_id) is not None:
                    seen_at[node] = time.monotonic()
                    missing.discard(node)
            assert time.monotonic() < ends_at, f"{incident_id} is not in the journals of {sorted(missing)}"
            time.sleep(0.005)
        return {node: seen_at[node] - seen_at[HEAD] for node in nodes}

    def wait_caught_up(self, node: str, incident_id: str) -> None:
        """Wait until a node that was away knows what the head knows."""
        self.wait_told([node], incident_id, 60)
        self._assert_same([node], incident_id)

    def assert_told(self, nodes: Sequence[str], incident_id: str) -> Incident:
        """Head and nodes know the same: who, why, in which words. Returns the head's version."""
        later = self.wait_told(nodes, incident_id)
        print(f"told after the head: { {node: f'{seconds:.3f} s' for node, seconds in later.items()} }")
        assert all(seconds < TOLD_WITHIN_S + NOISE_S for seconds in later.values()), later
        return self._assert_same(nodes, incident_id)

    def _assert_same(self, nodes: Sequence[str], incident_id: str) -> Incident:
        told = self.incident(HEAD, incident_id)
        assert told is not None
        for node in nodes:
            known = self.incident(node, incident_id)
            assert known is not None
            assert (known.rank, known.cause, known.message) == (told.rank, told.cause, told.message), (node, known)
        return told
