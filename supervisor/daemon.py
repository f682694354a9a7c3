"""The daemon of one node: one group, its HTTP surface, its incidents, under one event loop."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import anyio
from loguru import logger

from supervisor.core.group import Group, GroupLimits
from supervisor.core.lifecycle import LifecycleLimits
from supervisor.core.restart import RestartLimits, RestartPolicy
from supervisor.exit_code import ExitCode
from supervisor.group_log import GroupLog
from supervisor.group_supervisor import GroupSupervisor
from supervisor.guard import Guard
from supervisor.journal.recent_incidents import RecentIncidents
from supervisor.keeping import Keeping, keeping
from supervisor.launch import GroupSpec
from supervisor.local_gateway import LocalGateway
from supervisor.local_start import LocalStarter
from supervisor.log import configure_log
from supervisor.model_source import ResolvedModel, resolve_model
from supervisor.observation import Observation
from supervisor.runner_supervisor import RunnerLimits
from supervisor.settings import Settings, is_loopback
from supervisor.state_directory import DaemonRecord, StateDirectory
from supervisor.version import version
from transports.http.app import create_app
from transports.http.limits import HttpLimits, HttpSecurity
from transports.http.listening import listen
from transports.http.server import HttpServer


def run_daemon(settings: Settings, announce: Callable[[str], None]) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. Blocks.

    The first signal ends the group gracefully, a second one at once.

    Args:
        settings: Checked settings.
        announce: Shows one line to the person who started it.

    Raises:
        StateDirectoryError: The state folder cannot be used, or another daemon uses it.
        CannotListen: The address is taken or cannot be listened on.
        ModelSourceError: The model cannot be had, or is broken.
    """
    configure_log()
    state = StateDirectory(settings.state_dir)
    with state.lock():
        # A download may take an hour: a taken port has to be said before it, not after.
        listen(settings.host, settings.port).close()
        model = resolve_model(settings.model, progress=announce)
        with keeping(state, logger.warning) as kept, Guard() as guard:
            return anyio.run(_serve, settings, kept, model, guard, announce)


async def _serve(
    settings: Settings, kept: Keeping, model: ResolvedModel, guard: Guard, announce: Callable[[str], None]
) -> int:
    state = kept.state
    incidents = RecentIncidents(kept.journal, state.journal_file)
    log = GroupLog(
        run_id=kept.run_id,
        model=model.model_id,
        world_size=settings.ranks,
        incidents=incidents,
        journal=kept.journal,
        raw_logs=kept.raw_logs,
    )
    group = _group(settings, kept, model, guard, log)
    gateway = LocalGateway(
        group,
        incidents,
        max_open_tasks=settings.max_concurrent_tasks + settings.max_queued_tasks,
        admission_wait_s=settings.admission_wait_s,
    )
    app = create_app(gateway, HttpLimits(), HttpSecurity(api_key=settings.api_key, allowed_hosts=_own_names(settings)))
    server = HttpServer(app, HttpLimits(), host=settings.host, port=settings.port)
    state.write_daemon(DaemonRecord(os.getpid(), server.url, time.time(), version()))
    announce(f"Serving {model.model_id} on {settings.ranks} ranks at {server.url}/v1 (Ctrl-C stops it)")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        tasks.start_soon(_stop_on_signal, group, tasks.cancel_scope)
        await group.run()
        # Clients have been told; the server lets their last bytes out before it goes.
        tasks.cancel_scope.cancel()
    announce("Stopped.")
    return ExitCode.OK


async def _stop_on_signal(group: GroupSupervisor, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        stopping = False
        async for _ in signals:
            if stopping:
                scope.cancel()
                return
            stopping = True
            group.stop()


def _group(settings: Settings, kept: Keeping, model: ResolvedModel, guard: Guard, log: GroupLog) -> GroupSupervisor:
    policy = RestartPolicy(
        RestartLimits(
            first_delay_s=settings.backoff_first_s,
            cap_s=settings.backoff_cap_s,
            intensity=settings.restart_intensity,
            period_s=settings.restart_period_s,
            stable_after_s=settings.stable_after_s,
        )
    )
    machine = Group(settings.ranks, GroupLimits(verdict_settle_s=settings.verdict_settle_s), policy)
    limits = RunnerLimits(
        lifecycle=LifecycleLimits(start_timeout_s=settings.start_timeout_s, fatal_grace_s=settings.fatal_grace_s),
        drain_deadline_s=settings.drain_deadline_s,
    )
    spec = _spec(settings, model, _empty_folder(kept.state.path / "group"))
    observation = Observation(kept.run_id, sink=kept.journal)
    return GroupSupervisor(spec, machine, LocalStarter(spec, limits, guard), log, observation=observation)


def _spec(settings: Settings, model: ResolvedModel, work_folder: Path) -> GroupSpec:
    return GroupSpec(
        model_id=model.model_id,
        model_path=model.path,
        world_size=settings.ranks,
        parallel=settings.parallel,
        backend=settings.backend,
        engine=settings.engine,
        node=socket.gethostname(),
        work_folder=work_folder,
        environment=dict(os.environ),
        max_concurrent_tasks=settings.max_concurrent_tasks,
        prefill_step_tokens=settings.prefill_step_tokens,
        dead_man_s=settings.dead_man_s,
        stall_timeout_s=settings.stall_timeout_s,
    )


def _own_names(settings: Settings) -> tuple[str, ...]:
    """The names by which clients may call this host: those of the settings, and its own when others can reach it.

    A page that wants to rebind a name to this address has to bring a name of its own, so ours give nothing away.
    """
    wanted = tuple(name.strip() for name in settings.allowed_hosts.split(",") if name.strip())
    if is_loopback(settings.host):
        return wanted
    name = socket.gethostname()
    short = name.partition(".")[0]
    return (*wanted, settings.host, name, short, f"{short}.local")


def _empty_folder(path: Path) -> Path:
    """The group's own folder without what an earlier daemon left: generations are numbered from 1 again."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, parents=True)
    return path
