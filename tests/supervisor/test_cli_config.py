"""`ringwarden config`: every problem at once, every value with its source, and no secret."""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from supervisor.cli.main import main
from supervisor.settings import Settings
from supervisor.settings_resolution import settings_schema

A_KEY = "a-key-of-more-than-sixteen-characters"


class Outcome(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Type `ringwarden config ...` in `tmp_path`, with no variables but the given ones."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RINGWARDEN_")]:
        monkeypatch.delenv(name)

    def typed(*arguments: str, **environment: str) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["ringwarden", "config", *arguments])
            for name, value in environment.items():
                patch.setenv(name, value)
            return Outcome(int(main()), *capsys.readouterr())

    return typed


def test_check_names_every_problem_with_place_rule_and_remedy(config, tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text('rank = 2\nport = 99999\nmodel = "tiny"\n[stall]\nfloor_s = 1\n')
    outcome = config("check", "mine.toml", RINGWARDEN_PARALLEL="3d", RINGWARDEN_API_KEY="short")
    assert (outcome.returncode, outcome.stderr) == (78, "")
    lines = outcome.stdout.splitlines()
    assert lines[0] == f"{file}: rank is not a setting. Did you mean ranks?"
    assert lines[1].startswith(f"{file}: port is 99999, which is wrong: expected `int` <= 65535. It is: the API's port")
    assert lines[2].startswith(f"{file}: stall is not a setting.")
    assert lines[3].startswith("RINGWARDEN_API_KEY is (hidden), which is wrong")
    assert lines[4].startswith("RINGWARDEN_PARALLEL is '3d', which is wrong")
    assert len(lines) == 5
    told = json.loads(config("check", "mine.toml", "--json").stdout)
    assert (told["file"], told["ok"], len(told["problems"])) == (str(file), False, 3)
    assert told["problems"][0] == {
        "source": str(file),
        "key": "rank",
        "rule": "is not a setting",
        "remedy": "Did you mean ranks?",
    }


def test_check_names_every_pair_that_does_not_fit(config, tmp_path: Path):
    (tmp_path / "ringwarden.toml").write_text('backend = "none"\nbackoff_cap_s = 0.1\nhost = "0.0.0.0"\n')
    outcome = config("check")
    assert outcome.returncode == 78
    keys = [line.partition(" is ")[0].rpartition(": ")[2] for line in outcome.stdout.splitlines()]
    assert keys == ["backend", "backoff_cap_s", "host"]


@pytest.mark.parametrize("content", [b"ranks = \n", b"\xff\xfe", None])
def test_check_of_a_file_that_cannot_be_read_still_looks_at_the_variables(
    config, tmp_path: Path, content: bytes | None
):
    if content is not None:
        (tmp_path / "x.toml").write_bytes(content)
    told = json.loads(config("check", "x.toml", "--json", RINGWARDEN_PORT="many").stdout)
    assert [problem["key"] for problem in told["problems"]] == ["the file", "port"]


def test_check_of_what_is_good_exits_0(config, tmp_path: Path):
    assert config("check").stdout == "no ringwarden.toml here; the variables are good\n"
    (tmp_path / "ringwarden.toml").write_text("ranks = 1\n")
    outcome = config("check")
    assert (outcome.returncode, outcome.stdout) == (0, f"{tmp_path}/ringwarden.toml and the variables are good\n")
    assert json.loads(config("check", "--json").stdout)["ok"] is True


def test_show_tells_where_each_value_comes_from(config, tmp_path: Path):
    file = tmp_path / "ringwarden.toml"
    file.write_text("ranks = 4\nport = 1\nmax_queued_tasks = 7\n")
    variables = {"RINGWARDEN_PORT": "2", "RINGWARDEN_RANKS": "3"}
    told = json.loads(config("show", "--ranks", "1", "--json", **variables).stdout)
    assert set(told) == set(Settings.__struct_fields__)
    assert told["ranks"] == {"value": 1, "origin": "flag", "source": "--ranks"}
    assert told["port"] == {"value": 2, "origin": "variable", "source": "RINGWARDEN_PORT"}
    assert told["max_queued_tasks"] == {"value": 7, "origin": "file", "source": str(file)}
    assert told["model"] == {"value": "tiny", "origin": "default", "source": None}
    assert told["backend"] == {"value": "none", "origin": "default", "source": None}
    text = config("show", "--ranks", "1", **variables).stdout
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert rows["port"] == ["2", "variable", "RINGWARDEN_PORT"]
    assert rows["api_key"] == ["-", "default"]


def test_show_hides_the_key_wherever_it_comes_from(config, tmp_path: Path):
    (tmp_path / "key").write_text(A_KEY)
    (tmp_path / "ringwarden.toml").write_text(f'api_key = "{A_KEY}"\n')
    for arguments, variables in (
        (["--api-key-file", "key"], {}),
        ([], {"RINGWARDEN_API_KEY": A_KEY}),
        ([], {}),
    ):
        for form in ([], ["--json"]):
            outcome = config("show", *arguments, *form, **variables)
            assert outcome.returncode == 0, outcome
            assert A_KEY not in outcome.stdout
    told = json.loads(config("show", "--json", RINGWARDEN_API_KEY=A_KEY).stdout)["api_key"]
    assert (told["origin"], told["source"]) == ("variable", "RINGWARDEN_API_KEY")


def test_show_of_what_is_wrong_is_refused(config):
    outcome = config("show", "--port", "99999")
    assert (outcome.returncode, outcome.stdout) == (64, "")
    assert "--port is 99999" in outcome.stderr
    assert config("show", RINGWARDEN_PORT="x").returncode == 78
    assert config("show", "--nonsense").returncode == 64


def test_schema_is_the_settings_schema(config):
    outcome = config("schema")
    assert outcome.returncode == 0
    assert json.loads(outcome.stdout) == settings_schema()
