"""Writes a random model: `python -m scripts.benchmarks.write_model FOLDER LAYERS HIDDEN`."""

import sys
from pathlib import Path

import mlx.core as mx
from tokenizers import Tokenizer

from tests.runner.random_model import build


def write(folder: Path, layers: int, hidden: int) -> None:
    """Write a model whose greedy choice is always a token with text."""
    build(folder, layers=layers, hidden=hidden)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = {number for number in range(tokenizer.get_vocab_size()) if tokenizer.id_to_token(number).startswith("<|")}
    weights = dict(mx.load(str(folder / "model.safetensors")))
    head = weights["lm_head.weight"]
    wanted = [number < tokenizer.get_vocab_size() and number not in special for number in range(head.shape[0])]
    # A row of zeros scores 0, and of some hundred random scores the best is above 0.
    weights["lm_head.weight"] = head * mx.array(wanted)[:, None]
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
