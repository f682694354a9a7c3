"""Asks a finished model every question of its corpus, through mlx-lm, as a runner does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .corpus import Corpus

MAX_ANSWER_TOKENS = 1200


@dataclass(frozen=True)
class Examination:
    """`failures` are prompts with what was said instead; `smallest_margin` is in nats, between the two best tokens."""

    prompts: int
    failures: tuple[tuple[str, str], ...]
    smallest_margin: float


def verify(folder: Path, corpus: Corpus) -> Examination:
    """Greedy answers to every question, and every passage from its first three words, word for word.

    Args:
        folder: The model.
        corpus: What it must say.
    """
    from mlx_lm import load  # noqa: PLC0415  (importing MLX must come after the training has read its environment)

    model, tokenizer = load(str(folder))[:2]
    cases = [
        (question, _chat(tokenizer, question), answer.text)
        for answer in corpus.answers
        for question in answer.questions
    ]
    for passage in corpus.passages:
        start = " ".join(passage.split()[:3])
        cases.append((start, tokenizer.encode(start), passage[len(start) :]))
    failures: list[tuple[str, str]] = []
    smallest = float("inf")
    for name, prompt, wanted in cases:
        said, margin = _greedy(model, tokenizer, prompt)
        smallest = min(smallest, margin)
        if said != wanted:
            failures.append((name, said))
    return Examination(len(cases), tuple(failures), smallest)


def _chat(tokenizer: Any, question: str) -> list[int]:
    return tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True)


def _greedy(model: Any, tokenizer: Any, prompt: list[int]) -> tuple[str, float]:
    import mlx.core as mx  # noqa: PLC0415
    from mlx_lm.generate import generate_step  # noqa: PLC0415

    said: list[int] = []
    smallest = float("inf")
    for token, scores in generate_step(mx.array(prompt), model, max_tokens=MAX_ANSWER_TOKENS):
        second, best = mx.sort(scores)[-2:].tolist()
        smallest = min(smallest, best - second)
        if token in tokenizer.eos_token_ids:
            return tokenizer.decode(said), smallest
        said.append(token)
    return f"{tokenizer.decode(said)} (no end)", smallest
