"""`ringwarden up`: read the settings, then hand over to the daemon."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.cli.errors import CommandError
from supervisor.cli.start_screen import start_display
from supervisor.exit_code import ExitCode
from supervisor.settings_resolution import load_settings
from supervisor.settings_sources import found_config
from supervisor.state_directory import StateDirectoryError, StateDirectoryLocked


def run_up(flags: Mapping[str, Any], config: Path | None) -> int:
    """Run the daemon until it is told to stop. Blocks; returns the exit code.

    Args:
        flags: Settings by field name, None where the flag was not given.
        config: The file to read; None means `ringwarden.toml` of the current folder, if there is one.
    """
    settings = load_settings(flags, os.environ, found_config(config))
    # Only now: `ringwarden --help` and a refused setting need no web server.
    from supervisor.cluster.head import HeadOvertaken  # noqa: PLC0415
    from supervisor.cluster.head_daemon import run_head  # noqa: PLC0415
    from supervisor.cluster.key_store import KeyStoreError  # noqa: PLC0415
    from supervisor.daemon import run_daemon  # noqa: PLC0415
    from supervisor.hostfile import HostfileError  # noqa: PLC0415
    from supervisor.model_error import ModelSourceError  # noqa: PLC0415
    from supervisor.tracing.setup import TracingUnavailable  # noqa: PLC0415
    from transports.cluster.bus_errors import BusCannotListen  # noqa: PLC0415
    from transports.http.listening import CannotListen  # noqa: PLC0415

    try:
        with start_display() as display:
            return run_head(settings, display) if settings.nodes else run_daemon(settings, display)
    except TracingUnavailable as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.CONFIG) from problem
    except BusCannotListen as problem:
        where = f"{settings.bus_host}:{settings.bus_port}"
        message = f"nodes cannot be listened for on {where}: {problem.strerror or problem}"
        remedy = "Another head may run there: stop it, or choose another --bus-port"
        raise CommandError(message, remedy, ExitCode.UNAVAILABLE) from problem
    except HeadOvertaken as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.UNAVAILABLE) from problem
    except HostfileError as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.BAD_DATA) from problem
    except KeyStoreError as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.CONFIG) from problem
    except CannotListen as problem:
        raise CommandError(problem.reason, problem.remedy, ExitCode.UNAVAILABLE) from problem
    except StateDirectoryLocked as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.UNAVAILABLE) from problem
    except StateDirectoryError as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.CONFIG) from problem
    except ModelSourceError as problem:
        message = f"the model {problem.model!r} cannot be used: {problem.reason}"
        raise CommandError(message, problem.remedy, ExitCode(problem.exit_code)) from problem
