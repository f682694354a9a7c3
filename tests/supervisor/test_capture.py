"""What tasks say, kept in bounded memory, handed over when the last rank has said its last word."""

from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.attribution import NO_MORE_MARKERS, Attributed, AttributedStream
from supervisor.capture.bounded_text import BoundedText
from supervisor.capture.captures import Captures
from supervisor.capture.tags import tags_of
from supervisor.capture.task_capture import CaptureLimits
from supervisor.journal.records import CapturedLog, Record, TaskRecord
from supervisor.journal.tags import check_tags
from supervisor.observation import Observation
from tests.supervisor.group_harness import eventually
from transports.markers import MarkerWriter, Segment
from transports.messages import TaskFinished
from transports.output_events import OutputStream, TaskLog, TaskOutputEnded, TaskStderr

pytestmark = pytest.mark.anyio
TOKEN = "A" * 22
WRITER = MarkerWriter(TOKEN)
FINISHED = TaskFinished("a", "stop", 1, 1)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=20))
def test_text_keeps_its_two_ends_and_counts_the_rest(pieces: list[bytes]) -> None:
    text, whole = BoundedText(40), b"".join(pieces)
    for piece in pieces:
        text.add(piece)
    assert text.dropped_bytes == max(0, len(whole) - 40)
    assert bool(text) == bool(whole)
    if len(whole) <= 40:
        assert text.text() == whole.decode("utf-8", "replace")
    else:
        note = f"\n... {len(whole) - 40} bytes left out ...\n"
        assert text.text() == whole[:10].decode("utf-8", "replace") + note + whole[-30:].decode("utf-8", "replace")


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=64), st.text(max_size=20), max_size=16))
def test_any_metadata_becomes_tags_that_the_journal_takes(metadata: dict[str, str]) -> None:
    tags = tags_of(metadata)
    check_tags(tags)
    assert list(tags.values()) == list(metadata.values())


def test_names_stay_readable() -> None:
    tags = tags_of({"User-Id": "1", "user_id": "2", "3rd": "3", "experiment": "4"})
    assert tags == {"user_id": "1", "user_id_2": "2", "tag_3rd": "3", "experiment": "4"}


@settings(deadline=None)
@given(st.lists(st.integers(0, 200), max_size=8))
def test_native_lines_do_not_depend_on_the_chunking(cuts: list[int]) -> None:
    data = (
        WRITER.enter(1, 1, "a")
        + b"one\ntw"
        + WRITER.announce(1, 7)
        + b"python\n"
        + b"o\nunfinished"
        + WRITER.enter(2, 2, "b")
        + b"both\n"
        + WRITER.leave(3, 1)
        + b"last"
    )
    stream = AttributedStream("stderr", TOKEN)
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    found = [stream.feed(data[start:end], 0.0) for start, end in pairwise(places)]
    found.append(stream.finish())
    assert b"".join(one.plain for one in found) == b"one\ntwpython\no\nunfinishedboth\nlast"
    assert [line for one in found for line in one.lines] == [
        TaskStderr("a", "one"),
        TaskStderr("a", "two"),
        TaskStderr("a", "unfinished"),
        TaskStderr("a", "both", "shared"),
        TaskStderr("b", "both", "shared"),
        TaskStderr("b", "last"),
    ]
    assert found[-1].serial == NO_MORE_MARKERS


def test_a_native_flood_is_cut_as_lines_and_whole_as_text() -> None:
    stream = AttributedStream("stderr", TOKEN, max_native_bytes_per_s=100)
    stream.feed(WRITER.enter(1, 1, "a"), 0.0)
    found = [stream.feed(b"x" * 39 + b"\n", 0.5) for _ in range(10)]
    assert sum(len(one.lines) for one in found) == 2
    assert sum(len(segment.data) for one in found for segment in one.segments) == 400
    assert len(stream.feed(b"again\n", 2.0).lines) == 1


class Kept:
    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, record: Record) -> None:
        self.records.append(record)

    @property
    def logs(self) -> list[CapturedLog]:
        return [record for record in self.records if isinstance(record, CapturedLog)]


def captures(kept: Kept | None, *, world_size: int = 1, settle_s: float = 60.0) -> Captures:
    observation = Observation("run-1", sink=kept)
    limits = CaptureLimits(settle_s=settle_s)
    made = Captures(observation, model="m", limits=limits)
    made.begin_generation(["here"] * world_size)
    return made


def wrote(subject: Captures, stream: OutputStream, text: bytes, serial: int) -> None:
    subject.output(0, stream, Attributed(text, (Segment(text, ("a",), True),), (), serial))


@settings(deadline=None)
@given(st.permutations(["end", "last word", "stdout", "stderr"]))
def test_a_record_waits_for_the_last_word_on_all_three_ways(order: list[str]) -> None:
    kept = Kept()
    subject = captures(kept)
    subject.started("a", 1, {})
    for number, step in enumerate(order):
        assert kept.logs == [], order[:number]
        if step == "end":
            subject.ended(FINISHED)
        elif step == "last word":
            subject.event(0, TaskLog("a", 30, "logger", "text"))
            subject.event(0, TaskOutputEnded("a", 2))
        else:
            wrote(subject, "stdout" if step == "stdout" else "stderr", step.encode(), 2)
    (log,) = kept.logs
    assert (log.stdout, log.stderr, log.python_logs) == ("stdout", "stderr", "WARNING logger: text\n")


def test_every_rank_is_waited_for_and_a_silent_follower_leaves_no_record() -> None:
    kept = Kept()
    subject = captures(kept, world_size=2)
    subject.started("a", 1, {"x": "1"})
    subject.ended(FINISHED)
    for rank in (0, 1):
        assert kept.logs == []
        subject.event(rank, TaskOutputEnded("a", 0))
    assert [(log.rank, log.tags) for log in kept.logs] == [(0, {"x": "1"})]


async def test_a_rank_that_never_says_its_last_word_is_not_waited_for_long() -> None:
    kept = Kept()
    subject = captures(kept, settle_s=0.05)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        subject.started("a", 1, {})
        wrote(subject, "stdout", b"so far", 1)
        subject.ended(FINISHED)
        await eventually(lambda: bool(kept.logs), "the record")
        tasks.cancel_scope.cancel()
    assert kept.logs[0].stdout == "so far"


def test_a_new_task_of_the_same_id_gets_nothing_of_the_old_one() -> None:
    kept = Kept()
    subject = captures(kept)
    subject.started("a", 1, {})
    wrote(subject, "stdout", b"old", 1)
    subject.ended(FINISHED)
    subject.started("a", 1, {})
    wrote(subject, "stdout", b"new", 1)
    subject.ended(FINISHED)
    subject.close()
    assert [log.stdout for log in kept.logs] == ["old", "new"]
    assert len({log.log_id for log in kept.logs}) == 2


def test_nothing_is_collected_when_nobody_listens() -> None:
    subject = captures(None)
    subject.started("a", 1, {})
    wrote(subject, "stdout", b"text", 1)
    subject.ended(FINISHED)
    assert vars(subject)["_open"] == {}
    assert vars(subject)["_ending"] == {}


def test_a_task_is_recorded_at_both_ends() -> None:
    kept = Kept()
    subject = captures(kept)
    subject.started("a", 3, {})
    subject.ended(FINISHED)
    begun, ended = (record for record in kept.records if isinstance(record, TaskRecord))
    assert (begun.ended_at, begun.generation) == (None, 3)
    assert (ended.detail, ended.completion_tokens, ended.started_at) == ("stop", 1, begun.started_at)
