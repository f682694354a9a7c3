"""The daemon of one node: one group, its HTTP surface, its incidents, under one event loop."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
from loguru import logger

from supervisor.core.failure_statistics import FailureStatistics
from supervisor.core.group import Group, GroupLimits
from supervisor.core.restart import RestartLimits, RestartPolicy
from supervisor.exit_code import ExitCode
from supervisor.generation_start import GenerationStarter
from supervisor.group_log import GroupLog
from supervisor.group_observers import GroupObservers
from supervisor.group_supervisor import GroupSupervisor
from supervisor.guard import Guard
from supervisor.journal.recent_incidents import RecentIncidents
from supervisor.keeping import Keeping, keeping
from supervisor.launch import GroupSpec
from supervisor.live.hub import LiveHub
from supervisor.live.observer import LiveObserver
from supervisor.local_gateway import LocalGateway
from supervisor.local_start import LocalStarter
from supervisor.log import configure_log
from supervisor.metrics.exporter import MetricsExporter
from supervisor.model_source import ResolvedModel, resolve_model
from supervisor.observation import Observation
from supervisor.observers import GroupObserver
from supervisor.runner_limits import runner_limits
from supervisor.runner_record import RUNNERS_FILE, RunnerRecord, StraysOutlive
from supervisor.settings import Settings, is_loopback, listed
from supervisor.start_display import StartDisplay, show_starts
from supervisor.state_directory import DaemonRecord, StateDirectory, StateDirectoryError
from supervisor.stop_on_signal import stop_on_signal
from supervisor.tracing.setup import check_tracing, open_tracing
from supervisor.version import version
from transports.http.app import create_app
from transports.http.gateway import NodeView
from transports.http.limits import HttpLimits, HttpSecurity
from transports.http.listening import listen
from transports.http.server import HttpServer


def run_daemon(settings: Settings, display: StartDisplay) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. Blocks.

    The first signal ends the group gracefully, a second one at once.

    Args:
        settings: Checked settings.
        display: Shows the person who started it how it goes.

    Raises:
        StateDirectoryError: The state folder cannot be used, or another daemon uses it.
        CannotListen: The address is taken or cannot be listened on.
        ModelSourceError: The model cannot be had, or is broken.
        TracingUnavailable: Traces are wanted, but what sends them is not installed or set up wrongly.
    """
    configure_log(settings.log_format)
    check_tracing(settings)
    state = StateDirectory(settings.state_dir)
    with state.lock():
        # A download may take an hour: a taken port has to be said before it, not after.
        listen(settings.host, settings.port).close()
        model = resolve_model(settings.model, progress=display.line, on_bytes=display.download)
        with keeping(state, logger.warning) as kept, guarded(state) as guard:
            return anyio.run(_serve, settings, kept, model, guard, display)


async def _serve(settings: Settings, kept: Keeping, model: ResolvedModel, guard: Guard, display: StartDisplay) -> int:
    log = group_log(kept, socket.gethostname())
    spec = group_spec(settings, model.model_id, model.path, empty_folder(kept.state.work_folder))
    starter = LocalStarter(spec, runner_limits(settings), guard)
    live = LiveHub()
    group = supervise_group(settings, kept, spec, starter, log, live)
    await serve_group(settings, kept, group, log, live, display)
    return ExitCode.OK


async def serve_group(  # noqa: PLR0917 - as many as there are parts
    settings: Settings,
    kept: Keeping,
    group: GroupSupervisor,
    log: GroupLog,
    live: LiveHub,
    display: StartDisplay,
    *,
    nodes: Callable[[], tuple[NodeView, ...]] = tuple,
    on_listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a group's API until the group was stopped.

    Args:
        settings: Checked settings.
        kept: What is kept on disk.
        group: The group, not running yet.
        log: Keeps its incidents.
        live: What happens to it, for those who watch.
        display: Shows the person who started it how it goes.
        nodes: The nodes, for those who look.
        on_listening: Called once with the API's address.
    """
    tracing = open_tracing(settings, group.spec.model_id)
    gateway = LocalGateway(
        group,
        log.incidents,
        max_open_tasks=settings.max_concurrent_tasks + settings.max_queued_tasks,
        admission_wait_s=settings.admission_wait_s,
        request_timeout_s=settings.request_timeout_s,
        nodes=nodes,
        model_aliases=listed(settings.model_aliases),
    )
    security = HttpSecurity(api_key=settings.api_key, allowed_hosts=_own_names(settings))
    metrics = MetricsExporter(gateway, group.tasks.statistics, log.failures)
    if tracing is not None:
        group.tasks.observe(tracing.spans)
    app = create_app(gateway, HttpLimits(), security, live=live, metrics=metrics, tracing=tracing and tracing.spans)
    server = HttpServer(app, HttpLimits(), host=settings.host, port=settings.port)
    on_listening(server.url)
    kept.state.write_daemon(DaemonRecord(os.getpid(), server.url, time.time(), version()))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        tasks.start_soon(show_starts, gateway, group.changed, display, f"{server.url}/v1")
        tasks.start_soon(stop_on_signal, group.stop, tasks.cancel_scope)
        await group.run()
        live.close()
        # Clients have been told; the server lets their last bytes out before it goes.
        tasks.cancel_scope.cancel()
    if tracing is not None:
        await tracing.close()
    display.line("Stopped.")


def group_log(kept: Keeping, own_node: str = "") -> GroupLog:
    """Return what writes down what happens to a group; `own_node` names the head's machine in it."""
    return GroupLog(
        run_id=kept.run_id,
        incidents=RecentIncidents(kept.journal, kept.state.journal_file),
        journal=kept.journal,
        raw_logs=kept.raw_logs,
        failures=FailureStatistics(own_node),
    )


def supervise_group(  # noqa: PLR0917 - as many as there are parts
    settings: Settings,
    kept: Keeping,
    spec: GroupSpec,
    starter: GenerationStarter,
    log: GroupObserver,
    live: LiveHub,
) -> GroupSupervisor:
    """Return the owner of a group, not running yet; what happens to it is logged and told to those who watch."""
    watching = LiveObserver(live)
    policy = RestartPolicy(
        RestartLimits(
            first_delay_s=settings.backoff_first_s,
            cap_s=settings.backoff_cap_s,
            intensity=settings.restart_intensity,
            period_s=settings.restart_period_s,
            stable_after_s=settings.stable_after_s,
        )
    )
    machine = Group(spec.world_size, GroupLimits(verdict_settle_s=settings.verdict_settle_s), policy)
    observation = Observation(kept.run_id, observers=[watching], sink=kept.journal)
    return GroupSupervisor(spec, machine, starter, GroupObservers(log, watching), observation=observation)


def group_spec(settings: Settings, model_id: str, model_path: Path, work_folder: Path) -> GroupSpec:
    """Return what a group is to serve, and how."""
    return GroupSpec(
        model_id=model_id,
        model_path=model_path,
        world_size=settings.ranks or 1,
        parallel=settings.parallel or "tensor",
        backend=settings.backend or "none",
        engine=settings.engine,
        node=socket.gethostname(),
        work_folder=work_folder,
        environment=dict(os.environ),
        max_concurrent_tasks=settings.max_concurrent_tasks,
        prefill_step_tokens=settings.prefill_step_tokens,
        dead_man_s=settings.dead_man_s,
        stall_timeout_s=settings.stall_timeout_s,
        stall_floor_s=settings.stall_floor_s,
        start_stall_timeout_s=settings.start_stall_timeout_s,
    )


def _own_names(settings: Settings) -> tuple[str, ...]:
    """The names by which clients may call this host: those of the settings, and its own when others can reach it.

    A page that wants to rebind a name to this address has to bring a name of its own, so ours give nothing away.
    """
    wanted = listed(settings.allowed_hosts)
    if is_loopback(settings.host):
        return wanted
    name = socket.gethostname()
    short = name.partition(".")[0]
    return (*wanted, settings.host, name, short, f"{short}.local")


@contextmanager
def guarded(state: StateDirectory) -> Generator[Guard]:
    """End what an earlier daemon of this folder left, then guard what this one starts. Blocks, for 5 s at most."""
    record = RunnerRecord(state.path / RUNNERS_FILE)
    try:
        strays = record.end_strays()
    except StraysOutlive as problem:
        raise StateDirectoryError(str(problem), problem.remedy) from problem
    if strays:
        logger.warning("ended runners that an earlier ringwarden left: {}", ", ".join(map(str, strays)))
    with Guard(record) as guard:
        yield guard


def empty_folder(path: Path) -> Path:
    """A group's own folder without what an earlier daemon left."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, parents=True)
    return path
