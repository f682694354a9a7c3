"""What `ringwarden service` does, whichever service manager there is."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from supervisor.cli.command_flags import written_flags
from supervisor.cli.errors import CommandError
from supervisor.cli.join_command import head_address
from supervisor.cli.reading import print_json
from supervisor.cli.terminal import console, shown
from supervisor.exit_code import ExitCode
from supervisor.service.carried import carried_variables, withheld_variables
from supervisor.service.installation import read_installed, remove_installed, write_installed
from supervisor.service.plan import ServiceError, ServicePlan, plan_service
from supervisor.service.service_manager import ServiceManager, own_manager
from supervisor.service.status import service_status, status_lines
from supervisor.settings import Settings
from supervisor.settings_resolution import load_settings
from supervisor.settings_sources import found_config
from supervisor.state_directory import StateDirectory, StateDirectoryError, StateDirectoryLocked

LOG_NAME = "service.log"


class InstallRequest(NamedTuple):
    """What `service install` was asked for. `flags` are those of `up`, or of `join` when there is a `node`."""

    node: str | None
    flags: dict[str, Any]
    print_only: bool
    start: bool
    force: bool


class _Installed(msgspec.Struct, frozen=True):
    system: str
    file: str
    started: bool
    command: tuple[str, ...]
    environment: dict[str, str]
    not_carried: tuple[str, ...]
    logs: str
    notes: tuple[str, ...]


class _Printed(msgspec.Struct, frozen=True):
    system: str
    file: str
    content: str


class _Uninstalled(msgspec.Struct, frozen=True):
    system: str
    file: str
    removed: bool
    stopped: bool


def install_service(request: InstallRequest, *, as_json: bool) -> None:
    """Carry out `service install`: all that can be refused is refused before anything is written."""
    with _told():
        manager = own_manager()
        arguments, settings = _checked(request)
        state = StateDirectory(settings.state_dir.absolute())
        plan = plan_service(
            arguments, working_folder=Path.cwd(), environment=os.environ, log_file=state.path / LOG_NAME
        )
        content = manager.content(plan)
        if request.print_only:
            _print_file(manager, content, as_json=as_json)
            return
        if not request.force:
            read_installed(manager.file)
        if request.start:
            _make_way(manager, state, request.node)
        state.create()
        write_installed(manager.file, content)
        if request.start:
            _start(manager)
        _tell_installed(manager, plan, content, started=request.start, as_json=as_json)


def uninstall_service(*, stop: bool, as_json: bool) -> None:
    """Carry out `service uninstall`."""
    with _told():
        manager = own_manager()
        installed = read_installed(manager.file) is not None
        stopping = stop and (installed or _is_loaded(manager))
        if stopping:
            manager.check_reachable()
            manager.stop()
        remove_installed(manager.file)
        if stopping:
            manager.forget()
    if as_json:
        print_json(_Uninstalled(manager.name, str(manager.file), installed, stopping))
        return
    file = f"Removed {manager.file}" if installed else f"There is no {manager.file}"
    console().print(shown(f"{file}{'; stopped the service' if stopping else '; nothing was stopped'}."))


def _is_loaded(manager: ServiceManager) -> bool:
    """Whether the manager still knows a service whose file is gone."""
    try:
        return manager.observe().loaded
    except ServiceError:
        return False


def show_status(*, as_json: bool) -> int:
    """Carry out `service status`; return 0 when the service runs, 69 when it does not."""
    with _told():
        status = service_status(own_manager())
    if as_json:
        print_json(status)
    else:
        for line in status_lines(status):
            console().print(shown(line))
    return ExitCode.OK if status.running else ExitCode.UNAVAILABLE


def _checked(request: InstallRequest) -> tuple[tuple[str, ...], Settings]:
    """The service's arguments, and the settings that they lead to in the service's own environment."""
    flags = dict(request.flags)
    given: Path | None = flags.pop("config")
    if flags.pop("head", None) is not None:
        raise ServiceError("the head is named twice", "Name it once, with --node", ExitCode.USAGE)
    if os.environ.get("RINGWARDEN_API_KEY") and request.node is None and flags["api_key_file"] is None:
        raise ServiceError(
            "the API key is in RINGWARDEN_API_KEY, and no secret goes into a service's file",
            "Put the key into a file that only you can read, and add --api-key-file FILE",
            ExitCode.CONFIG,
        )
    words = ("up",) if request.node is None else ("join",)
    config = found_config(given) if request.node is None or given is not None else None
    settings = load_settings(flags, carried_variables(os.environ), config)
    arguments = (*words, *written_flags({"config": config, **flags}))
    if request.node is None or request.node == "auto":
        return arguments, settings
    head_address(request.node)
    return (*arguments, "--", request.node), settings


def _make_way(manager: ServiceManager, state: StateDirectory, node: str | None) -> None:
    """See that the service can start, and stop the one that is there; raise before anything is written."""
    manager.check_reachable()
    if node is not None:
        _check_head_key(state.path)
    manager.stop()
    try:
        with state.lock():
            pass
    except StateDirectoryLocked as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.UNAVAILABLE) from problem


def _check_head_key(state_dir: Path) -> None:
    from supervisor.cluster.key_store import HEAD, KeyStore, KeyStoreError  # noqa: PLC0415 - only a node needs ZeroMQ

    try:
        known = KeyStore(state_dir).key_of(HEAD) is not None
    except KeyStoreError as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.CONFIG) from problem
    if not known:
        raise ServiceError(
            "this node trusts no head, so the service would end at once",
            "On the head type `ringwarden keys`, and here what it shows; or add --no-start",
            ExitCode.CONFIG,
        )


def _start(manager: ServiceManager) -> None:
    try:
        manager.start()
    except ServiceError as problem:
        message = f"{manager.file} is written, but the service did not start: {problem}"
        raise ServiceError(message, problem.remedy, problem.exit_code) from problem


def _print_file(manager: ServiceManager, content: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(_Printed(manager.name, str(manager.file), content.decode()))
    else:
        # Not through the console, which would turn tabs into spaces.
        sys.stdout.write(content.decode())


def _tell_installed(
    manager: ServiceManager, plan: ServicePlan, content: bytes, *, started: bool, as_json: bool
) -> None:
    withheld = withheld_variables(os.environ)
    logs = manager.log_place(content)
    if as_json:
        environment = dict(plan.environment)
        print_json(
            _Installed(
                manager.name, str(manager.file), started, plan.command, environment, withheld, logs, manager.notes
            )
        )
        return
    console().print(shown(f"Wrote {manager.file}{' and started the service' if started else '; nothing was started'}."))
    console().print(shown(f"log  {logs}"))
    for name in withheld:
        console().print(shown(f"note  {name} looks like a secret, so the service does not get it."))
    for note in manager.notes:
        console().print(shown(f"note  {note}"))


@contextmanager
def _told() -> Generator[None]:
    """Turn what went wrong into one line with a remedy."""
    try:
        yield
    except (ServiceError, StateDirectoryError) as problem:
        code = problem.exit_code if isinstance(problem, ServiceError) else ExitCode.CONFIG
        raise CommandError(str(problem), problem.remedy, code) from problem
    except FileNotFoundError as problem:
        raise CommandError("the current folder is gone", "Go to another one", ExitCode.USAGE) from problem
