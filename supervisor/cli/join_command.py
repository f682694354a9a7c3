"""`ringwarden join HEAD`: be a node of somebody else's cluster."""

import os
from pathlib import Path
from typing import Annotated

import typer

from supervisor.cli.errors import CommandError
from supervisor.cli.terminal import announce
from supervisor.exit_code import ExitCode
from supervisor.settings import DEFAULT_BUS_PORT
from supervisor.settings_resolution import load_settings
from supervisor.state_directory import StateDirectoryError, StateDirectoryLocked


def join(
    head: Annotated[
        str | None,
        typer.Argument(metavar="[HEAD[:PORT]]", help="Where the head listens for nodes; default: look for it."),
    ] = None,
    state_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="This node's state folder.")] = None,
    node_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="This node's address for the ring; default: its best one.")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings, as for `up`.")] = None,
) -> None:
    """Run ranks for a head, until stopped, refused, or left without a head for too long."""
    named = None if head is None else head_address(head)
    settings = load_settings({"state_dir": state_dir, "node_address": node_address}, os.environ, config)
    from supervisor.cluster.agent import JoinRefused  # noqa: PLC0415 - `--help` needs no ZeroMQ
    from supervisor.cluster.join import HeadKeyMissing, HeadNotFound, run_agent  # noqa: PLC0415
    from supervisor.cluster.key_store import KeyStoreError  # noqa: PLC0415
    from supervisor.cluster.outage_loop import HeadLost  # noqa: PLC0415

    try:
        raise typer.Exit(run_agent(settings, named, announce))
    except StateDirectoryLocked as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.UNAVAILABLE) from problem
    except (StateDirectoryError, KeyStoreError, HeadKeyMissing) as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.CONFIG) from problem
    except JoinRefused as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.UNAVAILABLE) from problem
    except HeadLost as problem:
        remedy = "See on the head that it runs (ringwarden ps), and that each side trusts the other (ringwarden keys)"
        raise CommandError(str(problem), remedy, ExitCode.TEMPORARY) from problem
    except HeadNotFound as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.UNAVAILABLE) from problem


def head_address(text: str) -> tuple[str, int]:
    """Split `HOST[:PORT]`; an IPv6 address with a port stands in brackets.

    Raises:
        CommandError: It is no address.
    """
    host, separator, port = text.rpartition(":")
    if not separator or "]" in port or (":" in host and not host.startswith("[")):
        host, port = text, str(DEFAULT_BUS_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_535:
        raise CommandError(
            f"{text!r} is no address of a head", "Write it as 192.168.1.10 or mini.local:52416", ExitCode.USAGE
        )
    return host, int(port)
