"""docs/cli.md says of every command what the command says of itself; and the help fits into 80 columns."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from supervisor.cli.command_groups import SECTIONS
from supervisor.cli.examples import examples
from supervisor.cli.main import app

ROOT = typer.main.get_command(app)
PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
_OPTION = re.compile(r"`(--?[a-z][a-z-]*)")


def found(group: Any, above: str = "") -> dict[str, Any]:
    commands: dict[str, Any] = {}
    for name, command in group.commands.items():
        commands[f"{above}{name}"] = command
        if isinstance(command, TyperGroup):
            commands |= found(command, f"{above}{name} ")
    return commands


COMMANDS = found(ROOT)


def described(name: str) -> str:
    """The text under a command's heading, up to the next one."""
    parts = re.split(r"^#{2,4} (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True)).get(f"`ringwarden {name}`", "")


def test_the_page_has_every_command_and_no_other():
    assert set(re.findall(r"^#{3,4} `ringwarden (.+)`$", PAGE, flags=re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_every_flag_of_a_command_and_no_other(name: str):
    command, text = COMMANDS[name], described(name)
    assert text.strip(), f"docs/cli.md has nothing under `ringwarden {name}`"
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
    if isinstance(command, TyperGroup):
        return  # The flags of a group are those of its commands, wherever they stand.
    in_tables = "\n".join(
        line.split(" | ")[0] if line.startswith("|") else line
        for line in text.splitlines()
        if line.startswith(("|", "Also: "))
    )
    assert set(_OPTION.findall(in_tables)) == options - {"--help"}


def test_every_command_has_its_place_in_the_help():
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(ROOT.commands)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_into_80_columns_and_is_whole(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    command: Any = COMMANDS[name] if name else ROOT
    with command.make_context(name or "ringwarden", [], resilient_parsing=True) as context:
        text = command.get_help(context)
    assert max(map(len, text.splitlines())) <= 80
    assert "..." not in text.partition("Commands:")[2].partition("Examples:")[0], "a sentence was cut"
    assert "\x1b" not in text
    if name in COMMANDS and not isinstance(command, TyperGroup):
        undescribed = [parameter.opts for parameter in command.params if not parameter.help]
        assert undescribed == []


@pytest.mark.parametrize("name", [name for name in COMMANDS if " " not in name])
def test_examples_name_their_command_and_flags_that_exist(name: str):
    for line in (examples(name) or "").splitlines()[2:]:
        _, _, words = line.strip().partition("ringwarden ")
        ours = words.partition(" -- ")[0].partition(" | ")[0]
        inner = next((one for one in (ours.split()[:2], ours.split()[:1]) if " ".join(one) in COMMANDS), [name])
        takes = {option for parameter in COMMANDS[" ".join(inner)].params for option in parameter.opts}
        if name in ("service", "config", "doctor"):
            takes |= {option for parameter in COMMANDS["up"].params for option in parameter.opts}
        assert inner[0] == name
        assert len(line) <= 78
        assert {word for word in ours.split() if word.startswith("--")} <= takes
