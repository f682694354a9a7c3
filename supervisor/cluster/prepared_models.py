"""The models that a node has on its disk, and what a head has to know of them to share them out."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio

from supervisor.model_source import ResolvedModel, resolve_model
from supervisor.model_splits import possible_splits
from transports.cluster.requests import ModelPrepared

# Enough to tell two versions of a model apart without reading all of it.
_SAMPLE_BYTES = 256 * 1024


class PreparedModels:
    """Used from the event loop.

    Args:
        progress: Takes a line for each step of a download, from any thread.
    """

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._paths: dict[str, Path] = {}

    async def prepare(self, model: str) -> ModelPrepared:
        """Find, check and if need be download a model; may take hours. Cancelling it leaves the download unfinished.

        Raises:
            ModelSourceError: The model cannot be used.
        """
        resolved, facts = await anyio.to_thread.run_sync(self._resolve, model, abandon_on_cancel=True)
        self._paths[model] = resolved.path
        return facts

    def path(self, model: str) -> Path:
        """Where a model is that was prepared.

        Raises:
            FileNotFoundError: It was not.
        """
        try:
            return self._paths[model]
        except KeyError as exc:
            raise FileNotFoundError(f"the model {model!r} was not prepared on this node") from exc

    def _resolve(self, model: str) -> tuple[ResolvedModel, ModelPrepared]:
        resolved = resolve_model(model, progress=self._progress)
        return resolved, describe_model(resolved)


def describe_model(resolved: ResolvedModel) -> ModelPrepared:
    """Read what placement needs from a checked model folder. Blocks on the disk, briefly.

    The digest covers the configuration, and the size, beginning and end of each file of weights.
    """
    configuration = cast("dict[str, Any]", json.loads((resolved.path / "config.json").read_bytes()))
    text = configuration.get("text_config")
    numbers = {**configuration, **(cast("dict[str, Any]", text) if isinstance(text, dict) else {})}
    heads = _count(numbers, "num_attention_heads")
    weights = sorted(resolved.path.glob("*.safetensors"))
    return ModelPrepared(
        model_id=resolved.model_id,
        digest=_digest([resolved.path / "config.json", *weights]),
        weight_bytes=sum(path.stat().st_size for path in weights),
        layers=_count(numbers, "num_hidden_layers"),
        attention_heads=heads,
        key_value_heads=_count(numbers, "num_key_value_heads") or heads,
        splits=possible_splits(configuration),
    )


def _count(numbers: dict[str, Any], name: str) -> int:
    """What the model does not say, or says wrongly, counts as 0: unknown."""
    value = numbers.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            file.seek(max(0, size - _SAMPLE_BYTES))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]
