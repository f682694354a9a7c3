"""Checks that a folder holds a model which mlx-lm can load, before any runner is started for it.

Only headers are read, so the check costs milliseconds for any size of model. What it finds early would otherwise kill
every rank at once, or (MLX before 0.31.2) load garbage from a truncated file without a word.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from supervisor.model_error import EX_DATA, EX_USAGE, ModelSourceError

MAX_JSON_BYTES = 64 * 1024 * 1024
# The limit of the safetensors format itself.
MAX_HEADER_BYTES = 100_000_000

_INDEX = "model.safetensors.index.json"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tiktoken.model", "vocab.json", "*.tiktoken")
_LFS_POINTER = b"version https://git-lfs"
_DOWNLOAD_AGAIN = "The file is incomplete or corrupt: copy or download it again"


def check_model_folder(name: str, folder: Path) -> Path:
    """Check a model folder. Blocks on file reads only.

    Args:
        name: What the operator wrote, for the error.
        folder: The folder.

    Returns:
        The folder.

    Raises:
        ModelSourceError: 64 when it is no folder, 65 when the model in it is incomplete or broken.
    """
    if not folder.is_dir():
        raise ModelSourceError(name, f"{folder} is a file", "Give the folder that the model lies in", EX_USAGE)
    try:
        _check_config(name, folder)
        _check_tokenizer(name, folder)
        _check_index(name, folder)
        _check_weights(name, folder)
    except OSError as error:
        raise ModelSourceError(
            name, f"{error.filename or folder} cannot be read ({error.strerror})", "Check its permissions", EX_DATA
        ) from error
    return folder


def _check_config(name: str, folder: Path) -> None:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelSourceError(
            name, f"there is no config.json in {folder}", "Give the folder of a model in mlx-lm's format", EX_DATA
        )
    if not isinstance(_read_object(name, path).get("model_type"), str):
        raise ModelSourceError(
            name, f"{path} has no 'model_type' string", "Convert the model with mlx_lm.convert", EX_DATA
        )


def _check_tokenizer(name: str, folder: Path) -> None:
    if not any(path.is_file() for pattern in _TOKENIZERS for path in folder.glob(pattern)):
        raise ModelSourceError(
            name, f"there is no tokenizer in {folder}", "Copy tokenizer.json (or tokenizer.model) into it", EX_DATA
        )


def _check_index(name: str, folder: Path) -> None:
    path = folder / _INDEX
    if not path.is_file():
        return
    shards = _read_object(name, path).get("weight_map")
    if not isinstance(shards, dict):
        raise ModelSourceError(name, f"{path} has no 'weight_map' object", _DOWNLOAD_AGAIN, EX_DATA)
    files = set(cast("Iterable[object]", cast("dict[str, object]", shards).values()))
    for file in sorted(files, key=str):
        if not isinstance(file, str) or Path(file).name != file:
            raise ModelSourceError(name, f"{path} names {file!r}, which is no file name", _DOWNLOAD_AGAIN, EX_DATA)
        if not (folder / file).is_file():
            raise ModelSourceError(
                name, f"the weight file {file} is missing from {folder}", "Copy or download it again", EX_DATA
            )


def _check_weights(name: str, folder: Path) -> None:
    # mlx-lm loads exactly this pattern (mlx_lm.utils.load_model).
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise ModelSourceError(
            name,
            f"there is no model*.safetensors in {folder}",
            "Convert the model with mlx_lm.convert, or finish the download",
            EX_DATA,
        )
    for path in files:
        problem = _safetensors_problem(path)
        if problem is not None:
            raise ModelSourceError(name, f"{path} {problem}", _DOWNLOAD_AGAIN, EX_DATA)


def _safetensors_problem(path: Path) -> str | None:
    """What is wrong with a file: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if size < 8:
            return f"has only {size} bytes"
        if (start + file.read(16)).startswith(_LFS_POINTER):
            return "is a Git LFS pointer, not the weights (git lfs pull fetches them)"
        length = int.from_bytes(start, "little")
        if length > min(size - 8, MAX_HEADER_BYTES):
            return f"announces a header of {length} bytes but has {size - 8} bytes behind the length"
        file.seek(8)
        content = file.read(length)
    try:
        header: Any = json.loads(content)
    except (ValueError, RecursionError):
        return "has a header that is not JSON"
    if not isinstance(header, dict):
        return "has a header that is not a JSON object"
    return _tensors_problem(cast("dict[str, object]", header), size - 8 - length)


def _tensors_problem(header: dict[str, object], data_bytes: int) -> str | None:
    for tensor, entry in header.items():
        if tensor == "__metadata__":
            continue
        offsets = cast("dict[str, object]", entry).get("data_offsets") if isinstance(entry, dict) else None
        match offsets:
            case [int() as begin, int() as end] if 0 <= begin <= end:
                if end > data_bytes:
                    return f"is truncated: the tensor {tensor!r} ends at byte {end} of the data, which has {data_bytes}"
            case _:
                return f"has no usable data_offsets for the tensor {tensor!r}"
    return None


def _read_object(name: str, path: Path) -> dict[str, object]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ModelSourceError(name, f"{path} is larger than {MAX_JSON_BYTES} bytes", _DOWNLOAD_AGAIN, EX_DATA)
    try:
        content: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelSourceError(name, f"{path} is not JSON ({error})", _DOWNLOAD_AGAIN, EX_DATA) from error
    if not isinstance(content, dict):
        raise ModelSourceError(name, f"{path} is not a JSON object", _DOWNLOAD_AGAIN, EX_DATA)
    return cast("dict[str, object]", content)
