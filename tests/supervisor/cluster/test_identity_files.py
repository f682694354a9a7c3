"""The identities on disk: private, growing, never reset by damage, whole after a SIGKILL at any moment."""

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cluster.followed_head import FollowedHead, HeadRefused
from supervisor.cluster.head_identity import next_identity
from supervisor.core.head_epoch import HeadIdentity
from supervisor.state_directory import StateDirectoryError
from transports.cluster.handshake import Welcome

ROOT = Path(__file__).parents[3]
DAMAGED = [b"", b"{", b"[]", b'{"cluster_id":"","epoch":3}', b'{"cluster_id":"c","epoch":0}', b"\xff" * 40, b"x" * 9000]


def welcome(cluster_id: str, epoch: int) -> Welcome:
    return Welcome(cluster_id, epoch, "b", "http://head:1", 0, 1.0, 5.0)


def test_every_start_of_a_head_is_the_next_epoch_of_the_same_cluster(tmp_path: Path) -> None:
    first, second, third = (next_identity(tmp_path) for _ in range(3))
    assert [one.epoch for one in (first, second, third)] == [1, 2, 3]
    assert first.cluster_id == third.cluster_id
    assert stat.S_IMODE((tmp_path / "head.json").stat().st_mode) == 0o600
    (other := tmp_path / "other").mkdir()
    assert next_identity(other).cluster_id != first.cluster_id


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_an_error_and_never_a_fresh_start(tmp_path: Path, damage: bytes) -> None:
    for name in ("head.json", "cluster.json"):
        (tmp_path / name).write_bytes(damage)
        (tmp_path / name).chmod(0o600)
    for use in (next_identity, FollowedHead):
        with pytest.raises(StateDirectoryError) as problem:
            use(tmp_path)
        assert problem.value.remedy
    assert (tmp_path / "head.json").read_bytes() == damage


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    next_identity(tmp_path)
    (tmp_path / "head.json").chmod(0o666)
    with pytest.raises(StateDirectoryError, match="other users"):
        next_identity(tmp_path)


def test_a_node_remembers_whom_it_follows(tmp_path: Path) -> None:
    followed = FollowedHead(tmp_path)
    assert followed.epoch == 0
    assert followed.follow(welcome("c1", 3))
    assert not followed.follow(welcome("c1", 3))
    again = FollowedHead(tmp_path)
    assert again.epoch == 3
    assert not again.follow(welcome("c1", 3))
    assert again.follow(welcome("c1", 4))
    for other in (welcome("c1", 3), welcome("c2", 9)):
        with pytest.raises(HeadRefused) as refused:
            again.follow(other)
        assert refused.value.remedy
    assert FollowedHead(tmp_path).epoch == 4
    assert stat.S_IMODE((tmp_path / "cluster.json").stat().st_mode) == 0o600


def test_leaving_a_cluster_is_a_person_s_act(tmp_path: Path) -> None:
    FollowedHead(tmp_path).follow(welcome("c1", 3))
    (tmp_path / "cluster.json").unlink()
    assert FollowedHead(tmp_path).follow(welcome("c2", 1))


def test_what_cannot_be_written_is_said_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "head.json.partial").mkdir()
    with pytest.raises(StateDirectoryError, match=r"head\.json") as problem:
        next_identity(tmp_path)
    assert problem.value.remedy
    assert not (tmp_path / "head.json").exists()


def test_no_epoch_is_used_twice_by_heads_that_are_killed(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom supervisor.cluster.head_identity import next_identity\n"
        "while True:\n    print(next_identity(Path(sys.argv[1])).epoch, flush=True)\n"
    )
    last = 0
    for _ in range(4):
        head = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
        assert head.stdout is not None
        first = int(head.stdout.readline())
        head.send_signal(signal.SIGKILL)
        rest = head.stdout.read().split(b"\n")
        head.stdout.close()
        head.wait(20)
        assert first > last
        told = [first, *(int(line) for line in rest if line)]
        assert told == sorted(set(told))
        last = told[-1]
    identity = next_identity(tmp_path)
    assert isinstance(identity, HeadIdentity)
    assert identity.epoch > last
