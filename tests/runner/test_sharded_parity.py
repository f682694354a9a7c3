"""Sharding must not change a single token: real ranks over a loopback ring against one whole model."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "runner" / "models" / "tiny"
# Four ranks on two busy cores take half a second a token: their threads wait for each other's turn on a core.
DEADLINE_S = 280.0
MAX_TOKENS = 320
MAX_TOKENS_OF_FOUR_RANKS = 16

CHATS = ("What is Ringwarden?", "What happens when a rank dies?", "What is a verdict?", "Tell me a long story.")
COMPLETIONS = ("Ringwarden is", "Once upon a time")


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    from mlx_lm.utils import load_tokenizer

    tokenizer: Any = load_tokenizer(TINY)
    chats = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True) for text in CHATS
    ]
    return [*chats, *(tokenizer.encode(text) for text in COMPLETIONS)]


@pytest.fixture(scope="module")
def whole(prompts: list[list[int]], tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    (result,) = run_ranks(1, "whole", prompts, MAX_TOKENS, tmp_path_factory.mktemp("whole"))
    return result["answers"]


@pytest.mark.mlx
@pytest.mark.timeout(DEADLINE_S + 20)
@pytest.mark.parametrize(
    ("parallel", "ranks", "max_tokens"),
    [
        ("tensor", 2, MAX_TOKENS),
        pytest.param("tensor", 4, MAX_TOKENS_OF_FOUR_RANKS, marks=pytest.mark.soak),
        pytest.param("pipeline", 2, MAX_TOKENS, marks=pytest.mark.soak),
    ],
)
def test_sharded_answers_equal_whole_ones(
    *, parallel: str, ranks: int, max_tokens: int, prompts: list[list[int]], whole: list[list[int]], tmp_path: Path
) -> None:
    assert max(len(answer) for answer in whole) == MAX_TOKENS, "the story is long"
    results = run_ranks(ranks, parallel, prompts, max_tokens, tmp_path)
    assert [result["rank"] for result in results] == list(range(ranks))
    assert {result["layers"] for result in results} == {4 // ranks if parallel == "pipeline" else 4}
    for result in results:
        assert result["answers"] == [answer[:max_tokens] for answer in whole]


def run_ranks(
    count: int, parallel: str, prompts: list[list[int]], max_tokens: int, folder: Path
) -> list[dict[str, Any]]:
    """Run every rank to its end, within the deadline; none is left behind."""
    hostfile = folder / "hosts.json"
    hostfile.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in free_ports(count)]))
    question = folder / "prompts.json"
    question.write_text(json.dumps(prompts))
    command = [sys.executable, "-m", "tests.runner.tiny_rank", str(TINY), parallel, str(max_tokens)]
    deadline = time.monotonic() + DEADLINE_S
    with contextlib.ExitStack() as stack:
        ranks = [
            stack.enter_context(rank_process(command, rank, hostfile, question, folder / f"{rank}.err"))
            for rank in range(count)
        ]
        outputs = [process.communicate(timeout=deadline - time.monotonic())[0] for process in ranks]
    errors = [(folder / f"{rank}.err").read_text() for rank in range(count)]
    assert [process.returncode for process in ranks] == [0] * count, errors
    return [json.loads(output) for output in outputs]


@contextlib.contextmanager
def rank_process(
    command: list[str], rank: int, hostfile: Path, question: Path, errors: Path
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "MLX_RANK": str(rank), "MLX_HOSTFILE": str(hostfile), "HF_HUB_OFFLINE": "1"}
    with question.open("rb") as stdin, errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE_S)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different because all are held at once."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
