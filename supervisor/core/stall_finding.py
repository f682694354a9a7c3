"""Who is behind in a stalled group, and the words for it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from supervisor.core.watchdog import RankObservation, Silence
from transports.progress import Activity, Collective, Progress

_IDLE_SHARE = 0.1
_SPINNING_SHARE = 0.3
_COUNTED = frozenset({Activity.LOADING, Activity.WARMING_UP, Activity.PREFILL})


def ranks_behind(observations: Sequence[RankObservation], words: Mapping[int, Progress]) -> tuple[int, ...]:
    """Name the ranks that the others wait for, by the hardest fact there is; all of them when nothing tells.

    A stopped process is behind. So is the one that counted fewer steps: after a stall all reports are in. Of ranks
    at the same step, the one that did not begin the collective that the others are in is behind; so is the one that
    is in another one than the rest. A rank that waits in a ring collective burns its core (MLX 0.32.4
    polls without a timeout), so one that does not, while others do, is the one that they wait for.
    """
    stopped = tuple(seen.rank for seen in observations if seen.stopped)
    if stopped:
        return stopped
    lowest, highest = min(seen.step for seen in observations), max(seen.step for seen in observations)
    if highest != lowest:
        return tuple(seen.rank for seen in observations if seen.step == lowest)
    apart = _in_another_collective([seen.rank for seen in observations], words)
    if apart:
        return apart
    shares = [seen.cpu_share for seen in observations if seen.cpu_share is not None]
    if len(shares) == len(observations) and min(shares) < _IDLE_SHARE < _SPINNING_SHARE < max(shares):
        return tuple(seen.rank for seen in observations if (seen.cpu_share or 0.0) < _IDLE_SHARE)
    return tuple(seen.rank for seen in observations)


def _in_another_collective(ranks: Sequence[int], words: Mapping[int, Progress]) -> tuple[int, ...]:
    collectives = {rank: words[rank].collective for rank in ranks if rank in words}
    if len(collectives) < len(ranks):
        return ()
    numbers = {rank: 0 if last is None else last.number for rank, last in collectives.items()}
    least = min(numbers.values())
    if max(numbers.values()) != least:
        return tuple(rank for rank in ranks if numbers[rank] == least)
    names = {rank: "" if last is None else last.name for rank, last in collectives.items()}
    counts = Counter(names.values()).most_common()
    rarest, count = counts[-1]
    if count == counts[0][1]:
        return ()
    return tuple(rank for rank in ranks if names[rank] == rarest)


def stall_sentence(seen: RankObservation, all_seen: Sequence[RankObservation], silences: Mapping[int, Silence]) -> str:
    """Say how one rank stands still and how the others differ; goes behind "Rank 1 "."""
    silence = silences[seen.rank]
    words = {rank: silence.word for rank, silence in silences.items()}
    others = [other for other in all_seen if other.rank != seen.rank]
    place = _place(seen, others, words)
    parts = [f"made no progress for {silence.silent_s:.3g} s", f"{_activity(silence)} and stands at {place}"]
    if seen.stopped:
        parts.append("its process is stopped")
    elif _waits_while_others_spin(seen, others):
        parts.append("its process uses no CPU while the others burn theirs")
    return "; ".join(parts)


def _activity(silence: Silence) -> str:
    word, budget = silence.word, silence.budget
    allowed = f"budget {budget.limit_s:.3g} s{', learned' if budget.is_learned else ''}"
    if word.activity is Activity.IDLE:
        return f"it did not take up its request ({allowed})"
    counted = f"{word.done} of {word.total}, " if word.activity in _COUNTED and word.total else ""
    return f"it was {word.activity.value} ({counted}{allowed})"


def _place(seen: RankObservation, others: Sequence[RankObservation], words: Mapping[int, Progress]) -> str:
    own = words[seen.rank].collective
    text = f"step {seen.step}{_told(own)}"
    if not others:
        return text
    steps = sorted({other.step for other in others})
    collectives = {words[other.rank].collective for other in others if other.rank in words}
    who = "the others" if len(others) > 1 else f"rank {others[0].rank}"
    if steps == [seen.step] and collectives == {own}:
        return f"{text}, like {who}"
    at = f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"
    return f"{text}, {who} at {at}{_told(collectives.pop()) if len(collectives) == 1 else ''}"


def _told(collective: Collective | None) -> str:
    if collective is None:
        return ""
    return f" {'after' if collective.ended else 'in'} collective '{collective.name}' {collective.number}"


def _waits_while_others_spin(seen: RankObservation, others: Sequence[RankObservation]) -> bool:
    spinning = bool(others) and all((other.cpu_share or 0.0) > _SPINNING_SHARE for other in others)
    return spinning and seen.cpu_share is not None and seen.cpu_share < _IDLE_SHARE
