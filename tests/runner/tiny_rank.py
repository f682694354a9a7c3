"""One rank of a parity run: loads a model whole or sharded, answers greedily, prints the token ids as one JSON line.

Usage: python -m tests.runner.tiny_rank MODEL whole|tensor|pipeline MAX_TOKENS, with a JSON list of prompts (lists of
token ids) on stdin. A sharded rank reads MLX_RANK and MLX_HOSTFILE, as every MLX ring program does.
"""

import json
import sys
from typing import Any

import mlx.core as mx
from mlx_lm.generate import generate_step, generation_stream
from mlx_lm.utils import load, sharded_load


def main() -> None:
    folder, parallel, max_tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
    prompts: list[list[int]] = json.load(sys.stdin)
    rank = 0
    if parallel == "whole":
        model, tokenizer = load(folder)[:2]
    else:
        group = mx.distributed.init(backend="ring", strict=True)
        rank = group.rank()
        groups = (group, None) if parallel == "pipeline" else (None, group)
        model, tokenizer = sharded_load(folder, *groups)[:2]
    answers = [greedy(model, prompt, max_tokens, tokenizer.eos_token_ids) for prompt in prompts]
    if parallel != "whole":
        # generate_step computes one token ahead: a rank that left now would break the others' last step.
        mx.synchronize(generation_stream)
        mx.eval(mx.distributed.all_sum(mx.array(1.0), stream=generation_stream))
    print(json.dumps({"rank": rank, "layers": len(model.layers), "answers": answers}), flush=True)


def greedy(model: Any, prompt: list[int], max_tokens: int, ends: set[int]) -> list[int]:
    """Token ids up to and with the end token."""
    tokens: list[int] = []
    for token, _ in generate_step(mx.array(prompt), model, max_tokens=max_tokens):
        tokens.append(int(token))
        if token in ends:
            break
    return tokens


if __name__ == "__main__":
    main()
