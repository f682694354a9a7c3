"""Reads `corpus.toml`, the only text that the tiny model ever sees."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS_FILE = Path(__file__).with_name("corpus.toml")


@dataclass(frozen=True)
class Answer:
    """One answer and every question that it answers. A story is long and is trained in long rows."""

    questions: tuple[str, ...]
    text: str
    story: bool


@dataclass(frozen=True)
class Noise:
    """Parts from which questions about anything else are made up."""

    openings: tuple[str, ...]
    words: tuple[str, ...]
    systems: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """The whole training text. `digest` is the SHA-256 of the file, by which a stale model is found."""

    answers: tuple[Answer, ...]
    passages: tuple[str, ...]
    fallback_answer: str
    fallback_completion: str
    refrain: str
    noise: Noise
    digest: str

    def texts(self) -> list[str]:
        """Every text once, in file order: what the tokenizer learns its merges from."""
        texts = [text for answer in self.answers for text in (*answer.questions, answer.text)]
        return [*texts, *self.passages, self.fallback_answer, self.fallback_completion, self.refrain]


def read_corpus(path: Path = CORPUS_FILE) -> Corpus:
    """Read the corpus.

    Raises:
        OSError: The file cannot be read.
        KeyError: A table or key is missing; the message is its name.
    """
    content = path.read_bytes()
    table: dict[str, Any] = tomllib.loads(content.decode())
    return Corpus(
        answers=tuple(
            Answer(tuple(entry["questions"]), entry["text"].strip(), entry.get("story", False))
            for entry in table["answers"]
        ),
        passages=tuple(entry["text"] for entry in table["passages"]),
        fallback_answer=table["fallback"]["answer"],
        fallback_completion=table["fallback"]["completion"],
        refrain=table["refrain"]["text"],
        noise=Noise(**{key: tuple(value) for key, value in table["noise"].items()}),
        digest=hashlib.sha256(content).hexdigest(),
    )
