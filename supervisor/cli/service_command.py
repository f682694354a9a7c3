"""The words and flags of `ringwarden service`."""

from typing import Annotated

import typer

from supervisor.cli.command_flags import TAKES_OTHER_FLAGS, parsed_flags
from supervisor.cli.command_groups import WholeSentences

service = typer.Typer(
    name="service",
    cls=WholeSentences,
    help="Start Ringwarden at login and again when it fails: launchd on macOS, systemd on Linux.",
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@service.command(context_settings=TAKES_OTHER_FLAGS)
def install(  # noqa: PLR0917 - typer reads the flags from the signature
    context: typer.Context,
    node: Annotated[
        str | None,
        typer.Option(metavar="HEAD[:PORT]|auto", help="Be a node of this head; auto looks for it. Default: `up`."),
    ] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Show the file; write and start nothing.")] = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Write the file; start nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is not ours.")] = False,
    as_json: AsJson = False,
) -> None:
    """Install the service of this user, and start it. Takes the flags of `up`, with --node those of `join`.

    Relative paths are meant from the current folder, where the service will run.
    """
    from supervisor.cli.service import InstallRequest, install_service  # noqa: PLC0415 - each loads what it needs

    flags = parsed_flags(context, "up" if node is None else "join", context.args)
    install_service(
        InstallRequest(node, flags, print_only=print_only, start=not no_start, force=force), as_json=as_json
    )


@service.command()
def uninstall(
    no_stop: Annotated[bool, typer.Option("--no-stop", help="Remove the file; stop nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the service and remove its file. Models, logs, keys and incidents stay."""
    from supervisor.cli.service import uninstall_service  # noqa: PLC0415

    uninstall_service(stop=not no_stop, as_json=as_json)


@service.command()
def status(as_json: AsJson = False) -> None:
    """Tell whether the service is installed and running, and where its log is. Exit code 69 when it does not run."""
    from supervisor.cli.service import show_status  # noqa: PLC0415

    raise typer.Exit(show_status(as_json=as_json))
