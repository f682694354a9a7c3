"""One environment for each client, made once and kept in `.acceptance/`: clients clash with each other and with us."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.acceptance.catalogue import CLIENTS_FOLDER, NODE, Client

FOLDER = Path(__file__).resolve().parents[2] / ".acceptance"
INSTALL_DEADLINE_S = 600.0


class EnvironmentFailed(Exception):
    """A client's environment could not be made; the text says why and what to do."""


def command_of(client: Client) -> list[str]:
    """Return what starts a client, in an environment that is made now if it is not there yet. Blocks.

    Raises:
        EnvironmentFailed: Its packages could not be installed.
    """
    folder = _made(client.environment, client.packages, is_node=client.is_node)
    if not client.is_node:
        return [str(folder / "bin" / "python"), str(CLIENTS_FOLDER / client.program)]
    node = _made("node", (NODE,), is_node=True) / "node_modules" / ".bin" / "node"
    # An ES module finds packages from its own folder upwards, nowhere else.
    for program in CLIENTS_FOLDER.glob("*.mjs"):
        shutil.copy(program, folder)
    return [str(node), str(folder / client.program)]


def _made(name: str, packages: tuple[str, ...], *, is_node: bool) -> Path:
    folder, wanted = FOLDER / name, "\n".join(packages)
    stamp = folder / "made-of"
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    print(f"making {folder.relative_to(FOLDER.parent)}: {' '.join(packages)}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if is_node:
        _install(folder, ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent", *packages])
    elif shutil.which("uv"):
        _install(folder, ["uv", "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, str(folder)])
        _install(folder, ["uv", "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages])
    else:
        _install(folder, [sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install(folder, [*pip, *packages])
    stamp.write_text(wanted)
    return folder


def _install(folder: Path, command: list[str]) -> None:
    # npm looks for a project upwards and would put the packages there.
    if command[0] == "npm":
        (folder / "package.json").write_text('{"private": true}\n')
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_DEADLINE_S,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as exc:
        raise EnvironmentFailed(f"{command[0]} could not be run for {folder.name}: {exc}") from exc
    if done.returncode != 0:
        raise EnvironmentFailed(
            f"{' '.join(command)} failed. Connect this machine to its package registries, then run this again.\n"
            f"{done.stdout[-1000:]}{done.stderr[-3000:]}"
        )
