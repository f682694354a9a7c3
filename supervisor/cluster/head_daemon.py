"""`ringwarden up --nodes`: a head with its API, its bus, and one group over its nodes."""

import os
import time
from pathlib import Path, PurePath

import anyio
import msgspec
from loguru import logger

from supervisor.cluster.cluster_log import ClusterLog
from supervisor.cluster.cluster_start import ClusterStarter, StartLimits, plan_of
from supervisor.cluster.head import Head
from supervisor.cluster.head_announcement import announce_head
from supervisor.cluster.head_identity import next_identity
from supervisor.cluster.inventory import read_facts
from supervisor.cluster.key_store import HEAD, KeyStore
from supervisor.cluster.node_names import AUTOMATIC, OWN_NODE
from supervisor.cluster.node_views import node_views
from supervisor.cluster.own_node import OwnNode
from supervisor.cluster.roster import Roster
from supervisor.cluster.takeover import Takeover
from supervisor.core.adoption import Plan
from supervisor.core.head_epoch import HeadIdentity
from supervisor.core.node_liveness import LivenessLimits
from supervisor.core.rank_places import PlacementWish
from supervisor.daemon import empty_folder, group_log, group_spec, guarded, serve_group, supervise_group
from supervisor.exit_code import ExitCode
from supervisor.group_log import GroupLog
from supervisor.group_supervisor import GroupSupervisor
from supervisor.guard import Guard
from supervisor.hostfile import read_hosts
from supervisor.journal.database import JournalUnusable
from supervisor.journal.reader import JournalReader, NoJournalFile
from supervisor.journal.selection import Selection
from supervisor.keeping import Keeping, keeping
from supervisor.live.hub import LiveHub
from supervisor.log import configure_log
from supervisor.model_source import PATH_PREFIXES
from supervisor.open_files import allow_many_files
from supervisor.runner_limits import runner_limits
from supervisor.settings import Settings, listed
from supervisor.start_display import StartDisplay
from supervisor.state_directory import StateDirectory
from supervisor.tracing.setup import check_tracing
from transports.cluster.bus_limits import BusLimits
from transports.http.listening import listen

_GENERATIONS_READ = 100


def run_head(settings: Settings, display: StartDisplay) -> int:
    """Serve a group over nodes until SIGINT or SIGTERM; return the exit code. Blocks.

    Args:
        settings: Checked settings; they name nodes.
        display: Shows the person who started it how it goes.

    Raises:
        StateDirectoryError: The state folder cannot be used, or another head uses it.
        CannotListen: The API's address is taken or cannot be listened on.
        BusCannotListen: The bus's address is: mostly another head.
        KeyStoreError: The keys cannot be read.
        HeadOvertaken: Its cluster has a later head; the group was stopped.
        TracingUnavailable: Traces are wanted, but what sends them is not installed or set up wrongly.
    """
    configure_log(settings.log_format)
    check_tracing(settings)
    allow_many_files()
    state = StateDirectory(settings.state_dir)
    with state.lock():
        listen(settings.host, settings.port).close()
        with keeping(state, logger.warning) as kept, guarded(state) as guard:
            return anyio.run(_serve, settings, kept, guard, display)


async def _serve(settings: Settings, kept: Keeping, guard: Guard, display: StartDisplay) -> int:
    log = group_log(kept, OWN_NODE)
    roster = Roster(settings.node_return_s)
    head = _head(settings, kept, roster, log)
    own = _own_node(settings, kept, guard, head, log, display)
    last_generation = _last_generation(kept.state)
    spec = group_spec(settings, model_name(settings.model), Path(), Path())
    wish = _wish(settings)
    starter = ClusterStarter(
        spec=spec,
        model=settings.model,
        wish=wish,
        roster=roster,
        line=head.line,
        takeover=Takeover(
            spec=spec,
            plan=Plan(plan_of(spec, settings.model, wish), None, _nodes_to_hear(settings, head.identity)),
            model=settings.model,
            roster=roster,
            line=head.line,
            last_generation=last_generation,
            incidents=log.incidents.newest_first,
            wait_s=settings.adoption_wait_s,
        ).find,
        limits=StartLimits(),
        hostfile=None if settings.hostfile is None else read_hosts(settings.hostfile),
    )
    live = LiveHub()
    group = supervise_group(_settling_late(settings), kept, spec, starter, ClusterLog(log, head.publish), live)
    roster.on_change(group.place_again)
    display.line(f"Head of {settings.nodes}, bus on {settings.bus_host}:{head.bus.port}, model {spec.model_id}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(head.run)
        tasks.start_soon(_stand_down, head, group)
        tasks.start_soon(announce_head, settings, head)
        if own is not None:
            tasks.start_soon(own.run)
        await serve_group(
            settings,
            kept,
            group,
            log,
            live,
            display,
            nodes=lambda: node_views(roster, time.monotonic()),
            on_listening=head.announce_api,
        )
        tasks.cancel_scope.cancel()
    head.check()
    return ExitCode.OK


def _settling_late(settings: Settings) -> Settings:
    """The ranks beside a node that dies tell of it at once; the head has to be sure first, and looks now and then."""
    liveness = _liveness(settings)
    lost_after_s = liveness.reconnect_grace_s + 4 * liveness.tick_s
    return msgspec.structs.replace(settings, verdict_settle_s=max(settings.verdict_settle_s, lost_after_s))


def _liveness(settings: Settings) -> LivenessLimits:
    return LivenessLimits(settings.reconnect_grace_s, settings.node_silence_s)


async def _stand_down(head: Head, group: GroupSupervisor) -> None:
    """A head that was overtaken ends its requests and its ranks in order: nobody else would."""
    await head.until_overtaken()
    logger.error("this head stands down: its cluster has a later one")
    group.stop()


def _head(settings: Settings, kept: Keeping, roster: Roster, log: GroupLog) -> Head:
    return Head(
        address=settings.bus_host,
        port=settings.bus_port,
        keys=KeyStore(kept.state.path),
        facts=read_facts(),
        identity=next_identity(kept.state.path),
        roster=roster,
        incidents=log.incidents.newest_first,
        liveness=_liveness(settings),
        limits=BusLimits(node_silence_s=settings.node_silence_s),
    )


def _own_node(  # noqa: PLR0917 - as many as there are parts
    settings: Settings, kept: Keeping, guard: Guard, head: Head, log: GroupLog, display: StartDisplay
) -> OwnNode | None:
    """The head's machine computes, too, where it is named, or where nobody is."""
    if settings.nodes != AUTOMATIC and OWN_NODE not in listed(settings.nodes):
        return None
    own = OwnNode(
        folder=empty_folder(kept.state.work_folder),
        environment=dict(os.environ),
        limits=runner_limits(settings),
        guard=guard,
        output=log,
        progress=display.line,
        tell=head.on_message,
        forgotten=head.greet_own_node,
    )
    head.add_own_node(own)
    return own


def _last_generation(state: StateDirectory) -> int:
    """The newest generation that an earlier head of this folder started; 0 when there is none to be found."""
    try:
        with JournalReader(state.journal_file) as journal:
            return max((one.generation for one in journal.generations(Selection(), _GENERATIONS_READ)), default=0)
    except NoJournalFile:
        return 0
    except JournalUnusable as problem:
        logger.warning("nothing is known of earlier generations: {}", problem)
        return 0


def _nodes_to_hear(settings: Settings, identity: HeadIdentity) -> frozenset[str]:
    """The nodes that may still run a group of an earlier head: none when there was none. The journal may be lost."""
    if identity.epoch == 1:
        return frozenset()
    if settings.nodes != AUTOMATIC:
        return frozenset(listed(settings.nodes)) - {OWN_NODE}
    return frozenset(KeyStore(settings.state_dir).trusted()) - {HEAD}


def _wish(settings: Settings) -> PlacementWish:
    assert settings.backend not in ("mpi", "nccl"), "the settings refuse these on nodes"
    return PlacementWish(
        nodes=None if settings.nodes == AUTOMATIC else listed(settings.nodes),
        ranks=settings.ranks,
        parallel=settings.parallel,
        backend=settings.backend,
    )


def model_name(model: str) -> str:
    """The name by which clients ask for a model: of a folder its own, else what the operator wrote."""
    return PurePath(model).name if model.startswith(PATH_PREFIXES) else model
