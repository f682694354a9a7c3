"""What the browser tests need beside the project: made once, kept in `.dashboard/`, in no lock file."""

import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".dashboard"
PACKAGES = ("playwright>=1.60", "axe-playwright-python>=0.1.8", "pillow>=11")
INSTALL_DEADLINE_S = 600.0
_BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


class CannotTest(Exception):
    """The browser tests cannot run on this machine as it is; the text says what is missing and how to get it."""


def use_environment() -> None:
    """Make this process able to import the packages, installing them if they are not there yet. Blocks.

    Raises:
        CannotTest: They cannot be installed.
    """
    stamp, wanted = FOLDER / "made-of", "\n".join((sys.version, *PACKAGES))
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making {FOLDER.name}: {' '.join(PACKAGES)}", file=sys.stderr, flush=True)
        shutil.rmtree(FOLDER, ignore_errors=True)
        if shutil.which("uv"):
            _call("uv", "venv", "--quiet", "--no-project", "--python", sys.executable, str(FOLDER))
            _call("uv", "pip", "install", "--quiet", "--python", str(FOLDER / "bin" / "python"), *PACKAGES)
        else:
            _call(sys.executable, "-m", "venv", str(FOLDER))
            _call(str(FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES)
        stamp.write_text(wanted)
    site.addsitedir(sysconfig.get_path("purelib", vars={"base": str(FOLDER), "platbase": str(FOLDER)}))


def find_browser() -> str:
    """Return a Chromium of this machine: the one that playwright would download is not needed.

    Raises:
        CannotTest: There is none.
    """
    for name in _BROWSERS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise CannotTest("there is no Chromium or Chrome on this machine; on Debian: apt install chromium")


def _call(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_DEADLINE_S, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as exc:
        raise CannotTest(f"{command[0]} could not be run: {exc}") from exc
    if done.returncode != 0:
        raise CannotTest(f"{' '.join(command)} failed; is the package registry reachable?\n{done.stderr[-3000:]}")
