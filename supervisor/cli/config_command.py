"""The words and flags of `ringwarden config`."""

from pathlib import Path
from typing import Annotated

import typer

from supervisor.cli.command_flags import TAKES_OTHER_FLAGS, parsed_flags
from supervisor.cli.command_groups import WholeSentences
from supervisor.settings_sources import found_config

config = typer.Typer(
    name="config", cls=WholeSentences, help="Look at settings before a daemon uses them.", rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@config.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Default: ringwarden.toml, if there is one here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name all that is wrong with a settings file and with RINGWARDEN_* variables. Exit code 78 when something is."""
    from supervisor.cli.config import check_settings  # noqa: PLC0415 - each command loads only what it needs

    raise typer.Exit(check_settings(found_config(file), as_json=as_json))


@config.command(context_settings=TAKES_OTHER_FLAGS)
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every setting that `ringwarden up` would use, and where it comes from. Takes the flags of `up`."""
    from supervisor.cli.config import show_settings  # noqa: PLC0415

    flags = parsed_flags(context, "up", context.args)
    show_settings(flags, found_config(flags.pop("config")), as_json=as_json)


@config.command()
def schema(
    as_json: Annotated[bool, typer.Option("--json", help="Changes nothing: a schema is JSON.")] = False,
) -> None:
    """Print the JSON schema of all settings, for editors and checks."""
    from supervisor.cli.reading import print_json  # noqa: PLC0415
    from supervisor.settings_resolution import settings_schema  # noqa: PLC0415

    del as_json
    print_json(settings_schema())
