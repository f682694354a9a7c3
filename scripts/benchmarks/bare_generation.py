"""mlx-lm alone, as the yardstick: `python -m scripts.benchmarks.bare_generation FOLDER`.

Reads `MAX_TOKENS PROMPT` lines, prints the seconds that each answer took. Under `MLX_HOSTFILE` and `MLX_RANK` it is
one rank of a ring, as `mlx.launch --backend ring` starts them; every rank must be given the same lines.
"""

import os
import sys
import time
from pathlib import Path

import mlx.core as mx
from mlx_lm import load, stream_generate
from mlx_lm.utils import load_model, load_tokenizer


def main(folder: str) -> None:
    """Serve standard input until it ends."""
    if "MLX_HOSTFILE" in os.environ:
        group = mx.distributed.init(strict=True, backend="ring")
        model, _ = load_model(Path(folder), lazy=True)
        model.shard(group)
        mx.eval(model.parameters())
        tokenizer = load_tokenizer(Path(folder))
    else:
        model, tokenizer = load(folder)[:2]
    tokenizer.eos_token_ids = set()
    print("loaded", flush=True)
    for line in sys.stdin:
        max_tokens, _, prompt = line.rstrip("\n").partition(" ")
        started = time.monotonic()
        tokens = 0
        for answer in stream_generate(model, tokenizer, prompt, max_tokens=int(max_tokens)):
            tokens = answer.generation_tokens
        seconds = time.monotonic() - started
        if tokens != int(max_tokens):
            raise RuntimeError(f"{tokens} tokens instead of {max_tokens}")
        print(seconds, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
