"""How mlx-lm can split a kind of model, read from its source: a supervisor never imports it, and it has no table.

A model is split by tensors when it has a method `shard`, by layers when it has one named `pipeline` (mlx-lm 0.32.2,
`sharded_load`). What cannot be told counts as possible: the runner says the last word when it loads.
"""

import ast
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from transports.messages import Parallelism

_METHODS: dict[Parallelism, re.Pattern[str]] = {
    "tensor": re.compile(r"^ +def shard\(", re.MULTILINE),
    "pipeline": re.compile(r"^ +def pipeline\(", re.MULTILINE),
}
_SIBLING = re.compile(r"^from \.(\w*) import ([\w, ]+)", re.MULTILINE)
_KIND = re.compile(r"\w{1,100}")
_BOTH: tuple[Parallelism, ...] = ("tensor", "pipeline")


def possible_splits(configuration: Mapping[str, Any], package: Path | None = None) -> tuple[Parallelism, ...]:
    """Return the ways in which the installed mlx-lm may be able to split a model. Blocks on the disk, briefly.

    Args:
        configuration: The model's `config.json`.
        package: The folder of mlx-lm; None looks for the installed one.
    """
    kind = configuration.get("model_type")
    folder = _installed_package() if package is None else package
    if folder is None or not isinstance(kind, str) or not _KIND.fullmatch(kind):
        return _BOTH
    try:
        text = _source_of(folder / "models", _renamed(folder, kind, configuration))
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError):
        return _BOTH
    return tuple(way for way, method in _METHODS.items() if method.search(text))


def _installed_package() -> Path | None:
    try:
        return Path(str(metadata.distribution("mlx-lm").locate_file("mlx_lm")))
    except metadata.PackageNotFoundError:
        return None


def _renamed(folder: Path, kind: str, configuration: Mapping[str, Any]) -> str:
    """Return the name of the module that mlx-lm takes for this kind of model."""
    names: dict[str, Any] = {}
    for statement in ast.parse((folder / "utils.py").read_text(encoding="utf-8")).body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id.endswith("_REMAPPING") and isinstance(statement, ast.Assign):
            names[target.id] = ast.literal_eval(statement.value)
    architectures = configuration.get("architectures")
    for architecture in cast("list[Any]", architectures) if isinstance(architectures, list) else ():
        other = names.get("MODEL_ARCHITECTURE_REMAPPING", {}).get((kind, str(architecture)))
        if other is not None:
            return other
    return names.get("MODEL_REMAPPING", {}).get(kind, kind)


def _source_of(folder: Path, kind: str) -> str:
    """Return a module's text and that of every sibling that it builds on."""
    texts: dict[str, str] = {}
    waiting = [kind]
    while waiting:
        name = waiting.pop()
        path = folder / f"{name}.py"
        if name in texts or (name != kind and not path.is_file()):
            continue
        texts[name] = path.read_text(encoding="utf-8")
        for module, imported in _SIBLING.findall(texts[name]):
            waiting += [module] if module else [part.strip() for part in imported.split(",")]
    return "\n".join(texts.values())
