"""The rank that is behind is named by the hardest fact, with words that say what was seen."""

from collections.abc import Mapping

import pytest

from supervisor.core.stall_budgets import Budget
from supervisor.core.stall_finding import ranks_behind, stall_sentence
from supervisor.core.watchdog import RankObservation, Silence
from transports.progress import Activity, Collective, Progress

LEARNED = Budget(12.0, is_learned=True)


def seen(rank: int, *, step: int = 50, stopped: bool = False, cpu: float | None = None) -> RankObservation:
    return RankObservation(rank, step, stopped, cpu)


def said(name: str, number: int, *, ended: bool = False, activity: Activity = Activity.DECODE) -> Progress:
    return Progress(50, activity, Collective(name, number, ended))


@pytest.mark.parametrize(
    ("observations", "behind"),
    [
        ([seen(0, cpu=0.0), seen(1, stopped=True, cpu=0.0)], (1,)),
        ([seen(0, step=5000), seen(1, step=90)], (1,)),
        ([seen(0, step=51), seen(1, step=50)], (1,)),
        ([seen(0, cpu=0.9), seen(1, cpu=0.0), seen(2, cpu=1.0)], (1,)),
        ([seen(0, cpu=0.9), seen(1, cpu=None)], (0, 1)),
        ([seen(0, cpu=0.0), seen(1, cpu=0.0)], (0, 1)),
        ([seen(0)], (0,)),
    ],
)
def test_the_one_behind(observations: list[RankObservation], behind: tuple[int, ...]) -> None:
    assert ranks_behind(observations, {}) == behind


@pytest.mark.parametrize(
    ("words", "behind"),
    [
        ({0: said("plan", 82), 1: said("step", 81, ended=True), 2: said("plan", 82)}, (1,)),
        ({0: said("plan", 82), 1: said("plan", 82), 2: said("step", 82)}, (2,)),
        ({0: said("plan", 82), 1: said("step", 82), 2: said("plan", 82)}, (1,)),
        ({0: Progress(50), 1: said("plan", 1), 2: said("plan", 1)}, (0,)),
        ({0: said("plan", 82), 1: said("plan", 82), 2: said("plan", 82)}, (0, 1, 2)),
        ({0: said("plan", 82), 2: said("plan", 81)}, (0, 1, 2)),
    ],
)
def test_at_the_same_step_the_collective_tells(words: Mapping[int, Progress], behind: tuple[int, ...]) -> None:
    assert ranks_behind([seen(0), seen(1), seen(2)], words) == behind


def test_two_ranks_in_different_collectives_accuse_nobody() -> None:
    assert ranks_behind([seen(0), seen(1)], {0: said("plan", 82), 1: said("step", 82)}) == (0, 1)


def sentence(observations: list[RankObservation], words: Mapping[int, Progress], budget: Budget = LEARNED) -> str:
    silences = {rank: Silence(word, 12.04, budget) for rank, word in words.items()}
    return stall_sentence(observations[1], observations, silences)


def test_a_stopped_rank() -> None:
    told = sentence(
        [seen(0, step=42), seen(1, step=41, stopped=True)],
        {0: said("plan", 83, activity=Activity.AGREEING), 1: said("plan", 82, ended=True)},
    )
    assert told == (
        "made no progress for 12 s; it was decoding (budget 12 s, learned) and stands at step 41 after collective "
        "'plan' 82, rank 0 at step 42 in collective 'plan' 83; its process is stopped"
    )


def test_a_load_that_stands_still() -> None:
    words = {rank: Progress(2, Activity.LOADING, Collective("connect", 1, True), 3, 28) for rank in range(3)}
    told = sentence([seen(0, step=2), seen(1, step=2), seen(2, step=2)], words, Budget(120.0, is_learned=False))
    assert told == (
        "made no progress for 12 s; it was loading (3 of 28, budget 120 s) and stands at step 2 after collective "
        "'connect' 1, like the others"
    )


def test_a_rank_that_did_not_take_up_its_work() -> None:
    told = sentence(
        [seen(0, step=8, cpu=1.0), seen(1, step=8, cpu=0.0), seen(2, step=9, cpu=1.0)],
        {0: said("plan", 3), 1: Progress(8), 2: said("step", 3)},
    )
    assert told == (
        "made no progress for 12 s; it did not take up its request (budget 12 s, learned) and stands at step 8, "
        "the others at steps 8 to 9; its process uses no CPU while the others burn theirs"
    )


def test_a_rank_alone() -> None:
    words = {1: Progress(50, Activity.PREPARING)}
    told = stall_sentence(seen(1), [seen(1)], {1: Silence(words[1], 30.0, LEARNED)})
    assert told == (
        "made no progress for 30 s; it was preparing a request (budget 12 s, learned) and stands at step 50"
    )
