"""Fetches a model from the Hugging Face Hub, and says in one sentence why it could not.

huggingface_hub is imported on use: it costs half a second that `tiny` and local folders need not pay.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from supervisor.model_error import EX_UNAVAILABLE, ModelSourceError
from supervisor.model_hub_progress import BytesListener, PercentReporter, silent_bar_class

# What mlx-lm reads. Python files are left out: a model's own code is never run.
NEEDED_FILES = ("*.json", "model*.safetensors", "tokenizer.model", "*.tiktoken", "tiktoken.model", "*.txt", "*.jinja")

# The library's own first request has no timeout at all (huggingface_hub 2.4 `default_client_factory`).
REACH_TIMEOUT_S = 10.0

_LOCAL_INSTEAD = "Check the network, or give the path of a model folder"


def fetch_from_hub(
    repository: str, *, offline: bool, progress: Callable[[str], None], on_bytes: BytesListener | None = None
) -> Path:
    """Make sure that a repository's needed files are in the local cache. Blocks for as long as the download takes.

    When the hub cannot be reached within `REACH_TIMEOUT_S`, a complete cached copy is used and `progress` says so.

    Args:
        repository: `owner/model`.
        offline: Use the cache only.
        progress: Called with one line per step, at most once per percent, from any thread.
        on_bytes: Told how many bytes are there, in place of the lines about percents.

    Returns:
        The folder of the snapshot.

    Raises:
        ModelSourceError: 69 with the reason.
    """
    if offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return _cached(repository, "the network is not to be used", "Allow the network once, so that it is downloaded")
    unreachable = _reach(repository)
    if unreachable is None:
        return _download(repository, progress, on_bytes)
    folder = _cached(repository, unreachable, _LOCAL_INSTEAD)
    progress(f"{repository}: {unreachable}; using the copy in the local cache")
    return folder


class _PlannedFile(Protocol):
    """What is used of huggingface_hub's DryRunFileInfo."""

    file_size: int | None
    will_download: bool


def _snapshot_download() -> Callable[..., Any]:
    """The library's function; its own annotations are incomplete."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # pyright: ignore[reportUnknownVariableType]

    return cast("Callable[..., Any]", snapshot_download)


def _cached(repository: str, why_not_fetched: str, remedy: str) -> Path:
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(_snapshot_download()(repository, allow_patterns=[*NEEDED_FILES], local_files_only=True))
    except LocalEntryNotFoundError as error:
        reason = f"it is no folder here, the local cache has no complete copy of it, and {why_not_fetched}"
        raise ModelSourceError(repository, reason, remedy, EX_UNAVAILABLE) from error


def _reach(repository: str) -> str | None:
    """None when the hub knows the repository, else why it could not be asked."""
    import httpx2  # noqa: PLC0415
    from huggingface_hub import HfApi  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError  # noqa: PLC0415

    try:
        HfApi().model_info(repository, timeout=REACH_TIMEOUT_S)
    except RepositoryNotFoundError as error:
        raise _refused(repository, error) from error
    except HfHubHTTPError as error:
        return f"the hub answered with HTTP status {error.response.status_code}"
    except httpx2.TimeoutException:
        return f"the hub did not answer within {REACH_TIMEOUT_S:.0f} s"
    except (httpx2.HTTPError, OSError) as error:
        return f"the hub cannot be reached ({error})"
    return None


def _download(repository: str, progress: Callable[[str], None], on_bytes: BytesListener | None) -> Path:
    from huggingface_hub.errors import RepositoryNotFoundError  # noqa: PLC0415

    snapshot_download = _snapshot_download()
    patterns = [*NEEDED_FILES]
    no_bar = silent_bar_class(PercentReporter(repository, 0, progress))
    try:
        plan: list[_PlannedFile] = snapshot_download(
            repository, allow_patterns=patterns, dry_run=True, tqdm_class=no_bar
        )
        missing = [file.file_size or 0 for file in plan if file.will_download]
        _require_space(repository, sum(missing))
        if missing:
            progress(f"{repository}: downloading {len(missing)} files, {_human(sum(missing))}")
        bar = silent_bar_class(PercentReporter(repository, sum(missing), progress, on_bytes))
        folder = Path(snapshot_download(repository, allow_patterns=patterns, tqdm_class=bar))
    except ModelSourceError:
        raise
    except RepositoryNotFoundError as error:
        raise _refused(repository, error) from error
    except Exception as error:
        # OSError, httpx2's errors, and the bare RuntimeError of hf_xet's native downloader.
        raise _failed(repository, error) from error
    progress(f"{repository}: complete")
    return folder


def _require_space(repository: str, needed_bytes: int) -> None:
    from huggingface_hub import constants  # noqa: PLC0415

    cache = Path(constants.HF_HUB_CACHE).expanduser()
    existing = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes > free:
        raise ModelSourceError(
            repository,
            f"it needs {_human(needed_bytes)} and {cache} has {_human(free)} free",
            "Free some space, or set HF_HOME to a folder on a larger disk",
            EX_UNAVAILABLE,
        )


def _refused(repository: str, error: Exception) -> ModelSourceError:
    from huggingface_hub.errors import GatedRepoError  # noqa: PLC0415

    if isinstance(error, GatedRepoError):
        reason = "the hub gives it only to people who accepted its terms"
        remedy = f"Accept them at https://huggingface.co/{repository} and set HF_TOKEN to a token of that account"
    else:
        reason = "it is no folder here, and the hub has no repository of that name that you may see"
        remedy = "Check the spelling; for a private repository set HF_TOKEN"
    return ModelSourceError(repository, reason, remedy, EX_UNAVAILABLE)


def _failed(repository: str, error: Exception) -> ModelSourceError:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        remedy = "Free some space, or set HF_HOME to a folder on a larger disk"
        return ModelSourceError(repository, "the disk is full", remedy, EX_UNAVAILABLE)
    reason = f"the download failed ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
    return ModelSourceError(repository, reason, "Start it again: it goes on where it stopped", EX_UNAVAILABLE)


def _human(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
