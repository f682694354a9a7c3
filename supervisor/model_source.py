"""Turns what follows `--model` into a local folder that a runner can load."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from supervisor.model_error import EX_UNAVAILABLE, EX_USAGE, ModelSourceError
from supervisor.model_folder import check_model_folder
from supervisor.model_hub import fetch_from_hub
from supervisor.model_hub_progress import BytesListener

__all__ = ["BUILT_IN_MODEL", "ModelSourceError", "ResolvedModel", "resolve_model"]

BUILT_IN_MODEL = "tiny"

PATH_PREFIXES = ("/", "./", "../", "~")
# The hub's own rule: letters, digits, "-", "_" and ".", one optional owner, 96 characters, no "--", "..", or edge dots.
_REPOSITORY = re.compile(r"(?!.*(--|\.\.))(?=.{1,96}$)(\w[\w.-]*/)?\w[\w.-]*(?<![.-])", re.ASCII)


class ResolvedModel(msgspec.Struct, frozen=True):
    """A model that is on this machine. `path` holds a checked mlx-lm folder; `model_id` is its name in the API."""

    model_id: str
    path: Path


def resolve_model(
    name: str,
    *,
    offline: bool = False,
    progress: Callable[[str], None] | None = None,
    on_bytes: BytesListener | None = None,
) -> ResolvedModel:
    """Find, check and if need be download a model. Blocks: call it from a worker thread.

    `tiny` is the built-in model; a name that is a folder is that folder; any other name is a repository on the
    Hugging Face Hub. Write `./tiny` for a folder of that name. Weights are checked by their headers, not read.

    Args:
        name: What the operator wrote.
        offline: Never use the network; a repository must be in the local cache.
        progress: Called with one line per step of a download, at most once per percent, from any thread.
        on_bytes: Told how many bytes are there, in place of the lines about percents.

    Raises:
        ModelSourceError: The model cannot be used; says why and what to do.
    """
    if name == BUILT_IN_MODEL:
        return ResolvedModel(name, check_model_folder(name, _built_in_folder()))
    folder = _existing(name)
    if folder is not None:
        return ResolvedModel(folder.name, check_model_folder(name, folder))
    _require_repository_name(name)
    snapshot = fetch_from_hub(name, offline=offline, progress=progress or _silent, on_bytes=on_bytes)
    return ResolvedModel(name, check_model_folder(name, snapshot))


def _built_in_folder() -> Path:
    """Where the package `runner` lies; `find_spec` does not import it."""
    spec = find_spec("runner")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "models" / BUILT_IN_MODEL
        if folder.is_dir():
            return folder
    raise ModelSourceError(
        BUILT_IN_MODEL,
        "the built-in model is not part of this installation",
        "Install Ringwarden again, or name another model with --model",
        EX_UNAVAILABLE,
    )


def _existing(name: str) -> Path | None:
    """The absolute path, or None where nothing is there or nothing could be there."""
    try:
        path = Path(name).expanduser()
        return path.resolve() if name and path.exists() else None
    except (OSError, RuntimeError):
        # A name too long for a path, a loop of links, `~` of an unknown user.
        return None


def _require_repository_name(name: str) -> None:
    if name.startswith(PATH_PREFIXES) or name.endswith("/"):
        raise ModelSourceError(name, "there is no such folder", "Check the path", EX_USAGE)
    if not _REPOSITORY.fullmatch(name) or name.endswith(".git"):
        raise ModelSourceError(
            name,
            "it is neither a folder nor the name of a Hugging Face repository",
            f"Give {BUILT_IN_MODEL!r}, the path of a model folder, or a name such as 'owner/model'",
            EX_USAGE,
        )


def _silent(_: str) -> None:
    return
