"""The relay: whole lines with their label, floods counted and not shown."""

from supervisor.output_relay import OutputRelay


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def relay(max_bytes_per_s: int = 1000) -> tuple[OutputRelay, list[str], Clock]:
    lines: list[str] = []
    clock = Clock()
    return OutputRelay("[rank 1 stderr]", lines.append, max_bytes_per_s, clock), lines, clock


def test_lines_split_over_chunks_are_joined() -> None:
    stream, lines, _ = relay()
    for chunk in (b"one\ntw", b"o\nthr", b"ee"):
        stream.feed(chunk)
    assert lines == ["[rank 1 stderr] one", "[rank 1 stderr] two"]


def test_a_flood_is_counted_and_the_next_second_starts_clean() -> None:
    stream, lines, clock = relay()
    stream.feed(b"first\nhalf a li")
    stream.feed(b"x" * 2000)
    stream.feed(b"y" * 3000)
    clock.now += 1.0
    stream.feed(b"again\n")
    assert lines == [
        "[rank 1 stderr] first",
        "[rank 1 stderr] (5000 bytes came too fast and are not shown)",
        "[rank 1 stderr] again",
    ]


def test_a_flood_of_short_lines_costs_no_more_than_their_most():
    stream, lines, clock = relay(max_bytes_per_s=64 * 1024)
    stream.feed(b"x\n" * 30_000)
    assert lines == ["[rank 1 stderr] x"] * 1_000
    clock.now += 1.0
    stream.feed(b"again\n")
    assert lines[-2:] == ["[rank 1 stderr] (58000 bytes came too fast and are not shown)", "[rank 1 stderr] again"]


def test_small_output_goes_on_within_the_room_that_is_left() -> None:
    stream, lines, _ = relay(max_bytes_per_s=10)
    stream.feed(b"123456789\n")
    stream.feed(b"more\n")
    assert lines == ["[rank 1 stderr] 123456789"]
