"""The `ringwarden` command: its words, its flags, and one way to end for every error."""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from supervisor.cli.command_groups import RingwardenCommands
from supervisor.cli.completions import incident_or_request, open_request
from supervisor.cli.config_command import config
from supervisor.cli.diagnose_command import diagnose
from supervisor.cli.doctor_command import DOCTOR_TAKES_FLAGS_OF_UP, doctor
from supervisor.cli.errors import CommandError
from supervisor.cli.events_command import events
from supervisor.cli.join_command import join
from supervisor.cli.keys_command import keys
from supervisor.cli.logs_command import logs
from supervisor.cli.run_command import COMMAND_TAKES_THE_REST, run
from supervisor.cli.service_command import service
from supervisor.cli.top_command import top
from supervisor.exit_code import ExitCode
from supervisor.settings_sources import SettingsError
from supervisor.version import version as installed_version

PROGRAM = "ringwarden"
_USAGE_OF_TYPER = 2

app = typer.Typer(
    name=PROGRAM,
    cls=RingwardenCommands,
    help="Keeps a model that runs on several ranks serving, and says why when it does not.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Url = Annotated[str | None, typer.Option(metavar="URL", help="The daemon's address; default: the one running here.")]
StateDir = Annotated[Path | None, typer.Option(metavar="FOLDER", help="The daemon's state folder.")]
ApiKeyFile = Annotated[Path | None, typer.Option(metavar="FILE", help="A file that holds the daemon's API key.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ringwarden {installed_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _ringwarden(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


@app.command()
def up(  # noqa: PLR0917 - typer reads the flags from the signature
    model: Annotated[
        str | None, typer.Option(help="`tiny`, a model folder, or a Hugging Face repository id. Default: tiny.")
    ] = None,
    ranks: Annotated[int | None, typer.Option(help="How many runners share the model. Default: 2.")] = None,
    parallel: Annotated[str | None, typer.Option(metavar="tensor|pipeline", help="How it is split.")] = None,
    backend: Annotated[str | None, typer.Option(metavar="none|ring|jaccl|mpi|nccl", help="How ranks talk.")] = None,
    host: Annotated[str | None, typer.Option(help="Where the API listens. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="The API's port; 0 takes a free one. Default: 52415.")] = None,
    engine: Annotated[str | None, typer.Option(metavar="MODULE:CLASS", help="What computes.")] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Let everybody who can reach the host use the model.")
    ] = None,
    allowed_hosts: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Further names by which clients may call this host.")
    ] = None,
    nodes: Annotated[
        str | None, typer.Option(metavar="NODE,...|auto", help="Share the model over these nodes; `head` is this one.")
    ] = None,
    bus_host: Annotated[str | None, typer.Option(help="Where nodes reach this head. Default: 127.0.0.1.")] = None,
    bus_port: Annotated[int | None, typer.Option(help="The same; events use the next port. Default: 52416.")] = None,
    hostfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A hostfile of mlx.launch: which addresses, in which order.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="text|json", help="The log on stderr: for people, or for machines.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings; default: ringwarden.toml, if there is one here.")
    ] = None,
    state_dir: StateDir = None,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Start the runners and serve the API until stopped. Every other setting: RINGWARDEN_* or ringwarden.toml."""
    from supervisor.cli.up import run_up  # noqa: PLC0415 - each command loads only what it needs

    flags = {
        "model": model,
        "ranks": ranks,
        "parallel": parallel,
        "backend": backend,
        "host": host,
        "port": port,
        "engine": engine,
        "insecure": insecure,
        "allowed_hosts": allowed_hosts,
        "nodes": nodes,
        "bus_host": bus_host,
        "bus_port": bus_port,
        "hostfile": hostfile,
        "log_format": log_format,
        "state_dir": state_dir,
        "api_key_file": api_key_file,
    }
    raise typer.Exit(run_up(flags, config))


@app.command()
def ps(url: Url = None, state_dir: StateDir = None, api_key_file: ApiKeyFile = None, as_json: AsJson = False) -> None:
    """Show the group and its ranks."""
    from supervisor.cli.reading import DaemonChoice, show_cluster  # noqa: PLC0415

    show_cluster(DaemonChoice(url, state_dir, api_key_file), as_json=as_json)


@app.command()
def requests(
    url: Url = None, state_dir: StateDir = None, api_key_file: ApiKeyFile = None, as_json: AsJson = False
) -> None:
    """List the requests that are open: who waits at which place, and how far the others have come."""
    from supervisor.cli.open_requests import show_requests  # noqa: PLC0415
    from supervisor.cli.reading import DaemonChoice  # noqa: PLC0415

    show_requests(DaemonChoice(url, state_dir, api_key_file), as_json=as_json)


@app.command()
def cancel(
    request: Annotated[
        str, typer.Argument(metavar="ID", help="A request's id, as `requests` lists it.", autocompletion=open_request)
    ],
    url: Url = None,
    state_dir: StateDir = None,
    api_key_file: ApiKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """End one open request; its client gets an error that says so."""
    from supervisor.cli.open_requests import cancel_request  # noqa: PLC0415
    from supervisor.cli.reading import DaemonChoice  # noqa: PLC0415

    cancel_request(DaemonChoice(url, state_dir, api_key_file), request, as_json=as_json)


@app.command()
def incidents(
    url: Url = None, state_dir: StateDir = None, api_key_file: ApiKeyFile = None, as_json: AsJson = False
) -> None:
    """List what went wrong, newest first. Works without a daemon too."""
    from supervisor.cli.reading import DaemonChoice, show_incidents  # noqa: PLC0415

    show_incidents(DaemonChoice(url, state_dir, api_key_file), as_json=as_json)


@app.command()
def why(  # noqa: PLR0917 - typer reads the flags from the signature
    incident: Annotated[
        str | None,
        typer.Argument(
            metavar="[INCIDENT|REQUEST]",
            help="An incident or request id; default: the newest.",
            autocompletion=incident_or_request,
        ),
    ] = None,
    file: Annotated[str | None, typer.Argument(metavar="[FILE.zip]", help="Where --bundle writes.")] = None,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Write all there is about it into one zip, without secrets.")
    ] = False,
    url: Url = None,
    state_dir: StateDir = None,
    api_key_file: ApiKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell one incident or request: the sentence, the evidence, what to do, what was done."""
    from supervisor.cli.reading import DaemonChoice  # noqa: PLC0415
    from supervisor.cli.why import show_story, write_bundle  # noqa: PLC0415

    choice = DaemonChoice(url, state_dir, api_key_file)
    if bundle:
        write_bundle(choice, incident, file, as_json=as_json)
    elif file is not None:
        raise CommandError(f"{file} is one argument too many", "Add --bundle to write a file", ExitCode.USAGE)
    else:
        show_story(choice, incident, as_json=as_json)


app.command(context_settings=COMMAND_TAKES_THE_REST)(run)


app.command()(join)
app.command()(diagnose)
app.command()(logs)
app.command()(top)
app.command(context_settings=DOCTOR_TAKES_FLAGS_OF_UP)(doctor)
app.command()(events)
app.add_typer(keys)
app.add_typer(config)
app.add_typer(service)


@app.command()
def demo(as_json: AsJson = False) -> None:
    """Kill a rank in the middle of an answer, and show what a person gets."""
    from supervisor.cli.demo import run_demo  # noqa: PLC0415

    raise typer.Exit(run_demo(as_json=as_json))


def main() -> int:
    """Run the command of `sys.argv`; return its exit code. Nothing ends in a traceback."""
    from supervisor.cli.terminal import complain  # noqa: PLC0415

    try:
        # Named here, so that `python -m` and a path give the same help and the same completion.
        outcome = app(prog_name=PROGRAM, standalone_mode=False)
    except CommandError as problem:
        complain(str(problem), problem.remedy)
        return problem.exit_code
    except SettingsError as problem:
        complain(str(problem), problem.remedy)
        return problem.exit_code
    except TyperException as problem:
        complain(problem.format_message(), "See: ringwarden --help")
        return ExitCode.USAGE if problem.exit_code == _USAGE_OF_TYPER else ExitCode.SOFTWARE
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output went away, which is their right. Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as problem:  # noqa: BLE001 - the last line of defence: a person gets a line, not a stack
        place = traceback.extract_tb(problem.__traceback__)[-1]
        complain(
            f"a fault of ringwarden itself: {type(problem).__name__}: {problem}",
            f"Please report it, with this place: {Path(place.filename).name}:{place.lineno}",
        )
        return ExitCode.SOFTWARE
    return outcome if isinstance(outcome, int) else ExitCode.OK
