"""One visit to the doctor: every check in order, what depends on what, and what was put right."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import anyio
import msgspec

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.key_store import HEAD, KeyStore, KeyStoreError
from supervisor.doctor import (
    clock,
    configuration,
    disk,
    head_reach,
    keys,
    leftovers,
    limits,
    memory,
    mlx,
    network,
    nodes,
    ports,
    power,
    python,
    ring,
    running,
    state_folder,
)
from supervisor.doctor.finding import Finding, skipped
from supervisor.doctor.lock import LockFacts, read_lock
from supervisor.redaction import known_secrets, redacted
from supervisor.settings import Settings
from supervisor.settings_resolution import ResolvedSettings
from supervisor.state_directory import StateDirectory
from supervisor.version import version
from transports.cluster.keys import KeyPair

_DEFAULT_HOST = "127.0.0.1"


class Order(msgspec.Struct, frozen=True):
    """What a visit is asked for.

    Args:
        resolved: The settings of the daemon that it is about.
        config: The settings file that was read, None for none.
        environment: What a daemon started from here would inherit.
        system: The system that this runs on.
        head: The head to reach, None when none is named.
        fix: Put right what is safe to put right.
        form_ring: Form a ring of two real MLX processes.
        mlx_within_s: How long MLX may take to load and compute.
        ring_within_s: How long a ring may take.
    """

    resolved: ResolvedSettings
    config: Path | None
    environment: Mapping[str, str]
    system: OperatingSystem
    head: tuple[str, int] | None = None
    fix: bool = False
    form_ring: bool = False
    mlx_within_s: float = 60.0
    ring_within_s: float = 45.0


class _Check(msgspec.Struct, frozen=True):
    """Checks that are made together, by name. Those of settings that are wrong cannot be made."""

    names: tuple[str, ...]
    make: Callable[[], Iterable[Finding]] | None = None
    make_with: Callable[[Settings], Iterable[Finding]] | None = None


class Visit:
    """Makes the checks. Blocks, each step for a bounded time; nothing is changed unless the order says so.

    `done` lists what was put right, once `findings` has come to its end.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._system = order.system
        self.done: list[str] = []

    def findings(self) -> Iterator[Finding]:
        """Yield the findings in order, each as soon as it is there. A check that breaks is one that was not made."""
        for check in self._checks():
            made: set[str] = set()
            try:
                for finding in self._made(check):
                    made.add(finding.check)
                    yield self._without_secrets(finding)
            except Exception as problem:  # noqa: BLE001 - one broken check must not take the others along
                why = f"The check itself failed: {type(problem).__name__}: {problem}."
                yield from (self._without_secrets(skipped(name, why)) for name in check.names if name not in made)

    def _made(self, check: _Check) -> Iterable[Finding]:
        settings = self._order.resolved.settings
        if check.make is not None:
            return check.make()
        if settings is None or check.make_with is None:
            return [skipped(name, "The settings have to be right first.") for name in check.names]
        return check.make_with(settings)

    def _without_secrets(self, finding: Finding) -> Finding:
        """People show these to others; what a process or the system said may hold anything."""
        settings = self._order.resolved.settings
        secrets = known_secrets(self._order.environment, None if settings is None else settings.api_key)
        evidence = tuple(redacted(line, secrets) for line in finding.evidence)
        return msgspec.structs.replace(finding, evidence=evidence, diagnosis=redacted(finding.diagnosis, secrets))

    def _checks(self) -> tuple[_Check, ...]:
        order, system = self._order, self._system
        return (
            _Check((python.CHECK,), lambda: [python.judge_python(python.read_python(system))]),
            _Check((mlx.MLX, mlx.METAL, mlx.MLX_LM), self._mlx),
            _Check((memory.SYSTEM,), lambda: [memory.judge_system(self._about_system)]),
            _Check((memory.GPU_MEMORY, memory.MEMORY), self._memory),
            _Check((limits.CHECK,), make_with=self._file_limit),
            _Check((ports.API, ports.BUS, ports.EVENTS), make_with=self._ports),
            _Check((state_folder.FOLDER,), make_with=self._folder),
            _Check((state_folder.JOURNAL,), make_with=self._journal),
            _Check((disk.STATE_DISK, disk.MODEL_DISK), make_with=self._disks),
            _Check((configuration.CHECK,), lambda: [configuration.judge_settings(order.resolved, order.config)]),
            _Check((keys.OWN, keys.TRUSTED, keys.API_KEY), make_with=self._keys),
            _Check((leftovers.STRAYS, leftovers.FILES), make_with=self._leftovers),
            _Check((head_reach.HEAD_CHECK, head_reach.LOCAL_NETWORK), make_with=self._head),
            _Check((nodes.NODES,), make_with=self._nodes),
            _Check((clock.CHECK,), make_with=self._clock),
            _Check((network.RDMA, network.LINKS), make_with=self._network),
            _Check((network.PROXY,), self._proxies),
            _Check((power.CHECK,), lambda: [power.judge_power(power.ask_power(system))]),
            _Check((running.DAEMON,), make_with=lambda _: [running.judge_daemon(self._daemon)]),
            _Check((running.INCIDENT,), make_with=self._incident),
            _Check((running.VERSION,), make_with=lambda _: [running.judge_version(self._daemon, version())]),
            _Check((ring.CHECK,), make_with=self._ring),
        )

    @cached_property
    def _about_system(self) -> memory.SystemFacts:
        return memory.read_system(self._system)

    @cached_property
    def _lock(self) -> LockFacts:
        settings = self._order.resolved.settings
        return LockFacts(held=False) if settings is None else read_lock(StateDirectory(settings.state_dir).lock_file)

    @cached_property
    def _daemon(self) -> running.DaemonFacts:
        settings = self._order.resolved.settings
        return running.DaemonFacts(self._lock) if settings is None else running.read_daemon(settings, self._lock)

    def _mlx(self) -> Iterable[Finding]:
        deadline_s = self._order.mlx_within_s
        return mlx.judge_mlx(mlx.read_mlx(self._system, self._order.environment, deadline_s=deadline_s))

    def _memory(self) -> Iterable[Finding]:
        facts = memory.read_memory(self._system)
        yield memory.judge_gpu_memory(memory.ask_wired_limit(self._system), facts.total_bytes)
        yield memory.judge_memory(facts)

    def _file_limit(self, settings: Settings) -> Iterable[Finding]:
        return [limits.judge_file_limit(limits.read_file_limit(), is_head=bool(settings.nodes))]

    def _ports(self, settings: Settings) -> Iterable[Finding]:
        return ports.port_findings(settings, self._lock.pid if self._lock.held else None)

    def _folder(self, settings: Settings) -> Iterable[Finding]:
        if self._order.fix:
            self.done += state_folder.tighten_folder(settings.state_dir)
        return [state_folder.judge_folder(state_folder.read_folder(settings.state_dir))]

    def _journal(self, settings: Settings) -> Iterable[Finding]:
        path = StateDirectory(settings.state_dir).journal_file
        return [state_folder.judge_journal(state_folder.read_journal(path))]

    def _disks(self, settings: Settings) -> Iterable[Finding]:
        for check, folder, little_bytes in (
            (disk.STATE_DISK, settings.state_dir, disk.STATE_LITTLE_BYTES),
            (disk.MODEL_DISK, disk.model_cache(), disk.MODELS_LITTLE_BYTES),
        ):
            yield disk.judge_disk(check, disk.read_disk(folder), little_bytes)

    def _keys(self, settings: Settings) -> Iterable[Finding]:
        if self._order.fix:
            with suppress(KeyStoreError):
                for path in KeyStore(settings.state_dir).tighten():
                    self.done.append(f"{path}: others may no longer read or change it; if somebody did, make new keys")
        return keys.judge_keys(keys.read_keys(settings))

    def _leftovers(self, settings: Settings) -> Iterable[Finding]:
        state = StateDirectory(settings.state_dir)
        found = leftovers.read_leftovers(state, self._lock)
        if self._order.fix:
            done = leftovers.clean_up(state, found)
            if done:
                self.done += done
                found = leftovers.read_leftovers(state, read_lock(state.lock_file))
        return [leftovers.judge_strays(found), leftovers.judge_files(found)]

    def _head(self, settings: Settings) -> Iterable[Finding]:
        facts = None
        if self._order.head is not None:
            own, trusted = _keys_of(settings)
            facts = anyio.run(head_reach.read_head, *self._order.head, own, trusted.get(HEAD))
        yield head_reach.judge_head(facts, "No head is named; name it with --head.", self._system)
        yield head_reach.judge_local_network(facts, self._system, self._about_system.version)

    def _nodes(self, settings: Settings) -> Iterable[Finding]:
        return nodes.judge_nodes(self._daemon.view, in_cluster=_in_cluster(settings))

    def _clock(self, settings: Settings) -> Iterable[Finding]:
        record = self._daemon.record if self._lock.held else None
        is_node = not settings.nodes and HEAD in _keys_of(settings)[1]
        if record is not None and is_node:
            return [clock.judge_clock(clock.read_clock(record.url))]
        return [clock.judge_synchronised(clock.ask_synchronised(self._system))]

    def _network(self, settings: Settings) -> Iterable[Finding]:
        rdma = network.read_rdma(self._system)
        yield network.judge_rdma(rdma, settings, self._system)
        links = network.read_links(self._system)
        yield network.judge_links(links, rdma.devices, in_cluster=_in_cluster(settings), system=self._system)

    def _proxies(self) -> Iterable[Finding]:
        settings = self._order.resolved.settings
        return [network.judge_proxies(self._order.environment, _host_of(settings))]

    def _incident(self, settings: Settings) -> Iterable[Finding]:
        return [running.judge_incident(running.read_incident(settings), time.time())]

    def _ring(self, settings: Settings) -> Iterable[Finding]:
        del settings
        if not self._order.form_ring:
            return [skipped(ring.CHECK, "Add --ring to form a ring of two real MLX processes.")]
        environment, deadline_s = self._order.environment, self._order.ring_within_s
        return [
            ring.judge_ring(ring.read_ring(environment, self._system, self._lock, deadline_s=deadline_s), self._system)
        ]


def _host_of(settings: Settings | None) -> str:
    """The host that clients on this machine ask."""
    if settings is None or settings.host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return _DEFAULT_HOST
    return settings.host


def _keys_of(settings: Settings) -> tuple[KeyPair | None, dict[str, bytes]]:
    """The keys; none where they cannot be read: their own check says why."""
    store = KeyStore(settings.state_dir)
    with suppress(KeyStoreError):
        return store.own_if_any(), store.trusted()
    return None, {}


def _in_cluster(settings: Settings) -> bool:
    return bool(settings.nodes or _keys_of(settings)[1])
