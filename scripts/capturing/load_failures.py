"""Models whose files are damaged, absent or of another shape, loaded with mlx-lm and MLX."""
# ruff: noqa: E501 - programs stand on the lines that they have

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from capturing.scenario import Scenario, Truth, Workshop
from capturing.single import program

_TINY = Path(__file__).resolve().parents[2] / "runner" / "models" / "tiny"
_LOAD = """
from mlx_lm import load

model, tokenizer = load("{models}/m")
print(tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], add_generation_prompt=True))
"""
_MISSING, _CORRUPT = "model_load_missing_weights", "model_load_corrupt"
_UNSUPPORTED, _TOKENIZER = "model_unsupported", "tokenizer_error"


def _model(workshop: Workshop) -> Path:
    return Path(shutil.copytree(_TINY, workshop.models / "m", ignore=shutil.ignore_patterns("ringwarden_build.json")))


def sound_model(workshop: Workshop) -> None:
    """Put a model without a fault into the workshop."""
    _model(workshop)


def _broken(breaker: Callable[[Path], None]) -> Callable[[Workshop], None]:
    return lambda workshop: breaker(_model(workshop))


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _written(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def _config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))

    return change


def _cut(size: int) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:size])

    return cut


def _header(change: Callable[[dict], dict | list]) -> Callable[[Path], None]:
    """The weights with another JSON header, and the bytes behind it as they were."""

    def rewrite(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        header = json.dumps(change(json.loads(data[8 : 8 + size]))).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + size :])

    return rewrite


def _first(header: dict, **changes: object) -> dict:
    name = next(key for key in header if key != "__metadata__")
    return header | {name: header[name] | changes}


def _renamed(header: dict) -> dict:
    return {("model.extra.weight" if key == "model.norm.weight" else key): value for key, value in header.items()}


def _no_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model.safetensors").unlink()


def _read(path: str) -> str:
    return f'import mlx.core as mx\n\nmx.eval(mx.load("{{models}}/m/{path}"))'


_ROWS: tuple[tuple[str, str | None, str, Callable[[Path], None], str], ...] = (
    ("no_weights", _MISSING, r"No safetensors|No such file.*safetensors", _no_index, _LOAD),
    ("no_config", _MISSING, r"No such file.*config\.json|Config not found", _without("config.json"), _LOAD),
    ("extra_parameters", _MISSING, r"(?:Received|Missing) \d+ parameters", _header(_renamed), _LOAD),
    ("fewer_layers", _MISSING, r"Received \d+ parameters not in model", _config(num_hidden_layers=3), _LOAD),
    ("more_layers", _MISSING, r"Missing \d+ parameters", _config(num_hidden_layers=5), _LOAD),
    ("other_shape", _MISSING, r"Expected shape .* but received shape", _config(intermediate_size=128), _LOAD),
    ("other_vocabulary", _MISSING, r"Expected shape .* but received shape", _config(vocab_size=1024), _LOAD),
    (
        "quantized_config", _MISSING, r"Missing \d+ parameters|Expected shape",
        _config(quantization={"group_size": 32, "bits": 4}, quantization_config={"group_size": 32, "bits": 4}), _LOAD,
    ),
    ("weights_cut", _CORRUPT, r"Perhaps an incomplete|Unable to read", _cut(20000), _LOAD),
    ("header_cut", _CORRUPT, r"Invalid json header|Unable to read|parse|Perhaps an incomplete", _cut(100), _LOAD),
    ("weights_empty", _CORRUPT, r"Invalid json header|Unable to read|parse", _written("model.safetensors", b""), _LOAD),
    (
        "weights_html", _CORRUPT, r"Invalid json header|parse",
        _written("model.safetensors", b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"), _LOAD,
    ),
    (
        "weights_pointer", _CORRUPT, r"Invalid json header|parse",
        _written("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), _LOAD,
    ),
    ("header_list", _CORRUPT, r"json|JSON", _header(lambda header: [header]), _LOAD),
    (
        "header_offsets", _CORRUPT, r"offsets|Perhaps an incomplete",
        _header(lambda header: _first(header, data_offsets=[0, 1 << 40])), _LOAD,
    ),
    ("header_no_shape", _CORRUPT, r"json\.exception", _header(lambda h: _first(h, shape=None)), _LOAD),
    ("unknown_dtype", _UNSUPPORTED, r"unsupported dtype", _header(lambda h: _first(h, dtype="F4_E2M1")), _LOAD),
    ("config_no_json", _CORRUPT, r"JSONDecodeError", _written("config.json", b'{"model_type": "qwen2",'), _LOAD),
    ("config_empty", _CORRUPT, r"JSONDecodeError", _written("config.json", b""), _LOAD),
    ("unknown_type", _UNSUPPORTED, r"Model type \S+ not supported", _config(model_type="superllama"), _LOAD),
    ("no_type", _UNSUPPORTED, r"KeyError: 'model_type'", _config(model_type=...), _LOAD),
    ("no_argument", _UNSUPPORTED, r"__init__\(\) missing \d", _config(hidden_size=...), _LOAD),
    ("unknown_rope", _UNSUPPORTED, r"Unsupported RoPE|(?:Value|Key)Error: .*rope", _config(rope_scaling={"type": "spiral", "factor": 2.0}), _LOAD),
    ("tokenizer_html", _TOKENIZER, r"Failed to parse tokenizer|^\S*(?:Error|Exception): (?!Expecting value)", _written("tokenizer.json", b"<html>"), _LOAD),
    (
        "tokenizer_newer", _TOKENIZER, r"untagged enum|^\S*(?:Error|Exception): ",
        _written("tokenizer.json", b'{"version":"1.0","model":{"type":"Star","vocab":{}}}'), _LOAD,
    ),
    (
        "template_broken", _TOKENIZER, r"jinja2\.exceptions\.",
        _written("chat_template.jinja", b"{% for message in messages %}{{ message.content }"), _LOAD,
    ),
    (
        "template_refuses", _TOKENIZER, r"jinja2\.exceptions\.",
        _written("chat_template.jinja", b"{{ raise_exception('roles must alternate') }}"), _LOAD,
    ),
    ("gguf_garbage", _CORRUPT, r"gguf_init failed", _written("w.gguf", b"garbage"), _read("w.gguf")),
    ("npy_garbage", _CORRUPT, r"Invalid header", _written("w.npy", b"garbage, not an array"), _read("w.npy")),
    ("npz_garbage", _CORRUPT, r"zip", _written("w.npz", b"garbage, not a zip"), _read("w.npz")),
    ("other_ending", _CORRUPT, r"Unknown file format|Could not infer", _written("w.bin", b"x"), _read("w.bin")),
    ("absent_shard", _MISSING, r"Failed to open file", lambda _: None, _read("model-00002-of-00003.safetensors")),
    ("sound", None, "", lambda _: None, _LOAD),
)  # fmt: skip

_DIVIDE = """
import mlx.core as mx
import mlx.nn as nn


class Group:
    def size(self):
        return 5

    def rank(self):
        return 0


try:
    from mlx.nn.layers.distributed import AllToShardedLinear
except ImportError:
    raise SystemExit(0)
AllToShardedLinear(64, 64, group=Group())
"""

LOAD: tuple[Scenario, ...] = (
    *(
        program(
            f"load_{name}",
            "harmless" if kind is None else "load",
            Truth(kind, marker=marker, exits=(0,) if kind is None else (1,)),
            source,
            prepare=_broken(breaker),
        )
        for name, kind, marker, breaker, source in _ROWS
    ),
    program("load_uneven_shards", "load", Truth(_UNSUPPORTED, marker=r"Cannot shard"), _DIVIDE),
    program(
        "load_no_folder",
        "load",
        Truth("download_failed", marker=r"^huggingface_hub\S*Error|^\S*(?:OfflineMode|LocalEntry)\S*"),
        'from mlx_lm import load\n\nload("nobody/no-such-model")',
        {"HF_HUB_OFFLINE": "1"},
    ),
)
