"""Verdicts over logs that were collected by hand."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.incident import Confidence, Verdict
from diagnostics.post_mortem import RankLog, examine_group
from diagnostics.ring_neighbours import unreached
from tests.diagnostics.capture_truth import GROUPS
from tests.diagnostics.captures import Capture, rank_logs, read_captures, report_of

RINGS = Path(__file__).parents[1] / "corpora" / "rings" / "captures.jsonl"
CLOSED = "[ring] Socket 3 was closed by the peer\n"
SENDING = "[ring] Sending to socket 6 failed with errno 32\n"
REFUSED = "Traceback (most recent call last):\nRuntimeError: [ring] Couldn't connect (error: 111)\n"
RAISED = "Traceback (most recent call last):\n  File 'a.py', line 1\nValueError: no such layer\n"
ALIVE = "alive"


def log(rank: int, text: str = "", end: int | str | None = None) -> RankLog:
    status = None
    if isinstance(end, int):
        status = ExitStatus(signal=-end) if end < 0 else ExitStatus(code=end)
    return RankLog(rank, report_of(text), status, alive=end == ALIVE)


def verdict_over(*logs: RankLog) -> Verdict:
    verdict = examine_group(logs, OperatingSystem.LINUX).verdict
    assert verdict is not None
    return verdict


def test_all_that_exited_with_0_are_well() -> None:
    outcome = examine_group([log(rank, end=0) for rank in range(4)], OperatingSystem.LINUX)
    assert (outcome.verdict, outcome.ranks) == (None, dict.fromkeys(range(4)))


@pytest.mark.parametrize("size", range(2, 9))
def test_who_exited_while_the_others_needed_it_left_early(size: int) -> None:
    for early in range(size):
        for others in ((CLOSED, 1), ("", ALIVE)):
            verdict = verdict_over(*(log(one, "", 0) if one == early else log(one, *others) for one in range(size)))
            assert (verdict.rank, verdict.kind) == (early, Cause.EXITED_EARLY)
            assert verdict.sentence == f"Rank {early} exited with code 0 while other ranks still needed it."


@pytest.mark.parametrize("size", range(2, 9))
@pytest.mark.parametrize(
    ("text", "end", "kind"),
    [
        ("", -9, Cause.KILLED_NO_STDERR),
        ("", -11, Cause.SEGFAULT),
        (RAISED, 1, Cause.PYTHON_EXCEPTION_OTHER),
        ("", 3, Cause.UNKNOWN),
    ],
)
def test_who_failed_is_named_whoever_complains(size: int, text: str, end: int, kind: Cause) -> None:
    for fault in range(size):
        others = [log(one, (CLOSED, SENDING, "")[one % 3], (1, ALIVE)[one % 2]) for one in range(size) if one != fault]
        others = [one if one.report.total_lines or one.alive else log(one.rank, CLOSED, 1) for one in others]
        verdict = verdict_over(log(fault, text, end), *others)
        assert (verdict.rank, verdict.kind) == (fault, kind)


@pytest.mark.parametrize("size", range(3, 9))
def test_an_absent_rank_is_named_and_not_who_could_not_connect_to_it(size: int) -> None:
    for absent in range(size - 1):
        caller = (absent - 1) % size
        present = [log(one, *((REFUSED, 1) if one == caller else ("", ALIVE))) for one in range(size) if one != absent]
        verdict = verdict_over(*present)
        assert (verdict.rank, verdict.kind) == (absent, Cause.RING_CONNECT_FAILED)


def test_most_that_ended_well_are_not_blamed_for_one_that_did_not_end() -> None:
    verdict = verdict_over(log(0, "", 0), log(1, "", ALIVE), log(2, "", 0))
    assert (verdict.rank, verdict.kind) == (1, Cause.STALLED)
    assert verdict.sentence == "Rank 1 had not ended when the logs were collected."


def test_an_error_of_its_own_comes_before_what_a_launcher_killed_afterwards() -> None:
    assert verdict_over(log(0, "", -15), log(1, RAISED, 1), log(2, "", -9)).rank == 1
    assert verdict_over(log(0, "", -15), log(1, "", -9), log(2, "", -15)).rank == 1


def test_a_group_that_was_killed_as_a_whole_is_undetermined() -> None:
    verdict = verdict_over(*(log(rank, "", -2) for rank in range(3)))
    assert (verdict.rank, verdict.kind, verdict.suspects) == (None, Cause.KILLED_NO_STDERR, (0, 1, 2))


def test_the_same_error_on_several_ranks_names_the_first_and_says_that_it_is_not_sure() -> None:
    verdict = verdict_over(*(log(rank, RAISED, 1) for rank in (2, 0, 1)))
    assert (verdict.rank, verdict.suspects, verdict.confidence) == (0, (1, 2), Confidence.LIKELY)


def test_a_rank_that_raised_and_stayed_is_the_cause() -> None:
    verdict = verdict_over(log(0, "", ALIVE), log(1, RAISED, ALIVE), log(2, "", ALIVE))
    assert (verdict.rank, verdict.kind) == (1, Cause.PYTHON_EXCEPTION_OTHER)


def test_a_rank_between_others_of_which_nothing_was_collected() -> None:
    verdict = verdict_over(log(0, "", ALIVE), log(2, "", ALIVE), log(3, "", ALIVE))
    assert (verdict.rank, verdict.confidence) == (1, Confidence.POSSIBLE)


def test_exits_that_nobody_noted() -> None:
    assert examine_group([log(0), log(1)], OperatingSystem.LINUX).verdict is None
    assert verdict_over(log(0, CLOSED), log(1), log(2, SENDING)).rank == 1


def test_where_the_chain_of_refusals_ends() -> None:
    assert unreached([1, 2], 3) == (0,)
    assert unreached([0, 1], 2) == ()


def test_verdicts_are_the_same_for_every_order_of_the_logs() -> None:
    for capture in read_captures(RINGS):
        logs = rank_logs(capture)
        assert examine_group(logs, OperatingSystem.LINUX) == examine_group(logs[::-1], OperatingSystem.LINUX)


def quiet(capture: Capture) -> bool:
    """Its text names no rank, so its ranks may be given other numbers."""
    return not any("Rank " in text or "from 0" in text for text in capture["ranks"].values())


@pytest.mark.parametrize("capture", [one for one in read_captures(RINGS) if quiet(one)], ids=lambda one: one["id"])
def test_a_ring_that_is_turned_turns_its_verdict(capture: Capture) -> None:
    logs, truth = rank_logs(capture), GROUPS[capture["scenario"]]
    before = examine_group(logs, OperatingSystem.LINUX).verdict
    size = len(logs)
    for turn in range(1, size):
        turned = [RankLog((one.rank + turn) % size, one.report, one.exit_status, one.alive) for one in logs]
        after = examine_group(turned, OperatingSystem.LINUX).verdict
        if before is None or truth is None or after is None:
            assert before is after
            continue
        assert blamed(after) == {(rank + turn) % size for rank in blamed(before)}
        if before.rank is not None and not before.suspects:
            assert after.rank == (before.rank + turn) % size


def blamed(verdict: Verdict) -> set[int]:
    return {*verdict.suspects, *(() if verdict.rank is None else (verdict.rank,))}


WORDS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from([CLOSED, SENDING, REFUSED, RAISED, "[ring] Too many send/recv errors. Aborting...\n"]),
        st.builds("[ring] Rank {} connecting to {}\n".format, st.integers(0, 9999), st.integers(0, 9999)),
        st.builds("[ring] Rank {} accepting\n".format, st.integers(0, 9999)),
        st.builds("Invalid destination=9 for a group of size {}\n".format, st.integers(0, 9999)),
    ),
    max_size=4,
).map("".join)
ENDS = st.one_of(st.none(), st.just(ALIVE), st.integers(-31, 255))
LOGS = st.dictionaries(st.integers(0, 10**9) | st.integers(0, 8), st.tuples(WORDS, ENDS), min_size=1, max_size=5)


@settings(deadline=None, max_examples=150)
@given(LOGS, st.sampled_from(list(OperatingSystem)))
def test_any_logs_give_one_true_looking_sentence(
    ranks: dict[int, tuple[str, int | str | None]], system: OperatingSystem
) -> None:
    logs = [log(rank, text.encode("utf-8", "replace").decode(), end) for rank, (text, end) in ranks.items()]
    outcome = examine_group(logs, system)
    assert outcome == examine_group(logs[::-1], system)
    assert set(outcome.ranks) == set(ranks)
    if outcome.verdict is not None:
        assert outcome.verdict.sentence.endswith(".")
        assert outcome.verdict.rank is not None or outcome.verdict.suspects
