"""Settings: which source wins, and what each wrong value is told."""

import json
from pathlib import Path

import pytest

from supervisor.exit_code import ExitCode
from supervisor.settings import Settings
from supervisor.settings_resolution import load_settings, settings_schema
from supervisor.settings_sources import SettingsError

A_KEY = "a-key-of-more-than-sixteen-characters"


def refused(flags=None, environment=None, toml_path=None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags or {}, environment or {}, toml_path)
    return caught.value


def test_defaults_are_the_documented_ones():
    settings = load_settings({}, {}, None)
    assert (settings.model, settings.ranks, settings.backend) == ("tiny", 2, "ring")
    assert (settings.host, settings.port) == ("127.0.0.1", 52415)
    assert settings.state_dir.is_absolute()


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path):
    file = tmp_path / "ringwarden.toml"
    file.write_text("ranks = 4\nport = 1111\nmax_queued_tasks = 7\n")
    environment = {"RINGWARDEN_PORT": "2222", "RINGWARDEN_RANKS": "3", "PATH": "/bin"}
    settings = load_settings({"ranks": 1, "model": None}, environment, file)
    assert (settings.ranks, settings.port, settings.max_queued_tasks, settings.model) == (1, 2222, 7, "tiny")


@pytest.mark.parametrize("text", ["true", "1"])
def test_environment_spells_numbers_and_booleans_as_text(text: str):
    settings = load_settings({}, {"RINGWARDEN_INSECURE": text, "RINGWARDEN_VERDICT_SETTLE_S": "0.75"}, None)
    assert settings.insecure is True
    assert settings.verdict_settle_s == 0.75


def test_one_rank_needs_no_backend_unless_told_otherwise():
    assert load_settings({"ranks": 1}, {}, None).backend == "none"
    assert load_settings({"ranks": 1, "backend": "ring"}, {}, None).backend == "ring"
    assert refused({"ranks": 2, "backend": "none"}).exit_code == ExitCode.USAGE


def test_a_wrong_flag_names_itself_the_rule_and_the_remedy():
    error = refused({"port": 99_999})
    assert str(error) == "--port is 99999, which is wrong: expected `int` <= 65535."
    assert "any free one" in error.remedy
    assert error.exit_code == ExitCode.USAGE


def test_a_wrong_variable_and_a_wrong_file_are_configuration_errors(tmp_path: Path):
    error = refused(environment={"RINGWARDEN_RANKS": "two"})
    assert (error.source, error.key, error.exit_code) == ("RINGWARDEN_RANKS", "ranks", ExitCode.CONFIG)
    file = tmp_path / "ringwarden.toml"
    file.write_text('ranks = "2"\n')
    assert "expected `int`" in refused(toml_path=file).rule
    file.write_text("ranks = \n")
    assert "is not TOML" in refused(toml_path=file).rule
    assert "cannot be read" in refused(toml_path=tmp_path / "absent.toml").rule


def test_a_file_may_not_pass_text_where_a_number_belongs_but_the_environment_may(tmp_path: Path):
    file = tmp_path / "ringwarden.toml"
    file.write_text("restart_intensity = true\n")
    assert refused(toml_path=file).key == "restart_intensity"
    assert load_settings({}, {"RINGWARDEN_RESTART_INTENSITY": "2"}, None).restart_intensity == 2


def test_an_unknown_key_suggests_the_nearest(tmp_path: Path):
    file = tmp_path / "ringwarden.toml"
    file.write_text("rank = 2\n")
    assert refused(toml_path=file).remedy == "Did you mean ranks?"
    assert refused(environment={"RINGWARDEN_BAKEND": "ring"}).remedy == "Did you mean backend?"


@pytest.mark.parametrize("value", ["3d", "tensor ", ""])
def test_parallel_is_a_closed_set(value: str):
    assert refused({"parallel": value}).key == "parallel"


@pytest.mark.parametrize("key", Settings.__struct_fields__)
def test_a_wrong_value_of_any_setting_is_told_what_belongs_there(key: str):
    error = refused({key: object()})
    assert error.remedy.startswith("It is: ")
    assert ("(pipeline, tensor)" in error.remedy) == (key == "parallel")


@pytest.mark.parametrize("value", ["module", "module:", ":Class", "a b:C", "os.system('x'):C"])
def test_engine_must_be_module_and_class(value: str):
    assert refused({"engine": value}).key == "engine"


def test_an_open_host_needs_a_key_or_an_explicit_yes(tmp_path: Path):
    error = refused({"host": "0.0.0.0"})
    assert "no API key" in error.rule
    assert "--insecure" in error.remedy
    assert load_settings({"host": "0.0.0.0", "insecure": True}, {}, None).insecure
    assert load_settings({"host": "0.0.0.0"}, {"RINGWARDEN_API_KEY": A_KEY}, None).api_key == A_KEY
    assert load_settings({"host": "::1"}, {}, None).host == "::1"
    assert refused({"host": "my-mac.local"}).key == "host"


def test_an_api_key_file_is_read_and_a_missing_one_is_told(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(A_KEY + "\n")
    assert load_settings({"api_key_file": str(file)}, {}, None).api_key == A_KEY
    assert refused({"api_key_file": str(tmp_path / "absent")}).key == "api_key_file"


def test_the_key_is_never_shown(tmp_path: Path):
    assert A_KEY not in repr(load_settings({}, {"RINGWARDEN_API_KEY": A_KEY}, None))
    assert "short" not in str(refused(environment={"RINGWARDEN_API_KEY": "short"}))
    file = tmp_path / "key"
    file.write_text("short")
    assert "short" not in refused({"api_key_file": str(file)}).rule.split("which is wrong")[0]


@pytest.mark.parametrize("text", ["null", "true", "12345678901234567890"])
def test_a_key_that_looks_like_another_type_stays_text(text: str):
    padded = text.ljust(16, "0")
    assert load_settings({}, {"RINGWARDEN_API_KEY": padded}, None).api_key == padded
    assert load_settings({}, {"RINGWARDEN_MODEL": text}, None).model == text


def test_backoff_limits_must_agree():
    assert refused(environment={"RINGWARDEN_BACKOFF_CAP_S": "0.1"}).key == "backoff_cap_s"


def test_every_setting_is_described_in_the_schema():
    properties = settings_schema()["$defs"]["Settings"]["properties"]
    assert set(properties) == set(Settings.__struct_fields__)
    assert all("description" in json.dumps(entry) for entry in properties.values())
