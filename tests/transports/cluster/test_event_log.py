"""Events reach a follower in order and once; what cannot reach it any more is named."""

from hypothesis import given, settings
from hypothesis import strategies as st

from transports.cluster.bus_limits import BusLimits
from transports.cluster.event_log import EventFollower, EventLog, EventsLost, Followed, FollowedEvent

SMALL = BusLimits(max_message_bytes=100, max_kept_events=8, max_kept_event_bytes=400)

fates = st.lists(
    st.sampled_from(["arrives", "lost", "late", "twice", "asks", "answer lost", "told"]), min_size=1, max_size=80
)


@settings(max_examples=400, deadline=None)
@given(fates, st.randoms(use_true_random=False))
def test_every_event_is_seen_once_in_order_or_named_as_lost(plan, random):
    log, follower = EventLog(7, SMALL), EventFollower(7, 1, SMALL)
    seen: list[Followed] = []
    late: list[tuple[int, bytes]] = []
    now = 0.0
    for number, fate in enumerate(plan):
        now += 1
        if fate == "asks":
            ask(log, follower, seen, now)
            continue
        if fate == "answer lost":
            follower.question(now)
            continue
        if fate == "told":
            follower.told_end(7, log.next_sequence)
            continue
        event = str(number).encode()
        sequence = log.append(event)
        if fate in {"arrives", "twice"}:
            for _ in range(2 if fate == "twice" else 1):
                seen += follower.published(7, sequence, event)
        elif fate == "late":
            late.append((sequence, event))
        if late and random.random() < 0.3:
            seen += follower.published(7, *late.pop(random.randrange(len(late))))
    follower.told_end(7, log.next_sequence)
    for _ in range(100):
        now += 1
        ask(log, follower, seen, now)
    assert numbers(seen) == list(range(1, log.next_sequence))
    assert not follower.is_behind


def ask(log: EventLog, follower: EventFollower, seen: list[Followed], now: float) -> None:
    first = follower.question(now)
    if first is not None:
        seen += follower.repeated(7, *log.since(first, 50))


def numbers(seen: list[Followed]) -> list[int]:
    told: list[int] = []
    for one in seen:
        match one:
            case FollowedEvent():
                told.append(one.sequence)
            case EventsLost():
                told += range(one.first, one.last + 1)
    return told


def test_what_is_forgotten_is_told_as_lost():
    log, follower = EventLog(1, SMALL), EventFollower(1, 1, SMALL)
    for number in range(20):
        log.append(str(number).encode())
    follower.told_end(1, log.next_sequence)
    first = follower.question(0.0)
    assert first == 1
    followed = follower.repeated(1, *log.since(first, 1000))
    assert followed[0] == EventsLost(1, 12)
    assert [one.sequence for one in followed[1:] if isinstance(one, FollowedEvent)] == list(range(13, 21))


def test_the_log_keeps_no_more_than_its_limits():
    log = EventLog(1, SMALL)
    for _ in range(50):
        log.append(b"x" * 100)
    assert len(log.since(1, 10**6)[1]) == 4


def test_a_follower_holds_back_no_more_than_its_limits_and_asks_for_the_rest():
    log, follower = EventLog(1, BusLimits()), EventFollower(1, 1, SMALL)
    for number in range(100):
        log.append(str(number).encode())
        if number:
            assert follower.published(1, number + 1, str(number).encode()) == []
    seen: list[Followed] = []
    now = 0.0
    while follower.is_behind:
        now += 1
        first = follower.question(now)
        assert first is not None
        seen += follower.repeated(1, *log.since(first, 10))
    assert numbers(seen) == list(range(1, 101))


def test_events_of_another_head_are_not_mixed_in():
    follower = EventFollower(2, 5, SMALL)
    assert follower.published(1, 5, b"old head") == []
    assert follower.repeated(1, 9, (b"old head",)) == []
    follower.told_end(1, 99)
    assert not follower.is_behind
    assert follower.published(2, 5, b"new head") == [FollowedEvent(5, b"new head")]


def test_a_question_is_not_repeated_at_once():
    follower = EventFollower(1, 1, SMALL)
    follower.told_end(1, 2)
    assert follower.question(10.0) == 1
    assert follower.question(10.1) is None
    assert follower.question(11.0) == 1
