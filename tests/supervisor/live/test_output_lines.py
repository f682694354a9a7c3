"""Lines with their tasks, however the stream was cut, and no more of a flood than a screen can take."""

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.live.output_lines import OutputLines, Skipped, TaskLine
from transports.markers import Segment


def fed(subject: OutputLines, *pieces: Segment, now: float = 1.0) -> list[TaskLine | Skipped]:
    return list(subject.feed(pieces, now))


def test_a_line_belongs_to_the_tasks_that_were_in_flight_as_it_was_written():
    subject = OutputLines()
    assert fed(subject, Segment(b"at rest\n", (), native=True)) == [TaskLine("at rest", (), "none")]
    assert fed(subject, Segment(b"one\n", ("a",), native=True)) == [TaskLine("one", ("a",), "exact")]
    assert fed(subject, Segment(b"both\n", ("a", "b"), native=True)) == [TaskLine("both", ("a", "b"), "shared")]


def test_a_line_that_was_begun_for_other_tasks_is_not_continued():
    subject = OutputLines()
    assert fed(subject, Segment(b"of a", ("a",), native=False), Segment(b"of b\n", ("b",), native=False)) == [
        TaskLine("of a", ("a",), "exact"),
        TaskLine("of b", ("b",), "exact"),
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20), st.data())
def test_lines_do_not_depend_on_how_the_stream_was_cut(lines: list[bytes], data: st.DataObject):
    text = b"".join(line.replace(b"\n", b"").replace(b"\r", b"") + b"\n" for line in lines)
    whole, cut = OutputLines(), OutputLines()
    expected = [*fed(whole, Segment(text, (), native=True)), *whole.finish()]
    found: list[TaskLine | Skipped] = []
    while text:
        size = data.draw(st.integers(1, len(text)))
        found += fed(cut, Segment(text[:size], (), native=True))
        text = text[size:]
    assert [*found, *cut.finish()] == expected


def test_of_a_flood_a_part_is_shown_and_the_rest_is_counted():
    subject = OutputLines(max_bytes_per_s=100)
    block = Segment(b"x" * 39 + b"\n", (), native=True)
    assert fed(subject, *[block] * 10) == [TaskLine("x" * 39, (), "none")] * 2
    assert fed(subject, block, now=2.0) == [Skipped(320), TaskLine("x" * 39, (), "none")]
    together = Segment(block.data * 10, (), native=True)
    assert fed(subject, together, now=3.0) == [TaskLine("x" * 39, (), "none")] * 2
    assert fed(subject, block, now=4.0)[0] == Skipped(320)


def test_of_a_flood_of_short_lines_a_part_is_shown():
    subject = OutputLines(max_lines_per_s=3)
    assert fed(subject, Segment(b"x\n" * 10, (), native=True)) == [TaskLine("x", (), "none")] * 3
    assert fed(subject, Segment(b"y\n", (), native=True), now=2.0) == [Skipped(14), TaskLine("y", (), "none")]


def test_what_was_skipped_last_is_told_when_the_stream_ends():
    subject = OutputLines(max_bytes_per_s=10)
    assert fed(subject, Segment(b"z" * 40 + b"\n", (), native=True)) == []
    assert list(subject.finish()) == [Skipped(41)]
    assert list(subject.finish()) == []


def test_a_long_line_comes_in_pieces_and_an_empty_one_not_at_all():
    subject = OutputLines(max_line_bytes=64)
    lines = fed(subject, Segment(b"y" * 150 + b"\n\n \n", (), native=True))
    assert [len(line.text) for line in lines if isinstance(line, TaskLine)] == [64, 64, 22]
