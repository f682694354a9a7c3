"""`ringwarden join`: one node's process, from its locks and keys to its last runner."""

import os
import time
from collections.abc import Callable

import anyio
import msgspec
from loguru import logger

from supervisor.cluster.agent import Agent
from supervisor.cluster.followed_head import FollowedHead
from supervisor.cluster.inventory import read_facts
from supervisor.cluster.key_store import HEAD, KeyStore
from supervisor.cluster.node_ranks import NodeRanks
from supervisor.cluster.node_requests import NodeRequests
from supervisor.cluster.outage_state import OutageState
from supervisor.cluster.prepared_models import PreparedModels
from supervisor.cluster.probes import Probes
from supervisor.core.outage import OutageLimits
from supervisor.daemon import empty_folder, group_log, guarded
from supervisor.exit_code import ExitCode
from supervisor.group_log import GroupLog
from supervisor.guard import Guard
from supervisor.keeping import Keeping, keeping
from supervisor.log import configure_log
from supervisor.runner_limits import runner_limits
from supervisor.settings import Settings
from supervisor.state_directory import DaemonRecord, StateDirectory
from supervisor.stop_on_signal import stop_on_signal
from supervisor.version import version
from transports.cluster.discovery import browse
from transports.cluster.keys import fingerprint
from transports.cluster.messages import FromNode
from transports.cluster.node_bus import NodeBus

_LOOK_S = 10.0


class HeadKeyMissing(Exception):
    """This node trusts no head yet; `remedy` says how it is made to."""

    remedy = "On the head type `ringwarden keys`, and here what it shows."


class HeadNotFound(Exception):
    """Nobody on the local network announces the head that this node trusts; `remedy` says what to do."""

    remedy = "Name its address: ringwarden join ADDRESS. A head is announced when its --bus-host is not loopback."


def run_agent(settings: Settings, named: tuple[str, int] | None, announce: Callable[[str], None]) -> int:
    """Be a node of a cluster until SIGINT or SIGTERM; return the exit code. Blocks.

    Args:
        settings: Checked settings.
        named: The head's address and its port for nodes; None looks for it on the local network.
        announce: Shows one line to the person who started it.

    Raises:
        StateDirectoryError: The state folder cannot be used, or another daemon uses it.
        KeyStoreError: The keys cannot be read.
        HeadKeyMissing: No head is trusted.
        HeadNotFound: It is to be looked for, and is not there.
        JoinRefused: The head does not want this node.
        HeadLost: The head was unreachable for longer than the budget.
    """
    configure_log(settings.log_format)
    state = StateDirectory(settings.state_dir)
    with state.lock():
        key = KeyStore(settings.state_dir).key_of(HEAD)
        if key is None:
            raise HeadKeyMissing("this node trusts no head")
        with keeping(state, logger.warning) as kept, guarded(state) as guard:
            return anyio.run(_follow, settings, kept, guard, named, key, announce)


async def _follow(  # noqa: PLR0917 - as many as there are parts
    settings: Settings,
    kept: Keeping,
    guard: Guard,
    named: tuple[str, int] | None,
    head_key: bytes,
    announce: Callable[[str], None],
) -> int:
    host, port = named or await _look_for(head_key, announce)
    store = KeyStore(settings.state_dir)
    log = group_log(kept)
    agent = _agent(settings, kept.state, guard, log, announce)
    bus = NodeBus(host, port, store.own(), head_key, agent.hello, observer=agent, pause_s=agent.pause_s)
    announce(f"Joining the head at {host}:{port} (Ctrl-C leaves it)")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_on_signal, agent.stop, tasks.cancel_scope)
        tasks.start_soon(_write_record, agent, kept.state, announce)
        await agent.run(bus)
        tasks.cancel_scope.cancel()
    agent.check()
    announce("Left the cluster.")
    return ExitCode.OK


async def _look_for(key: bytes, announce: Callable[[str], None]) -> tuple[str, int]:
    """What is found is a hint: whoever is there has to own the trusted key."""
    announce(f"Looking for the head with the key {fingerprint(key)} on the local network")
    for found in await browse(_LOOK_S, fingerprint=fingerprint(key)):
        return found.addresses[0], found.port
    raise HeadNotFound("no head with the trusted key was found on the local network")


def _agent(
    settings: Settings, state: StateDirectory, guard: Guard, log: GroupLog, announce: Callable[[str], None]
) -> Agent:
    facts = read_facts()
    if settings.node_address:
        others = tuple(address for address in facts.addresses if address != settings.node_address)
        facts = msgspec.structs.replace(facts, addresses=(settings.node_address, *others))
    models = PreparedModels(announce)

    def tell(message: FromNode) -> None:
        agent.tell(message)

    ranks = NodeRanks(
        folder=empty_folder(state.work_folder),
        environment=dict(os.environ),
        limits=runner_limits(settings),
        guard=guard,
        models=models,
        output=log,
        tell=tell,
    )
    outage = OutageState(OutageLimits(budget_s=settings.outage_budget_s))
    requests = NodeRequests(ranks, models, Probes())
    agent = Agent(facts, ranks, requests, FollowedHead(state.path), outage, log)
    return agent


async def _write_record(agent: Agent, state: StateDirectory, announce: Callable[[str], None]) -> None:
    """Let other commands on this node find the head's API."""
    await agent.joined.wait()
    if agent.welcome is not None:
        announce(f"Joined as {agent.welcome.node}.")
        state.write_daemon(DaemonRecord(os.getpid(), agent.welcome.api_url, time.time(), version()))
