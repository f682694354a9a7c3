"""The keys on disk: private, whole, the same for everybody who looks, and never guessed when damaged."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cluster.key_store import HEAD, KeyRefusedError, KeyStore, KeyStoreError, NodeNameError
from transports.cluster.keys import generate_key_pair, key_text

OWN = "node.key"
TRUSTED = "trusted.toml"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "state")


def some_key() -> bytes:
    return generate_key_pair().public


def own_file(store: KeyStore) -> Path:
    store.own()
    return store.folder / OWN


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_own_keys_are_made_once_and_only_for_this_user(store: KeyStore):
    pair = store.own()
    assert KeyStore(store.folder).own() == pair
    assert mode_of(store.folder / OWN) == 0o600
    assert mode_of(store.folder) == 0o700
    assert sorted(path.name for path in store.folder.iterdir()) == ["keys.lock", OWN]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_own_keys_that_others_may_touch_are_refused(store: KeyStore, mode: int):
    own_file(store).chmod(mode)
    with pytest.raises(KeyStoreError, match="other users may read") as caught:
        store.own()
    assert f"chmod 600 {store.folder / OWN}" in caught.value.remedy


def test_damaged_own_keys_are_told_and_not_replaced(store: KeyStore):
    file = own_file(store)
    good = file.read_bytes()
    other = KeyStore(store.folder.parent / "other")
    damaged = [
        b"",
        good[:-40],
        good.replace(b"secret", b"Secret"),
        good.replace(key_text(store.own().public).encode(), key_text(other.own().public).encode()),
        b"x" * 100_000,
        b"\xff\xfe",
        good.replace(store.own().secret, b"short"),
    ]
    for content in damaged:
        file.write_bytes(content)
        with pytest.raises(KeyStoreError, match=r"node\.key"):
            store.own()
        assert file.read_bytes() == content


def test_a_link_or_a_folder_in_the_way_is_no_key(store: KeyStore):
    file = own_file(store)
    moved = file.rename(file.with_name("elsewhere"))
    file.symlink_to(moved)
    with pytest.raises(KeyStoreError, match="is a link"):
        store.own()
    file.unlink()
    file.mkdir(mode=0o700)
    with pytest.raises(KeyStoreError, match=r"no plain file|directory"):
        store.own()
    file.rmdir()
    os.mkfifo(file, 0o600)
    with pytest.raises(KeyStoreError, match="no plain file"):
        store.own()


def test_trusted_keys_are_found_by_name_and_by_key(store: KeyStore):
    mini, head = some_key(), some_key()
    assert store.trusted() == {}
    assert store.accept("mini-1", mini)
    assert store.accept(HEAD, head)
    assert not store.accept("mini-1", mini)
    assert list(store.trusted()) == [HEAD, "mini-1"]
    assert (store.name_of(mini), store.key_of(HEAD)) == ("mini-1", head)
    assert (store.name_of(some_key()), store.key_of("other")) == (None, None)
    assert store.remove("mini-1") == mini
    assert store.trusted() == {HEAD: head}
    assert mode_of(store.folder / TRUSTED) == 0o600


@pytest.mark.parametrize("name", ["", "-a", "Mini", "a_b", "a.b", "a b", "a" * 64, "ä", "a\n", "../a"])
def test_what_is_no_name_is_refused(store: KeyStore, name: str):
    with pytest.raises(NodeNameError):
        store.accept(name, some_key())
    assert store.trusted() == {}


def test_names_and_keys_are_unique_and_our_own_is_not_trusted(store: KeyStore):
    first = some_key()
    store.accept("one", first)
    with pytest.raises(KeyRefusedError, match="another key") as caught:
        store.accept("one", some_key())
    assert "ringwarden keys remove one" in caught.value.remedy
    with pytest.raises(KeyRefusedError, match="as one"):
        store.accept("two", first)
    with pytest.raises(KeyRefusedError, match="own key"):
        store.accept("self", store.own().public)
    with pytest.raises(KeyRefusedError, match="'three'"):
        store.remove("three")
    assert store.trusted() == {"one": first}


def test_there_is_a_limit(tmp_path: Path):
    store = KeyStore(tmp_path, max_trusted_keys=2)
    store.accept("one", some_key())
    store.accept("two", some_key())
    with pytest.raises(KeyRefusedError, match="2 keys"):
        store.accept("three", some_key())
    longest = KeyStore(tmp_path / "longest", max_trusted_keys=200)
    for number in range(200):
        longest.accept(f"{number:063}", some_key())
    assert len(KeyStore(tmp_path / "longest", max_trusted_keys=200).trusted()) == 200
    with pytest.raises(KeyStoreError, match="more than"):
        KeyStore(tmp_path / "longest", max_trusted_keys=2).trusted()


def test_damaged_trust_is_told_never_empty_and_never_overwritten(store: KeyStore):
    store.accept("one", some_key())
    file, key = store.folder / TRUSTED, key_text(some_key())
    for content in [
        b"",
        b"\n",
        b"one",
        b"\xff",
        b"one = 3",
        b"one = 'short'",
        f"One = '{key}'".encode(),
        f"one = '{key}'\none = '{key}'".encode(),
        f"one = '{key}'\ntwo = '{key}'".encode(),
        f"[one]\nkey = '{key}'".encode(),
        b"x = " + b"[" * 20_000,
        b"#" * 1_000_000,
    ]:
        file.write_bytes(content)
        for use in (store.trusted, lambda: store.accept("new", some_key()), lambda: store.remove("one")):
            with pytest.raises(KeyStoreError, match=r"trusted\.toml"):
                use()
        assert file.read_bytes() == content


def test_trust_that_others_may_write_is_refused(store: KeyStore):
    store.accept("one", some_key())
    (store.folder / TRUSTED).chmod(0o644)
    assert list(store.trusted()) == ["one"]
    (store.folder / TRUSTED).chmod(0o664)
    with pytest.raises(KeyStoreError, match="may write"):
        KeyStore(store.folder).trusted()


def test_another_process_change_is_seen(store: KeyStore):
    assert store.trusted() == {}
    beside = KeyStore(store.folder)
    for name in ("one", "two"):
        beside.accept(name, some_key())
        assert name in store.trusted()
    beside.remove("one")
    assert list(store.trusted()) == ["two"]
    (store.folder / TRUSTED).unlink()
    assert store.trusted() == {}


def test_a_failed_write_leaves_the_old_content(store: KeyStore, monkeypatch: pytest.MonkeyPatch):
    store.accept("one", some_key())

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(KeyStoreError, match="No space left"):
        store.accept("two", some_key())
    monkeypatch.undo()
    assert list(KeyStore(store.folder).trusted()) == ["one"]
    assert store.accept("two", some_key())


ACCEPT_MANY = """
import sys
from pathlib import Path
from supervisor.cluster.key_store import KeyStore
from transports.cluster.keys import generate_key_pair
store = KeyStore(Path(sys.argv[1]))
sys.stdin.readline()
print(store.own().public.decode(), flush=True)
for number in range(5):
    store.accept(f"node-{sys.argv[2]}-{number}", generate_key_pair().public)
"""


def test_processes_that_accept_at_once_lose_nothing_and_share_one_own_key(store: KeyStore):
    command = [sys.executable, "-c", ACCEPT_MANY, str(store.folder)]
    racers = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    outputs = [racer.communicate("go\n", timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert set(outputs) == {store.own().public.decode() + "\n"}
    assert set(store.trusted()) == {f"node-{racer}-{number}" for racer in range(4) for number in range(5)}
    assert sorted(path.name for path in store.folder.iterdir()) == ["keys.lock", OWN, TRUSTED]
