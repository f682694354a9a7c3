"""Training rows: conversations, passages and refrains, each with a mask of the tokens to be learnt."""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .corpus import Answer, Corpus
from .tokenizer import PADDING_ID, TURN_END_ID, TURN_START_ID

FALLBACK_SHARE = 0.18
FALLBACK_PASSAGE_SHARE = 0.35
SYSTEM_SHARE = 0.2
PASSAGE_SHARE = 0.2
REFRAIN_SHARE = 0.3
LONG_QUESTION_SHARE = 0.45
STORY_IN_FULL_ROW_SHARE = 0.5


class _Row:
    """One row under construction. Learnt tokens are predicted; the others are only read."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._tokens: list[int] = []
        self._learnt: list[bool] = []

    @property
    def full(self) -> bool:
        return len(self._tokens) >= self._capacity

    def add(self, tokens: Sequence[int], *, learnt: bool) -> None:
        self._tokens.extend(tokens)
        self._learnt.extend([learnt] * len(tokens))

    def finished(self) -> tuple[list[int], list[bool]]:
        missing = max(self._capacity - len(self._tokens), 0)
        tokens = self._tokens[: self._capacity] + [PADDING_ID] * missing
        return tokens, self._learnt[: self._capacity] + [False] * missing


class RowMaker:
    """Draws rows at random; the same seed draws the same rows.

    Args:
        corpus: What to say.
        tokenizer: How it is cut into tokens.
        generator: The only source of chance.
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, generator: random.Random) -> None:
        self._corpus = corpus
        self._tokenizer = tokenizer
        self._random = generator
        self._stories = [answer for answer in corpus.answers if answer.story]
        self._short = [answer for answer in corpus.answers if not answer.story]
        self._newline = self._encode("\n")
        self._refrain = self._encode(corpus.refrain)

    def short_batch(self, rows: int, tokens: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows of several turns or one passage each."""
        return self._batch([self._short_row(tokens) for _ in range(rows)])

    def long_batch(self, rows: int, tokens: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows with a story or with a long question."""
        return self._batch([self._long_row(tokens) for _ in range(rows)])

    def full_batch(self, tokens: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """One row with a question of any length, a few turns, and the refrain up to the end of the context."""
        row = _Row(tokens)
        self._add_system(row)
        for _ in range(self._random.choice((0, 0, 1, 2))):
            self._add_turn(row)
        if self._random.random() < LONG_QUESTION_SHARE:
            self._add_long_question(row, 700)
        elif self._random.random() < STORY_IN_FULL_ROW_SHARE:
            self._add_answer(row, self._random.choice(self._stories))
        for _ in range(self._random.choice((0, 1, 2))):
            self._add_turn(row)
        self._fill_with_refrain(row)
        return self._batch([row])

    def _batch(self, rows: list[_Row]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        tokens, learnt = zip(*(row.finished() for row in rows), strict=True)
        return np.array(tokens, np.int64), np.array(learnt, np.bool_)

    def _short_row(self, capacity: int) -> _Row:
        row = _Row(capacity)
        if self._random.random() < PASSAGE_SHARE:
            self._add_passage(row)
        else:
            self._add_system(row)
            self._add_turn(row)
            while not row.full and self._random.random() >= REFRAIN_SHARE:
                self._add_turn(row)
        self._fill_with_refrain(row)
        return row

    def _long_row(self, capacity: int) -> _Row:
        row = _Row(capacity)
        self._add_system(row)
        for _ in range(self._random.choice((0, 0, 0, 1, 2))):
            self._add_turn(row)
        if self._random.random() < LONG_QUESTION_SHARE:
            self._add_long_question(row, 300)
        else:
            self._add_answer(row, self._random.choice(self._stories))
        self._fill_with_refrain(row)
        return row

    def _add_system(self, row: _Row) -> None:
        if self._random.random() < SYSTEM_SHARE:
            text = self._random.choice(self._corpus.noise.systems)
            self._add_message(row, "system", text)

    def _add_turn(self, row: _Row) -> None:
        if self._random.random() < FALLBACK_SHARE:
            self._add_message(row, "user", self._made_up_question())
            self._add_reply(row, self._corpus.fallback_answer)
        else:
            self._add_answer(row, self._random.choice(self._short))

    def _add_answer(self, row: _Row, answer: Answer) -> None:
        self._add_message(row, "user", self._random.choice(answer.questions))
        self._add_reply(row, answer.text)

    def _add_message(self, row: _Row, role: str, text: str) -> None:
        row.add([TURN_START_ID, *self._encode(f"{role}\n{text}"), TURN_END_ID, *self._newline], learnt=False)

    def _add_reply(self, row: _Row, text: str) -> None:
        row.add([TURN_START_ID, *self._encode("assistant\n")], learnt=False)
        row.add([*self._encode(text), TURN_END_ID, *self._newline], learnt=True)

    def _add_passage(self, row: _Row) -> None:
        if self._random.random() < FALLBACK_PASSAGE_SHARE:
            row.add(self._encode(self._made_up_question()), learnt=False)
            row.add(self._encode(self._corpus.fallback_completion), learnt=True)
        else:
            row.add(self._encode(self._random.choice(self._corpus.passages)), learnt=True)
        row.add([TURN_END_ID, *self._newline], learnt=True)

    def _fill_with_refrain(self, row: _Row) -> None:
        while not row.full:
            row.add(self._refrain, learnt=True)

    def _made_up_question(self) -> str:
        noise = self._corpus.noise
        words = self._random.choices(noise.words, k=self._random.choice((1, 1, 2, 2, 3, 4, 6, 9, 15, 40)))
        opening = self._random.choice(noise.openings) + " " if self._random.random() < 0.6 else ""
        return opening + " ".join(words) + self._random.choice(("?", ".", "", "!", ""))

    def _add_long_question(self, row: _Row, max_words: int) -> None:
        """Up to hundreds of words, or a few words over and over, as load tests send."""
        words = self._corpus.noise.words
        if self._random.random() < 0.5:
            words = self._random.choices(words, k=self._random.choice((1, 1, 2, 5)))
        self._add_message(row, "user", " ".join(self._random.choices(words, k=self._random.randint(20, max_words))))
        self._add_reply(row, self._corpus.fallback_answer)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids
