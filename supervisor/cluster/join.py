"""`ringwarden join`: one node's process, from its locks and keys to its last runner."""

import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

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
from supervisor.daemon import empty_folder, group_log
from supervisor.exit_code import ExitCode
from supervisor.group_log import GroupLog
from supervisor.guard import Guard
from supervisor.keeping import Keeping, keeping
from supervisor.log import configure_log
from supervisor.runner_limits import runner_limits
from supervisor.settings import Settings
from supervisor.state_directory import DaemonRecord, StateDirectory
from supervisor.version import version
from transports.cluster.messages import FromNode
from transports.cluster.node_bus import NodeBus


class HeadAddress(NamedTuple):
    """Where the head is, and the key that it must have."""

    host: str
    port: int
    key: bytes


class HeadKeyMissing(Exception):
    """This node trusts no head yet; `remedy` says how it is made to."""

    remedy = "On the head type `ringwarden keys`, and here what it shows."


def run_agent(settings: Settings, host: str, port: int, announce: Callable[[str], None]) -> int:
    """Be a node of the cluster whose head is at `host` until SIGINT or SIGTERM; return the exit code. Blocks.

    Args:
        settings: Checked settings.
        host: The head's address.
        port: Its port for nodes.
        announce: Shows one line to the person who started it.

    Raises:
        StateDirectoryError: The state folder cannot be used, or another daemon uses it.
        KeyStoreError: The keys cannot be read.
        HeadKeyMissing: No head is trusted.
        JoinRefused: The head does not want this node.
        HeadLost: The head was unreachable for longer than the budget.
    """
    configure_log()
    state = StateDirectory(settings.state_dir)
    with state.lock():
        key = KeyStore(settings.state_dir).key_of(HEAD)
        if key is None:
            raise HeadKeyMissing("this node trusts no head")
        with keeping(state, logger.warning) as kept, Guard() as guard:
            return anyio.run(_follow, settings, kept, guard, HeadAddress(host, port, key), announce)


async def _follow(
    settings: Settings, kept: Keeping, guard: Guard, head: HeadAddress, announce: Callable[[str], None]
) -> int:
    store = KeyStore(settings.state_dir)
    log = group_log(kept)
    agent = _agent(settings, kept.state, guard, log, announce)
    bus = NodeBus(head.host, head.port, store.own(), head.key, agent.hello, observer=agent, pause_s=agent.pause_s)
    announce(f"Joining the head at {head.host}:{head.port} (Ctrl-C leaves it)")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, agent, tasks.cancel_scope)
        tasks.start_soon(_write_record, agent, kept.state, announce)
        await agent.run(bus)
        tasks.cancel_scope.cancel()
    announce("Left the cluster.")
    return ExitCode.OK


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
        folder=empty_folder(state.path / "group"),
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


async def _stop_on_signal(agent: Agent, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        stopping = False
        async for _ in signals:
            if stopping:
                scope.cancel()
                return
            stopping = True
            agent.stop()
