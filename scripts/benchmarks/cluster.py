"""One head of a growing cluster: the real head, over the real bus, with nodes and ranks that are simulated.

The head has a process to itself. The nodes share two others, each node with its own keys, session and connections.
All of them share this machine's cores, so what a head would do in time it may do late here: what counts are the
processor seconds of the head, and how each figure grows with the number of nodes.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any

from scripts.benchmarks.orders import Ordered
from scripts.benchmarks.row import Row, percentile
from transports.cluster.keys import generate_key_pair

NAME = "cluster"
SIZES = (8, 32, 64, 128, 256)
RANKS_PER_NODE = 8
MOST_RANKS = 2000
_SIMULATORS = 2
_STREAMS = 8
_KILLS = 3
_VERDICT_BUDGET_S = 1.0


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield the rows of each size."""
    for nodes in (4,) if quick else SIZES:
        with ExitStack() as ends:
            yield from _Scale(nodes, ends, quick=quick).rows()


class _Scale:
    """One head with its nodes."""

    def __init__(self, nodes: int, ends: ExitStack, *, quick: bool) -> None:
        self._nodes = nodes
        self._ranks = min(nodes * RANKS_PER_NODE, MOST_RANKS)
        self._watch_s = 0.7 if quick else 10.0
        self._quick = quick
        self._head = Ordered("scripts.benchmarks.scale_head")
        ends.callback(self._head.end)
        self._simulators = [Ordered("scripts.benchmarks.simulated_nodes") for _ in range(min(_SIMULATORS, nodes))]
        for one in self._simulators:
            ends.callback(one.end)

    def rows(self) -> Iterator[Row]:
        """Join, idle, tell, start, serve, and lose a rank."""
        self._join()
        yield from self._idle()
        # Not beside the streams: the nodes, who share their processors with the head, would be what is measured.
        yield from self._fan_out()
        yield self._start()
        yield from self._serve()
        yield from self._deaths()

    def _join(self) -> None:
        pairs = {f"n{number}": generate_key_pair() for number in range(self._nodes)}
        known = {name: pair.public.decode() for name, pair in pairs.items()}
        where = self._head.ask("trust", nodes=known, ranks=self._ranks)
        keys = [(pair.public.decode(), pair.secret.decode()) for pair in pairs.values()]
        for number, one in enumerate(self._simulators):
            one.tell("join", port=where["port"], head_key=where["key"], keys=keys[number :: len(self._simulators)])
        for one in self._simulators:
            one.answer()

    def _idle(self) -> Iterator[Row]:
        seen = self._head.ask("watch", seconds=self._watch_s)
        yield self._row(
            "nobody asks anything: the head's processor share",
            seen["process_s"] * 100,
            "%",
            f"{seen['beats']:.0f} heartbeats a second; the loop's thread and ZeroMQ's, over {self._watch_s:g} s",
            loop=seen["loop_s"] * 100,
            per_beat_us=seen["process_s"] / max(seen["beats"], 1) * 1e6,
            lag_p99_ms=seen["lag_p99_ms"],
            resident_mb=seen["resident_mb"],
            descriptors=seen["descriptors"],
        )
        asked = self._head.ask("requests", count=20 if self._quick else 500)
        yield self._row(
            "a heartbeat, node -> head acts on it, p50",
            seen["beat_p50_ms"],
            "ms",
            "stamped by the node before it is sent; a request and its answer take the way twice, through the queues",
            p99_ms=seen["beat_p99_ms"],
            request_p50_ms=asked["p50_ms"],
            request_p99_ms=asked["p99_ms"],
        )

    def _start(self) -> Row:
        done = self._head.ask("start")
        return self._row(
            "start of a generation: the head's processor time",
            done["process_s"],
            "s",
            "cleaned, placed, probed, wired, and every rank's 13 words up to ready; nodes answer at once",
            seconds=done["seconds"],
            loop=done["loop_s"],
            messages=done["messages"],
            ms_per_rank=done["process_s"] / self._ranks * 1000,
            lag_max_ms=done["lag_max_ms"],
        )

    def _serve(self) -> Iterator[Row]:
        self._head.ask("stream", count=_STREAMS, tokens=1_000_000)
        seen = self._head.ask("watch", seconds=self._watch_s)
        yield self._row(
            f"{_STREAMS} streams, all ranks' progress words: the head's processor share",
            seen["process_s"] * 100,
            "%",
            f"{_STREAMS} x 25 tokens/s, 4 words/s of each rank, over {self._watch_s:g} s",
            loop=seen["loop_s"] * 100,
            messages_per_s=seen["messages"],
            tokens_per_s=seen["tokens"],
            us_per_message=seen["process_s"] / max(seen["messages"], 1) * 1e6,
            beat_p99_ms=seen["beat_p99_ms"],
            lag_p50_ms=seen["lag_p50_ms"],
            lag_p99_ms=seen["lag_p99_ms"],
            lag_max_ms=seen["lag_max_ms"],
            resident_mb=seen["resident_mb"],
        )

    def _fan_out(self) -> Iterator[Row]:
        count = 20 if self._quick else 50
        self._report()
        self._head.ask("publish", count=count, interval_s=0.02 if self._quick else 0.1)
        latencies = self._stamped(count)
        last = [max(of_event) for of_event in zip(*latencies, strict=True)]
        every = [one for of_node in latencies for one in of_node]
        yield self._row(
            "one event, head -> the last node knows, p50",
            median(last) * 1000,
            "ms",
            f"{count} events, one every 100 ms, while nobody asks anything",
            last_p99_ms=percentile(last, 99) * 1000,
            any_node_p50_ms=median(every) * 1000,
            any_node_p99_ms=percentile(every, 99) * 1000,
        )
        # Fewer than ZeroMQ surely holds for a node: of more, nodes that were too slow would have to ask for the rest.
        count = 50 if self._quick else 100
        told = self._head.ask("publish", count=count, interval_s=0.0)
        latencies = self._stamped(count)
        seconds = max(of_node[-1] for of_node in latencies) + told["last"] - told["began"]
        yield self._row(
            "events in a burst, all nodes have all",
            count / seconds,
            "events/s",
            f"{count} events, one in each turn of the loop, until the last node has the last one",
            deliveries_per_s=count * self._nodes / seconds,
        )

    def _deaths(self) -> Iterator[Row]:
        verdicts: list[float] = []
        recoveries: list[dict[str, Any]] = []
        versions: list[int] = []
        for number in range(1 if self._quick else _KILLS):
            self._report()
            killed = self._ask_all("kill", rank=self._ranks // 2 + number)
            killed_at = next(one["killed_at"] for one in killed if one["killed_at"] is not None)
            recoveries.append(self._head.ask("recover", generation=2 + number))
            recoveries[-1]["seconds"] = recoveries[-1]["ready_at"] - killed_at
            heard = self._report()
            newest = [list(of_node.values())[number] for one in heard for of_node in one["incidents"]]
            sentences = {sentence for _, sentence in newest}
            if len(sentences) != 1:
                raise AssertionError(f"nodes tell {len(sentences)} different verdicts")
            verdicts.append(max(at for at, _ in newest) - killed_at)
            versions.append(max(one["incident_versions"] for one in heard))
        yield Row(
            NAME,
            f"{self._who}: SIGKILL of a rank -> the same verdict on all nodes, p50",
            median(verdicts),
            "s",
            _VERDICT_BUDGET_S,
            len(verdicts),
            "from the simulated certificate; every node has the same sentence; 20 ms are the wait for coincidences",
            details={"max": max(verdicts)},
        )
        yield self._row(
            "SIGKILL of a rank -> all ranks of the next generation ready, p50",
            median(one["seconds"] for one in recoveries),
            "s",
            "all others are ended, certified and started anew; 0.2 s are the backoff",
            process_s=median(one["process_s"] for one in recoveries),
            lag_max_ms=max(one["lag_max_ms"] for one in recoveries),
            incident_versions=max(versions),
        )

    def _stamped(self, count: int) -> list[list[float]]:
        """Wait until every node has so many events more; return how late each was, by node."""
        latencies: list[list[float]] = [[] for _ in range(self._nodes)]
        while min(map(len, latencies)) < count:
            new = [of_node for one in self._report() for of_node in one["latencies_s"]]
            latencies = [known + more for known, more in zip(latencies, new, strict=True)]
        return latencies

    def _report(self) -> list[dict[str, Any]]:
        return self._ask_all("report")

    def _ask_all(self, do: str, **arguments: object) -> list[dict[str, Any]]:
        for one in self._simulators:
            one.tell(do, **arguments)
        return [one.answer() for one in self._simulators]

    @property
    def _who(self) -> str:
        return f"{self._nodes} nodes, {self._ranks} ranks"

    def _row(self, what: str, value: float, unit: str, how: str, **details: float) -> Row:
        return Row(NAME, f"{self._who}: {what}", value, unit, None, 1, how, details=details)
