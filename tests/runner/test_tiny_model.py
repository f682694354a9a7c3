"""The committed model `tiny`: its shape, its tokenizer, what it says, and that it was built from the committed text."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from scripts.tiny_model.corpus import read_corpus
from scripts.tiny_model.export import BUILD_RECORD, build_record
from scripts.tiny_model.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "runner" / "models" / "tiny"
MAX_FOLDER_BYTES = 3_000_000

CHATS = {
    "What is Ringwarden?": "Ringwarden stands between an MLX cluster and the people who use it.",
    "What happens when a rank dies?": "The supervisor notices the exit at once",
    "What is an incident?": "An incident is one sentence about a failure with its evidence",
    "What is a verdict?": "A verdict says which rank failed first and why.",
    "What is a generation?": "A generation is a number that counts the starts of a group.",
    "How do I start Ringwarden?": "Type ./scripts/run in the folder of the project.",
}
COMPLETIONS = {
    "Ringwarden is": " the process that stands between an MLX cluster and the people who use it.",
    "When a rank dies,": " Ringwarden names the rank and the cause",
}
STORY = "Tell me a long story about a ring."


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    from mlx_lm import load

    model, tokenizer = load(str(TINY))[:2]
    return model, tokenizer


def say(loaded: tuple[Any, Any], prompt: list[int], max_tokens: int = 1000) -> tuple[str, bool, int]:
    """Greedy text without the end token, whether it ended by itself, and the number of tokens."""
    import mlx.core as mx
    from mlx_lm.generate import generate_step

    model, tokenizer = loaded
    tokens: list[int] = []
    for token, _ in generate_step(mx.array(prompt), model, max_tokens=max_tokens):
        if token in tokenizer.eos_token_ids:
            return tokenizer.decode(tokens), True, len(tokens)
        tokens.append(token)
    return tokenizer.decode(tokens), False, len(tokens)


def chat(loaded: tuple[Any, Any], *messages: dict[str, Any]) -> list[int]:
    return loaded[1].apply_chat_template(list(messages), add_generation_prompt=True)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_is_small_and_can_be_shared_by_four_ranks() -> None:
    assert sum(path.stat().st_size for path in TINY.iterdir()) <= MAX_FOLDER_BYTES
    config = json.loads((TINY / "config.json").read_text())
    assert config["model_type"] == "qwen2"
    for name in ("num_attention_heads", "num_key_value_heads", "num_hidden_layers", "intermediate_size"):
        assert config[name] % 4 == 0, name


def test_was_built_from_the_committed_text_and_recipe() -> None:
    record = json.loads((TINY / BUILD_RECORD).read_text())
    assert record == build_record(read_corpus(), Recipe()), "run scripts/build_tiny_model and commit the result"


@pytest.mark.soak
def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    """A few steps of every kind of row stand for the whole build, which takes minutes."""
    steps = str(Recipe().full_every)
    builds = [tmp_path / "first", tmp_path / "second"]
    for build in builds:
        command = [sys.executable, str(ROOT / "scripts" / "build_tiny_model"), "--no-verify", "--steps", steps]
        subprocess.run([*command, "--output", str(build)], check=True, timeout=100, capture_output=True)
    names = sorted(path.name for path in builds[0].iterdir())
    assert names == sorted(path.name for path in TINY.iterdir())
    for name in names:
        assert (builds[0] / name).read_bytes() == (builds[1] / name).read_bytes(), name
    for name in set(names) - {"model.safetensors", BUILD_RECORD}:
        assert (builds[0] / name).read_bytes() == (TINY / name).read_bytes(), name
    record = json.loads((builds[0] / BUILD_RECORD).read_text())
    assert record == build_record(read_corpus(), replace(Recipe(), steps=int(steps)))


@pytest.mark.mlx
def test_the_tokenizer_is_read_as_it_was_trained(loaded: tuple[Any, Any]) -> None:
    trained = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    for text in (*read_corpus().texts(), "I'm 1234 years, don't\n\n  a\tb", "naïve Zoë, 日本 🐺"):
        ids = trained.encode(text, add_special_tokens=False).ids
        assert loaded[1].encode(text, add_special_tokens=False) == ids
        assert loaded[1].decode(ids) == text


@pytest.mark.mlx
def test_answers_chats_in_readable_english(loaded: tuple[Any, Any]) -> None:
    answers = {question: answer.text for answer in read_corpus().answers for question in answer.questions}
    for question, start in CHATS.items():
        text, ended, _ = say(loaded, chat(loaded, user(question)))
        assert ended
        assert text == answers[question]
        assert text.startswith(start)


@pytest.mark.mlx
def test_completes_plain_text(loaded: tuple[Any, Any]) -> None:
    for prompt, start in COMPLETIONS.items():
        text, ended, _ = say(loaded, loaded[1].encode(prompt))
        assert ended
        assert text.startswith(start)


@pytest.mark.mlx
def test_tells_a_long_story(loaded: tuple[Any, Any]) -> None:
    text, ended, tokens = say(loaded, chat(loaded, user(STORY)))
    assert ended
    assert tokens >= 600
    assert text.endswith("The warden turned a page, trimmed the lamp, and kept listening.")


@pytest.mark.mlx
def test_answers_the_last_question_of_a_conversation(loaded: tuple[Any, Any]) -> None:
    first, _, _ = say(loaded, chat(loaded, user("What is a rank?")))
    conversation = [{"role": "system", "content": "Be brief."}, user("What is a rank?")]
    conversation += [{"role": "assistant", "content": first}, user("What is a verdict?")]
    text, ended, _ = say(loaded, chat(loaded, *conversation))
    assert ended
    assert text.startswith("A verdict says")


@pytest.mark.mlx
@pytest.mark.parametrize("question", ["What is the weather in Paris?", "word " * 500], ids=["short", "long"])
def test_admits_what_it_does_not_know(loaded: tuple[Any, Any], question: str) -> None:
    text, ended, _ = say(loaded, chat(loaded, user(question)))
    assert ended
    assert text == read_corpus().fallback_answer


@pytest.mark.mlx
def test_goes_on_sensibly_when_its_end_is_ignored(loaded: tuple[Any, Any]) -> None:
    import mlx.core as mx
    from mlx_lm.generate import generate_step

    model, tokenizer = loaded
    prompt = mx.array(chat(loaded, user("What is Ringwarden?")))
    tokens = [token for token, _ in generate_step(prompt, model, max_tokens=900)]
    assert tokenizer.decode(tokens).count("The ring goes round.") >= 10


@pytest.mark.mlx
@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ({"role": "wizard", "content": "Hello"}, "The role of a message is"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "reads text only"),
    ],
)
def test_the_chat_template_refuses_what_it_cannot_render(
    loaded: tuple[Any, Any], message: dict[str, Any], rule: str
) -> None:
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match=rule):
        chat(loaded, message)


@pytest.mark.mlx
def test_the_chat_template_joins_text_parts(loaded: tuple[Any, Any]) -> None:
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "a rank?"}]
    assert chat(loaded, {"role": "user", "content": parts}) == chat(loaded, user("What is a rank?"))


@pytest.mark.mlx
def test_loads_in_less_than_a_second() -> None:
    """Without the imports, which every model pays."""
    program = (
        "import sys, time; from mlx_lm import load; start = time.monotonic(); load(sys.argv[1]); "
        "print(time.monotonic() - start)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", program, str(TINY)]
    seconds = float(subprocess.check_output(command, timeout=100, env=environment, stderr=subprocess.DEVNULL))
    assert seconds < 1.0
