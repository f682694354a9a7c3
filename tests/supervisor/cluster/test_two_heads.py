"""One cluster has one head: a second one is refused, an old one stands down, and who must not join hears why."""

import re
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path

import anyio
import msgspec
import pytest

from supervisor.cluster.head import Head, HeadOvertaken
from supervisor.cluster.key_store import HEAD, KeyStore
from supervisor.cluster.roster import Roster
from supervisor.core.head_epoch import HeadIdentity
from supervisor.core.node_liveness import LivenessLimits
from supervisor.exit_code import ExitCode
from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_harness import Cluster, running_cluster
from tests.supervisor.cluster.cluster_process import CommandProcess, is_over
from tests.supervisor.cluster.test_head_outage import assert_ended_unreached, one_line
from tests.supervisor.cluster.test_unheard_deaths import FACTS, hello
from transports.cluster.bus_limits import BusLimits
from transports.cluster.handshake import Refused, Welcome

BUDGET = {"RINGWARDEN_OUTAGE_BUDGET_S": "2"}
MATCHING = msgspec.structs.replace(FACTS, mlx_version="0.32.1", mlx_lm_version="0.32.2")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), nodes=("a",), ranks=1) as it:
        yield it


@pytest.fixture
def cluster(shared: Cluster) -> Generator[Cluster]:
    shared.repair()
    shared.wait_ready()
    yield shared
    print(shared.logs())  # shown of a failed test only


def assert_refused(process: CommandProcess, *words: str) -> None:
    """It ended as what cannot be had ends: its exit code, a sentence with these words, no traceback."""
    assert process.wait_end() == ExitCode.UNAVAILABLE, process.log
    told = one_line(process.log)
    assert all(word in told for word in words), process.log
    assert "Traceback" not in told, process.log
    assert "fault of ringwarden" not in told, process.log


def second_up(folder: Path, name: str, state_dir: Path, bus_port: int) -> CommandProcess:
    arguments = ["up", "--nodes=a", "--port=0", f"--bus-port={bus_port}", f"--state-dir={state_dir}"]
    return CommandProcess(arguments, {}, folder / f"{name}.log")


def join(cluster: Cluster, name: str, state_dir: Path) -> CommandProcess:
    arguments = ["join", f"127.0.0.1:{cluster.bus_port}", f"--state-dir={state_dir}"]
    return CommandProcess(arguments, BUDGET, cluster.folder / f"{name}.log")


def test_a_second_head_is_refused_with_the_reason(cluster: Cluster, tmp_path: Path):
    pids = cluster.pids()
    same_folder = second_up(tmp_path, "same-folder", cluster.state_dir(HEAD), 0)
    same_port = second_up(tmp_path, "same-port", tmp_path / "other", cluster.bus_port)
    assert_refused(same_folder, f"is used by the ringwarden with pid {cluster.head.pid}", "Stop that one first")
    assert_refused(
        same_port, f"nodes cannot be listened for on 127.0.0.1:{cluster.bus_port}", "Address already in use",
        "choose another --bus-port",
    )  # fmt: skip
    cluster.assert_serves()
    assert cluster.pids() == pids


def test_who_has_the_wrong_key_hears_which(cluster: Cluster, tmp_path: Path):
    unknown, deceived = KeyStore(tmp_path / "unknown"), KeyStore(tmp_path / "deceived")
    unknown.own()
    unknown.accept(HEAD, KeyStore(cluster.state_dir(HEAD)).own().public)
    deceived.accept(HEAD, KeyStore(tmp_path / "another-head").own().public)
    KeyStore(cluster.state_dir(HEAD)).accept("deceived", deceived.own().public)
    agents = [join(cluster, name, tmp_path / name) for name in ("unknown", "deceived")]
    assert_ended_unreached(agents[0], "refuses this node's key: it is not trusted there")
    assert_ended_unreached(agents[1], "has another key than the one trusted here")
    for agent in agents:
        assert "each side trusts the other (ringwarden keys)" in one_line(agent.log)
    assert "refused 127.0.0.1" in cluster.log(HEAD), "the head tells of it, too"
    cluster.assert_serves()


def test_of_two_agents_with_one_key_the_earlier_one_leaves(cluster: Cluster, tmp_path: Path):
    generation = cluster.view()["generation"]
    (pid,) = cluster.pids().values()
    shutil.copytree(cluster.state_dir("a"), tmp_path / "twin")
    twin = join(cluster, "twin", tmp_path / "twin")
    assert_refused(
        cluster.agents["a"], "the head refuses this node", "another process with this node's key has joined",
        "Run one agent for each node",
    )  # fmt: skip
    wait_until(lambda: is_over(pid), "its runner went with it", 10)
    assert cluster.wait_ready(generation + 1)["ranks"][0]["node"] == "a"
    cluster.assert_serves()
    twin.kill()


@pytest.mark.soak
def test_an_old_head_that_comes_back_stands_down_and_the_nodes_stay_with_the_new_one(cluster: Cluster, tmp_path: Path):
    shutil.copytree(cluster.state_dir(HEAD), tmp_path / "copy")
    for _ in range(2):  # The copy will count one start, too.
        cluster.kill(HEAD)
        cluster.start_head()
    before = cluster.wait_ready()
    pids = cluster.pids()
    cluster.kill(HEAD)

    arguments = ["--nodes=a", "--ranks=1", f"--port={cluster.api_port}", f"--bus-port={cluster.bus_port}"]
    old = CommandProcess(["up", *arguments, f"--state-dir={tmp_path / 'copy'}"], {}, tmp_path / "old.log")
    assert_refused(old, "this one runs from a copy of old state", "Let the newer head go on")
    found = re.search(r"followed epoch (\d+) of this cluster, this head is at epoch (\d+)", one_line(old.log))
    assert found is not None, old.log
    assert int(found[1]) == int(found[2]) + 1
    assert cluster.living_nodes() == ("a",)
    assert not any(map(is_over, pids.values())), "an old head ends nobody's ranks"

    cluster.start_head()
    assert cluster.wait_ready()["generation"] == before["generation"]
    assert cluster.pids() == pids
    cluster.assert_serves()


# --- what a head answers ---


def head_at(folder: Path, epoch: int = 3) -> Head:
    return Head(
        address="127.0.0.1",
        port=0,
        keys=KeyStore(folder),
        facts=MATCHING,
        identity=HeadIdentity("cluster", epoch),
        roster=Roster(3.0),
        incidents=tuple,
        liveness=LivenessLimits(),
        limits=BusLimits(),
    )


def answers(head: Head, hellos: Sequence[msgspec.Struct]) -> list[Welcome | Refused]:
    """What the head says to each; it is closed then."""
    try:
        return [head.on_hello("a", one) for one in hellos]  # pyright: ignore[reportArgumentType]
    finally:
        head.bus.close()


def test_nodes_that_do_not_fit_are_refused_with_what_to_do(tmp_path: Path):
    fits = msgspec.structs.replace(hello(), facts=MATCHING)
    newer = msgspec.structs.replace(fits, protocol_version=fits.protocol_version + 1)
    other_mlx = msgspec.structs.replace(fits, facts=msgspec.structs.replace(MATCHING, mlx_version="0.31.0"))
    no_mlx_lm = msgspec.structs.replace(fits, facts=msgspec.structs.replace(MATCHING, mlx_lm_version=None))
    welcome, *refused = answers(head_at(tmp_path), [fits, newer, other_mlx, no_mlx_lm])
    assert isinstance(welcome, Welcome)
    assert (welcome.node, welcome.cluster_id, welcome.epoch) == ("a", "cluster", 3)
    words = (("version", "protocol"), ("mlx", "0.32.1", "0.31.0"), ("mlx-lm", "0.32.2"))
    for answer, wanted in zip(refused, words, strict=True):
        assert isinstance(answer, Refused)
        assert answer.permanent
        assert all(word in answer.reason for word in wanted), answer
        assert answer.remedy.startswith(("Install ", "On the ")), answer


@pytest.mark.anyio
async def test_a_head_is_overtaken_by_what_a_node_followed(tmp_path: Path):
    head = head_at(tmp_path)
    fits = msgspec.structs.replace(hello(), facts=MATCHING)
    same, newer = (msgspec.structs.replace(fits, followed_epoch=epoch) for epoch in (3, 4))
    (welcome,) = answers(head, [same])
    assert isinstance(welcome, Welcome)
    head.check()
    answer = head.on_hello("b", newer)
    assert isinstance(answer, Refused)
    assert not answer.permanent, "the node waits for the newer head"
    with anyio.fail_after(1):
        await head.until_overtaken()
    with pytest.raises(HeadOvertaken, match="A node has followed epoch 4 of this cluster, this head is at epoch 3"):
        head.check()
