"""One person's machine with a service manager: the whole command, with launchctl and systemctl as scripts."""

import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from supervisor.cli import config, service
from supervisor.cli.main import main
from tests.supervisor.service.fake_tools import FakeTools

# What a library loads or works out while `sys.platform` is another one would be of the wrong system.
LOADED_BEFORE = (config, service, psutil, sysconfig.get_config_vars())


class Outcome(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Machine:
    """A home folder, a folder to type in, and the tools.

    Args:
        system: `darwin` or `linux`, as the command takes it to be.
        folder: All of it is in here.
        capsys: Hears what the command says.
    """

    def __init__(self, system: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.system = system
        self._capsys = capsys
        self.home = folder / "home of $HOME 100%"
        self.here = folder / "models here"
        self.state = folder / "state"
        self.home.mkdir()
        self.here.mkdir()
        self.tools = FakeTools(folder / "tools", os.getpid())
        self.path = f"{self.tools.folder}:/usr/bin:/bin"
        self.file = self.home / (
            "Library/LaunchAgents/local.ringwarden.plist"
            if system == "darwin"
            else ".config/systemd/user/ringwarden.service"
        )

    def ringwarden(self, *arguments: str, **environment: str) -> Outcome:
        """Type a command in the folder."""
        variables = {"HOME": str(self.home), "PATH": self.path, "RINGWARDEN_STATE_DIR": str(self.state), **environment}
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "platform", self.system)
            patch.setattr(sys, "argv", ["ringwarden", *arguments])
            patch.chdir(self.here)
            self._capsys.readouterr()
            exit_code = main()
        return Outcome(int(exit_code), *self._capsys.readouterr())

    def told(self, *arguments: str, exit_code: int = 0, **environment: str) -> Any:
        """Type it with --json, and return the document."""
        outcome = self.ringwarden(*arguments, "--json", **environment)
        assert outcome.returncode == exit_code, outcome
        return json.loads(outcome.stdout)

    def refused(self, exit_code: int, *arguments: str, **environment: str) -> str:
        """Type it, see that it is refused in one line, and return that."""
        outcome = self.ringwarden(*arguments, **environment)
        assert (outcome.returncode, outcome.stdout, outcome.stderr.count("\n")) == (exit_code, "", 1), outcome
        return outcome.stderr


@pytest.fixture(params=["darwin", "linux"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Machine:
    """A machine of each kind."""
    return Machine(request.param, tmp_path, capsys)


@pytest.fixture
def linux(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Machine:
    """A machine where the kind makes no difference."""
    return Machine("linux", tmp_path, capsys)


@pytest.fixture
def mac(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Machine:
    """A machine with launchd."""
    return Machine("darwin", tmp_path, capsys)
