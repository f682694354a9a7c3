"""The state folder, its keys and journal on a real disk; and what --fix changes of them, once."""

import os
from pathlib import Path

import pytest

from diagnostics.incident import Incident
from supervisor.certificate import OUR_SYSTEM
from supervisor.cluster.key_store import KeyStore
from supervisor.doctor import memory, mlx, running
from supervisor.doctor.finding import CheckState, Finding
from supervisor.doctor.keys import judge_keys, read_keys
from supervisor.doctor.lock import read_lock
from supervisor.doctor.running import judge_incident, read_incident
from supervisor.doctor.state_folder import (
    judge_folder,
    judge_journal,
    read_folder,
    read_journal,
    tighten_folder,
)
from supervisor.doctor.visit import Order, Visit
from supervisor.journal.database import open_for_writing
from supervisor.journal.rows import row_of
from supervisor.settings import Settings
from supervisor.settings_resolution import resolve_settings
from supervisor.state_directory import StateDirectory
from tests.transports.http.scripted_gateway import INCIDENT
from transports.cluster.keys import generate_key_pair


def judged_keys(state: Path, **settings: object) -> dict[str, Finding]:
    found = judge_keys(read_keys(Settings(state_dir=state, **settings)))  # pyright: ignore[reportArgumentType]
    return {finding.check: finding for finding in found}


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path):
    finding = judge_folder(read_folder(tmp_path / "a" / "b"))
    assert finding.state is CheckState.OK
    assert str(tmp_path) in finding.evidence[0]
    assert tighten_folder(tmp_path / "a" / "b") == ()
    assert not (tmp_path / "a").exists()


def test_an_open_folder_is_a_warning_until_it_is_tightened_once(tmp_path: Path):
    tmp_path.chmod(0o755)
    assert judge_folder(read_folder(tmp_path)).state is CheckState.WARNING
    assert len(tighten_folder(tmp_path)) == 1
    assert judge_folder(read_folder(tmp_path)).state is CheckState.OK
    assert tighten_folder(tmp_path) == ()


def test_a_file_in_its_place_is_a_failure(tmp_path: Path):
    file = tmp_path / "state"
    file.touch()
    finding = judge_folder(read_folder(file))
    assert (finding.state, finding.exit_code) == (CheckState.FAILED, 78)
    assert tighten_folder(file) == ()
    below = judge_folder(read_folder(file / "deeper"))
    assert (below.state, below.exit_code) == (CheckState.FAILED, 78)


def test_the_journal_absent_good_and_broken(tmp_path: Path):
    path = tmp_path / "journal.db"
    assert judge_journal(read_journal(path)).state is CheckState.SKIPPED
    open_for_writing(path).connection.close()
    good = judge_journal(read_journal(path))
    assert good.state is CheckState.OK
    assert "0 incidents" in good.evidence[0]
    path.write_bytes(b"not a database" * 1000)
    assert judge_journal(read_journal(path)).state is CheckState.FAILED


@pytest.mark.parametrize(
    "damage", ['UPDATE incidents SET document = \'{"incident_id": "inc\'', "DROP TABLE incidents"], ids=["row", "table"]
)
def test_a_journal_that_opens_and_cannot_be_read_is_told_by_each_who_reads_it(tmp_path: Path, damage: str):
    connection = open_for_writing(tmp_path / "journal.db").connection
    row = row_of(INCIDENT)
    connection.execute(
        f"INSERT INTO incidents ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
    )
    assert isinstance(read_incident(Settings(state_dir=tmp_path)), Incident)
    connection.execute(damage)
    connection.close()
    assert judge_journal(read_journal(tmp_path / "journal.db")).state is CheckState.FAILED
    assert judge_incident(read_incident(Settings(state_dir=tmp_path)), 0.0).state is CheckState.SKIPPED


def test_a_check_that_breaks_takes_no_other_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def breaks(*given: object, **named: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(running, "judge_incident", breaks)
    monkeypatch.setattr(memory, "judge_memory", breaks)
    monkeypatch.setattr(mlx, "read_mlx", breaks)
    order = Order(resolve_settings({"state_dir": tmp_path}, {}, None), None, {}, OUR_SYSTEM)
    found = list(Visit(order).findings())
    broken = [finding.check for finding in found if "no such luck" in finding.diagnosis]
    assert broken == ["mlx", "metal", "mlx-lm", "memory", "last-incident"]
    assert len({finding.check for finding in found}) == len(found)
    assert {"gpu-memory", "daemon", "version"} <= {finding.check for finding in found}


def test_the_lock_tells_whether_a_daemon_runs(tmp_path: Path):
    state = StateDirectory(tmp_path)
    assert not read_lock(state.lock_file).held
    assert not state.lock_file.exists()
    with state.lock():
        facts = read_lock(state.lock_file)
        assert (facts.held, facts.pid) == (True, os.getpid())
    assert not read_lock(state.lock_file).held
    # Looking has not taken it.
    with state.lock():
        pass


def test_looking_at_keys_makes_none(tmp_path: Path):
    found = judged_keys(tmp_path)
    assert {finding.state for finding in found.values()} == {CheckState.SKIPPED}
    assert list(tmp_path.iterdir()) == []


def test_a_head_has_to_trust_the_nodes_that_it_names(tmp_path: Path):
    store = KeyStore(tmp_path)
    store.own()
    store.accept("mini-1", generate_key_pair().public)
    assert judged_keys(tmp_path, nodes="head,mini-1")["keys-trusted"].state is CheckState.OK
    finding = judged_keys(tmp_path, nodes="head,mini-1,mini-2")["keys-trusted"]
    assert (finding.state, finding.exit_code) == (CheckState.FAILED, 78)
    assert "mini-2" in finding.remedy


def test_a_key_that_others_may_read_fails_until_it_is_tightened_once(tmp_path: Path):
    store = KeyStore(tmp_path)
    store.own()
    store.accept("mini-1", generate_key_pair().public)
    (tmp_path / "node.key").chmod(0o644)
    (tmp_path / "trusted.toml").chmod(0o666)
    found = judged_keys(tmp_path)
    assert {found["key-own"].state, found["keys-trusted"].state} == {CheckState.FAILED}
    assert found["key-own"].exit_code == 78
    assert len(store.tighten()) == 2
    found = judged_keys(tmp_path)
    assert {found["key-own"].state, found["keys-trusted"].state} == {CheckState.OK}
    assert store.tighten() == ()
    assert (tmp_path / "trusted.toml").stat().st_mode & 0o777 == 0o644


def test_a_link_in_the_place_of_a_key_is_never_followed(tmp_path: Path):
    target = tmp_path / "other"
    target.touch()
    target.chmod(0o644)
    state = tmp_path / "state"
    state.mkdir()
    (state / "node.key").symlink_to(target)
    assert judged_keys(state)["key-own"].state is CheckState.FAILED
    with pytest.raises(Exception, match="is a link"):
        KeyStore(state).tighten()
    assert target.stat().st_mode & 0o777 == 0o644


def test_an_api_key_that_others_may_read_is_a_warning(tmp_path: Path):
    file = tmp_path / "api.key"
    file.write_text("k" * 20)
    file.chmod(0o644)
    assert judged_keys(tmp_path, api_key_file=file)["key-api"].state is CheckState.WARNING
    file.chmod(0o600)
    assert judged_keys(tmp_path, api_key_file=file)["key-api"].state is CheckState.OK
