"""The repository as a newcomer gets it: what must be there, and what must not."""

import hashlib
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 300
# Written so that this file does not contain what it forbids.
REGISTRY_HOSTS = re.compile(r"pypi\.(?:org)|python(?:hosted)|registry\.(?:npmjs)|(?:deb|security)\.(?:debian)\.")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|root|farm|Users|home)/[a-z]")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


def tracked() -> list[Path]:
    """The files of the repository: those that git knows, or all of a copy without git."""
    listing = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listing.returncode == 0:
        return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    hidden = {".git", ".venv", ".acceptance", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.relative_to(ROOT).parts)]


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def pins(lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall(text_of(ROOT / lock)):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "ARCHITECTURE.md",
        "GLOSSARY.md",
        "CHANGELOG.md",
        "LICENSE",
        "flake.nix",
        "flake.lock",
        "docs/api.md",
        "docs/causes/README.md",
        "requirements.lock",
        "requirements-dev.lock",
    ],
)
def test_what_a_newcomer_looks_for_is_there(name: str):
    assert (ROOT / name).stat().st_size > 0


@pytest.mark.parametrize("name", ["scripts/run", "scripts/test", "scripts/lock", ".ci/run"])
def test_scripts_can_be_run_and_parse(name: str):
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True, timeout=30)


def test_no_python_file_is_longer_than_one_job():
    long = {str(path.relative_to(ROOT)): text_of(path).count("\n") for path in tracked() if path.suffix == ".py"}
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}


def test_no_tracked_file_names_a_registry_host_or_a_path_of_one_machine():
    # Captured logs keep the paths of the machine that wrote them: they are evidence.
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked()
        if path.suffix not in {".safetensors", ".jsonl"}
        for match in (REGISTRY_HOSTS.search(text_of(path)), MACHINE_PATHS.search(text_of(path)))
        if match
    ]
    assert found == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_name_no_index_and_hash_every_package(lock: str):
    text = text_of(ROOT / lock)
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(entries) > 20
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_developers_have_the_versions_that_users_have():
    run, develop = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: versions for name, versions in run.items() if develop.get(name) != versions} == {}


def test_the_lock_holds_every_dependency():
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["build"], *extras["dev"]]
    names = {re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0].lower().replace("_", "-") for text in wanted}
    assert names - set(pins("requirements-dev.lock")) == set()


def test_the_flake_knows_the_lock_that_its_wheels_were_made_from():
    """When this fails: put the lock's new sha256 into flake.nix, and the wheel hashes that `nix build` then names."""
    digest = hashlib.sha256((ROOT / "requirements-dev.lock").read_bytes()).hexdigest()
    assert digest in text_of(ROOT / "flake.nix")


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in tracked()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(path))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []
