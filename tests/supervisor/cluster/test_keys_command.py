"""`ringwarden keys` as a person or a script meets it: a real process, real output, real exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.keys import suggested_name
from supervisor.cluster.key_store import KeyStore
from transports.cluster.keys import fingerprint, generate_key_pair, key_text

COMMAND = [sys.executable, "-m", "supervisor.cli", "keys"]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "RINGWARDEN_STATE_DIR": str(folder)}


def keys(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=environment(folder), check=False
    )


def json_of(folder: Path, *arguments: str) -> Any:
    outcome = keys(folder, *arguments, "--json")
    assert outcome.returncode == 0, outcome
    return json.loads(outcome.stdout)


def assert_complaint(outcome: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    assert outcome.returncode == exit_code, outcome
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    assert "Traceback" not in outcome.stderr
    for word in words:
        assert word in outcome.stderr


def some_key() -> str:
    return key_text(generate_key_pair().public)


def test_what_is_shown_can_be_typed_on_the_other_machine(tmp_path: Path):
    head, node = tmp_path / "head", tmp_path / "node"
    on_head = keys(head)
    assert on_head.returncode == 0
    typed = next(line for line in on_head.stdout.splitlines() if "keys accept head" in line).split()
    assert typed[:2] == ["ringwarden", "keys"]
    accepted = keys(node, *typed[2:])
    assert accepted.returncode == 0
    own = KeyStore(head).own()
    assert fingerprint(own.public) in accepted.stdout
    assert KeyStore(node).trusted() == {"head": own.public}


def test_no_word_shows_a_secret(tmp_path: Path):
    key = some_key()
    shown = [
        keys(tmp_path, *arguments)
        for arguments in (
            [],
            ["show"],
            ["--json"],
            ["accept", "one", key],
            ["list"],
            ["list", "--json"],
            ["remove", "one"],
        )
    ]
    secret = KeyStore(tmp_path).own().secret.decode()
    assert [outcome.returncode for outcome in shown] == [0] * len(shown)
    assert not any(secret in outcome.stdout + outcome.stderr for outcome in shown)


def test_a_key_is_accepted_listed_and_removed(tmp_path: Path):
    key = some_key()
    assert keys(tmp_path, "list").stdout == "no keys are trusted\n"
    assert json_of(tmp_path, "accept", "mini-1", key)["changed"]
    assert not json_of(tmp_path, "accept", "mini-1", key)["changed"]
    [listed] = json_of(tmp_path, "list")
    assert (listed["name"], listed["public_key"]) == ("mini-1", key)
    assert listed["fingerprint"] in keys(tmp_path, "list").stdout
    assert json_of(tmp_path, "remove", "mini-1")["public_key"] == key
    assert json_of(tmp_path, "list") == []


def test_a_key_may_begin_with_a_dash(tmp_path: Path):
    assert json_of(tmp_path, "accept", "mini-1", "-" + "0" * 39)["changed"]
    assert keys(tmp_path, "accept", "mini-1", some_key(), "--no-such-flag").returncode == 64


def test_flags_count_before_and_after_the_word(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    key = some_key()
    assert keys(tmp_path, "--state-dir", str(elsewhere), "accept", "one", key).returncode == 0
    assert [row["name"] for row in json_of(tmp_path, "list", "--state-dir", str(elsewhere))] == ["one"]
    assert json.loads(keys(tmp_path, "--json", "list").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["nonsense"], 64, ["nonsense"]),
        (["accept", "one"], 64, ["key"]),
        (["accept", "One", "0" * 64], 64, ["'One'", "mini-1"]),
        (["accept", "one", "0" * 63], 65, ["64 hexadecimal digits", "63 letters", "ringwarden keys"]),
        (["accept", "one", "x" * 40 + "-secret"], 65, ["64 hexadecimal digits"]),
        (["remove", "one"], 65, ["'one'"]),
    ],
)
def test_what_cannot_be_done_is_told(tmp_path: Path, arguments: list[str], exit_code: int, words: list[str]):
    assert_complaint(keys(tmp_path, *arguments), exit_code, *words)
    assert json_of(tmp_path, "list") == []


def test_a_name_keeps_its_key_until_it_is_removed(tmp_path: Path):
    first = some_key()
    assert keys(tmp_path, "accept", "one", first).returncode == 0
    assert_complaint(keys(tmp_path, "accept", "one", some_key()), 65, "ringwarden keys remove one")
    assert_complaint(keys(tmp_path, "accept", "two", first), 65, "as one")
    own = key_text(KeyStore(tmp_path).own().public)
    assert_complaint(keys(tmp_path, "accept", "self", own), 65, "own key")
    assert [row["public_key"] for row in json_of(tmp_path, "list")] == [first]


def test_a_store_that_cannot_be_used_exits_78(tmp_path: Path):
    KeyStore(tmp_path).own()
    (tmp_path / "node.key").chmod(0o644)
    assert_complaint(keys(tmp_path), 78, "node.key", "chmod 600")
    (tmp_path / "trusted.toml").write_text("damaged")
    assert_complaint(keys(tmp_path, "list"), 78, "trusted.toml")
    file = tmp_path / "a file"
    file.write_text("")
    assert_complaint(keys(file), 78, "a file")


def test_keys_that_are_accepted_at_once_are_all_kept(tmp_path: Path):
    accepted = {f"node-{number}": some_key() for number in range(6)}
    racers = [
        subprocess.Popen([*COMMAND, "accept", name, key], stdout=subprocess.DEVNULL, env=environment(tmp_path))
        for name, key in accepted.items()
    ]
    assert [racer.wait(60) for racer in racers] == [0] * len(racers)
    assert {row["name"]: row["public_key"] for row in json_of(tmp_path, "list")} == accepted


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("Anns-Mac-mini.local", "anns-mac-mini"),
        ("mini_1", "mini-1"),
        ("HEAD", "node-1"),
        ("", "node-1"),
        ("---", "node-1"),
        ("x" * 100, "x" * 63),
        ("Büro", "b-ro"),
    ],
)
def test_a_hostname_suggests_a_name_that_is_accepted(tmp_path: Path, hostname: str, name: str):
    assert suggested_name(hostname) == name
    assert KeyStore(tmp_path).accept(name, generate_key_pair().public)
