"""The head of the scale benchmark, in its own process: `python -m scripts.benchmarks.scale_head`.

Everything but its settings and its API is what `ringwarden up --nodes` runs: bus, roster, starter, group, journal.
"""

import resource
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from loguru import logger

from scripts.benchmarks.orders import obey
from scripts.benchmarks.row import percentile
from supervisor.cluster.cluster_log import ClusterLog
from supervisor.cluster.cluster_start import ClusterStarter, StartLimits
from supervisor.cluster.head import Head
from supervisor.cluster.head_identity import next_identity
from supervisor.cluster.inventory import read_facts
from supervisor.cluster.key_store import KeyStore
from supervisor.cluster.roster import Roster
from supervisor.core.node_liveness import LivenessLimits
from supervisor.core.rank_places import PlacementWish
from supervisor.daemon import group_log, supervise_group
from supervisor.generation_start import Earlier
from supervisor.keeping import Keeping, keeping
from supervisor.launch import GroupSpec
from supervisor.live.hub import LiveHub
from supervisor.observers import RunnerObserver
from supervisor.settings import Settings
from supervisor.state_directory import StateDirectory
from supervisor.task_stream import BufferedTaskStream
from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_observers import NodeBeat
from transports.cluster.messages import FromNode, GroupChanged
from transports.cluster.requests import ReservePorts
from transports.http.gateway import GroupState
from transports.messages import SamplingParameters, TextPrompt

_LAG_LOOK_S = 0.02


class MeasuredHead(Head):
    """Counts what comes, and how late heartbeats are: all nodes share this machine's clock."""

    messages = 0
    beats_s: list[float]

    def on_message(self, node: str, message: FromNode) -> None:
        """Count it."""
        self.messages += 1
        super().on_message(node, message)

    def on_heartbeat(self, node: str, beat: NodeBeat) -> None:
        """Stamp it."""
        self.beats_s.append(beat.received_at_s - beat.sent_at_s)
        super().on_heartbeat(node, beat)


class ScaleHead:
    """Obeys the benchmark."""

    def __init__(self, tasks: TaskGroup, kept: Keeping, keys: KeyStore, ranks: int) -> None:
        self._tasks = tasks
        log = group_log(kept)
        roster = self._roster = Roster(15.0)
        self._head = MeasuredHead(
            address="127.0.0.1",
            port=0,
            keys=keys,
            facts=read_facts(),
            identity=next_identity(kept.state.path),
            roster=roster,
            incidents=log.incidents.newest_first,
            liveness=LivenessLimits(),
            limits=BusLimits(),
        )
        self._head.beats_s = []
        # More ranks than the settings of an operator allow: no MLX ring is that large.
        spec = GroupSpec("simulated", Path(), ranks, "tensor", "ring", "none:None", "head", kept.state.path, {})
        starter = ClusterStarter(
            spec=spec,
            model="simulated",
            wish=PlacementWish(ranks=ranks),
            roster=roster,
            line=self._head.line,
            takeover=_nothing_earlier,
            limits=StartLimits(),
        )
        settings = Settings(state_dir=kept.state.path, restart_intensity=1000)
        self._group = supervise_group(settings, kept, spec, starter, ClusterLog(log, self._head.publish), LiveHub())
        roster.on_change(self._group.place_again)
        self._lags_s: list[float] = []
        self._tokens = 0
        tasks.start_soon(self._head.run)
        tasks.start_soon(self._look_at_lag)

    async def where(self) -> dict[str, Any]:
        """Where nodes connect to."""
        return {"port": self._head.bus.port, "key": self._head.public_key.decode()}

    async def start(self) -> dict[str, Any]:
        """Start the first generation and wait until it is ready."""
        return await self._until_ready(1, lambda: self._tasks.start_soon(self._group.run))

    async def recover(self, generation: int) -> dict[str, Any]:
        """Wait until this generation is ready; the one before has failed."""
        return await self._until_ready(generation, lambda: None)

    async def watch(self, seconds: float) -> dict[str, Any]:
        """Tell what went on for so long."""
        self._head.beats_s, self._lags_s = [], []
        before = self._used()
        await anyio.sleep(seconds)
        used = {name: (value - before[name]) / seconds for name, value in self._used().items() if name in before}
        beats, lags = [one * 1000 for one in self._head.beats_s], [one * 1000 for one in self._lags_s]
        return {
            **used,
            "beats": len(beats) / seconds,
            "beat_p50_ms": percentile(beats, 50),
            "beat_p99_ms": percentile(beats, 99),
            "lag_p50_ms": percentile(lags, 50),
            "lag_p99_ms": percentile(lags, 99),
            "lag_max_ms": max(lags),
            "resident_mb": _resident_bytes() / 1e6,
            "descriptors": _open_descriptors(),
        }

    async def requests(self, count: int) -> dict[str, Any]:
        """Ask nodes in turn, one after the other."""
        nodes = [entry.name for entry in self._roster.entries()]
        times_ms: list[float] = []
        for number in range(count):
            asked = time.monotonic()
            await self._head.line(nodes[number % len(nodes)]).request(ReservePorts("127.0.0.1", 1), 10.0)
            times_ms.append((time.monotonic() - asked) * 1000)
        return {"p50_ms": percentile(times_ms, 50), "p99_ms": percentile(times_ms, 99)}

    async def stream(self, count: int, tokens: int) -> dict[str, Any]:
        """Begin tasks, each with a reader, and return once all have tokens."""
        for number in range(count):
            sampling = SamplingParameters(max_tokens=tokens)
            self._tasks.start_soon(self._read, self._group.start_task(f"task-{number}", TextPrompt("a"), sampling))
        seen = self._tokens
        while self._tokens < seen + count:  # noqa: ASYNC110 - the streams know no event of ours
            await anyio.sleep(0.01)
        return {}

    async def publish(self, count: int, interval_s: float) -> dict[str, Any]:
        """Tell all nodes stamped events, one each interval, or as fast as the loop goes round when that is 0."""
        began = last = time.monotonic()
        before = self._used()
        for number in range(count):
            last = time.monotonic()
            self._head.publish(GroupChanged(GroupState.READY, number, f"stamp {last}"))
            if interval_s:
                await anyio.sleep(interval_s)
            else:
                await anyio.lowlevel.checkpoint()
        used = self._used()
        return {"began": began, "last": last, "process_s": used["process_s"] - before["process_s"]}

    async def _until_ready(self, generation: int, begin: Any) -> dict[str, Any]:
        began, before, lags = time.monotonic(), self._used(), len(self._lags_s)
        begin()
        while not (self._group.group.generation >= generation and self._group.group.state is GroupState.READY):
            await self._group.changed()
        # The machine is ready; what is still queued for nodes and journal is part of it.
        used = {name: value - before[name] for name, value in self._used().items()}
        return {
            "seconds": time.monotonic() - began,
            "ready_at": time.monotonic(),
            "lag_max_ms": max(self._lags_s[lags:], default=0.0) * 1000,
            **used,
        }

    async def _read(self, stream: BufferedTaskStream) -> None:
        while not stream.ended:
            events = await stream.take()
            self._tokens += len(events)

    async def _look_at_lag(self) -> None:
        while True:
            due = time.monotonic() + _LAG_LOOK_S
            await anyio.sleep(_LAG_LOOK_S)
            self._lags_s.append(max(0.0, time.monotonic() - due))

    def _used(self) -> dict[str, float]:
        """`loop_s` is the event loop's own thread; `process_s` has ZeroMQ's and the journal's, too."""
        return {
            "loop_s": time.thread_time(),
            "process_s": time.process_time(),
            "messages": self._head.messages,
            "tokens": self._tokens,
        }


async def _nothing_earlier(_observer: RunnerObserver) -> Earlier:
    return Earlier()


def _open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def main() -> None:
    """Be a head until the benchmark ends."""
    heads: list[ScaleHead] = []
    with ExitStack() as ends:
        state = StateDirectory(Path(ends.enter_context(tempfile.TemporaryDirectory())))
        keys = KeyStore(state.path)
        ends.enter_context(state.lock())
        kept = ends.enter_context(keeping(state, logger.warning))
        async with anyio.create_task_group() as tasks:

            async def trust(nodes: Mapping[str, str], ranks: int) -> dict[str, Any]:
                for name, key in nodes.items():
                    keys.accept(name, key.encode())
                heads.append(ScaleHead(tasks, kept, keys, ranks))
                return await heads[0].where()

            def of_head(name: str) -> Any:
                async def carry_out(**arguments: Any) -> dict[str, Any]:
                    return await getattr(heads[0], name)(**arguments)

                return carry_out

            names = ("start", "recover", "watch", "requests", "stream", "publish")
            await obey({"trust": trust, **{name: of_head(name) for name in names}})
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    logger.remove()
    anyio.run(main)
