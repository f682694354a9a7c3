"""The words and flags of `ringwarden keys`."""

from pathlib import Path
from typing import Annotated

import typer

from supervisor.cli.command_groups import WholeSentences

keys = typer.Typer(
    name="keys",
    cls=WholeSentences,
    help="Show this machine's public key, and say whose keys it trusts. Without a word: show.",
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="What the cluster calls that machine; on a node, `head` for the head.")]
StateDir = Annotated[Path | None, typer.Option(metavar="FOLDER", help="The state folder that holds the keys.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@keys.callback(invoke_without_command=True)
def _keys(context: typer.Context, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        show(context, state_dir, as_json=as_json)


@keys.command()
def show(context: typer.Context, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Print this machine's public key, and what to type on the others. The first time makes the key."""
    from supervisor.cli.keys import show_own_key  # noqa: PLC0415 - each command loads only what it needs

    show_own_key(_folder(context, state_dir), as_json=_wants_json(context, as_json))


# A key in Z85 may begin with a dash.
@keys.command(context_settings={"ignore_unknown_options": True})
def accept(
    context: typer.Context,
    name: Name,
    key: Annotated[str, typer.Argument(help="The public key that `ringwarden keys` shows on that machine.")],
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Trust a machine's key. Works while Ringwarden runs."""
    from supervisor.cli.keys import accept_key  # noqa: PLC0415

    accept_key(_folder(context, state_dir), name, key, as_json=_wants_json(context, as_json))


@keys.command()
def remove(context: typer.Context, name: Name, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Trust a machine no longer."""
    from supervisor.cli.keys import remove_key  # noqa: PLC0415

    remove_key(_folder(context, state_dir), name, as_json=_wants_json(context, as_json))


@keys.command(name="list")
def list_trusted(context: typer.Context, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """List the machines whose keys are trusted."""
    from supervisor.cli.keys import list_keys  # noqa: PLC0415

    list_keys(_folder(context, state_dir), as_json=_wants_json(context, as_json))


def _folder(context: typer.Context, given: Path | None) -> Path:
    """The flag counts wherever it stands: `keys --state-dir F list` is `keys list --state-dir F`."""
    from supervisor.cli.reading import DaemonChoice  # noqa: PLC0415

    chosen = given if given is not None else _of_group(context, "state_dir")
    return DaemonChoice(None, chosen, None).settings().state_dir


def _wants_json(context: typer.Context, given: bool) -> bool:
    return given or bool(_of_group(context, "as_json"))


def _of_group(context: typer.Context, flag: str) -> Path | None:
    return None if context.parent is None else context.parent.params.get(flag)
