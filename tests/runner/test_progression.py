"""The progress word: what it says of each part of the work, that ranks can be compared by it, and what it costs."""

import time
from functools import partial

from diagnostics.phase import Phase
from runner.progression import Progression
from tests.runner.harness import RunnerProcess, running
from transports.messages import SamplingParameters
from transports.progress import Activity, Collective, Progress

SAMPLING = SamplingParameters(temperature=0.0, max_tokens=30, ignore_eos=True)


def test_a_step_is_counted_where_all_ranks_pass() -> None:
    progression = Progression()
    assert progression.word == Progress(0, Activity.CONNECTING)
    progression.enter(Activity.CONNECTING, "connect")
    assert progression.word == Progress(0, Activity.CONNECTING, Collective("connect", 1, ended=False))
    progression.leave()
    progression.advance(Activity.LOADING)
    progression.count(3, 28)
    progression.load(1000)
    progression.load(24)
    assert progression.word == Progress(2, Activity.LOADING, Collective("connect", 1, ended=True), 3, 28, 1024)
    progression.do(Activity.IDLE)
    assert progression.word == Progress(2, Activity.IDLE, Collective("connect", 1, ended=True))


def test_a_word_costs_no_token_anything() -> None:
    progression = Progression()
    begun_at = time.perf_counter()
    for _ in range(10_000):
        progression.enter(Activity.DECODE, "step")
        progression.leave()
        progression.enter(Activity.AGREEING, "plan")
        progression.leave()
    # Measured 2 us for the four of a token; the bound is for a machine with other work.
    assert (time.perf_counter() - begun_at) / 10_000 < 100e-6


def was(runner: RunnerProcess, activity: Activity) -> bool:
    return activity in {word.activity for word in runner.of(Progress)}


def test_every_activity_is_told_as_it_happens() -> None:
    script = {"layers": 3, "layer_interval_s": 0.3, "warm_up_interval_s": 0.3, "token_interval_s": 0.3}
    script |= {"prefill_chunk_tokens": 1}
    with running(ranks=2, script=script, faults=[{"at": "prepare", "action": "sleep", "seconds": 0.6}]) as group:
        group.wait_for_phase(Phase.READY)
        for runner in group.runners:
            runner.wait_for(partial(was, runner, Activity.IDLE))
        group.start("a", sampling=SAMPLING)
        for runner in group.runners:
            runner.wait_for(partial(was, runner, Activity.DECODE))
        words = {runner.rank: runner.of(Progress) for runner in group.runners}
    for rank, said in words.items():
        activities = {word.activity for word in said}
        assert {Activity.LOADING, Activity.WARMING_UP, Activity.IDLE, Activity.PREFILL, Activity.DECODE} <= activities
        assert (Activity.PREPARING in activities) == (rank == 0)
        assert (3, 3) in {(word.done, word.total) for word in said if word.activity is Activity.LOADING}
        steps = [word.step for word in said]
        assert steps == sorted(steps)
    # While rank 0 prepares the request, rank 1 waits for it: the same step, and a collective that rank 0 did not begin.
    prepared = next(word for word in words[0] if word.activity is Activity.PREPARING)
    assert prepared.collective is not None
    number = prepared.collective.number + 1
    assert Progress(prepared.step, Activity.AGREEING, Collective("plan", number, ended=False)) in words[1]
