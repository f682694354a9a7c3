"""The writer of our own output, with real pipes whose readers are slow or gone."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator

import pytest

from supervisor.run.output_writer import OutputWriter
from tests.supervisor.conftest import wait_until

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def notice(lines: int, size_bytes: int) -> bytes:
    return b"<%d %d>\n" % (lines, size_bytes)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()


def test_blocks_come_whole_and_in_order(pipe: tuple[int, int]) -> None:
    reader, writer_end = pipe
    writer = OutputWriter(writer_end, notice)
    blocks = [bytes([65 + number % 26]) * (1 + number * 37 % 5000) + b"\n" for number in range(500)]

    def write() -> None:
        for block in blocks:
            writer.write(block)
        writer.close()
        assert writer.wait_written(20)
        os.close(writer_end)

    thread = threading.Thread(target=write)
    thread.start()
    assert read_all(reader) == b"".join(blocks)
    thread.join()


def test_a_slow_reader_costs_output_which_is_counted_where_it_is_missing(pipe: tuple[int, int]) -> None:
    reader, writer_end = pipe
    writer = OutputWriter(writer_end, notice, max_pending_bytes=200_000)
    longest_s = 0.0
    for number in range(1000):
        before = time.monotonic()
        writer.write(b"%05d " % number + b"x" * 993 + b"\n")
        longest_s = max(longest_s, time.monotonic() - before)
    writer.say(b"the verdict\n")
    writer.close()
    assert longest_s < 0.5, "writing never waits for the reader"
    ends: list[bytes] = []
    thread = threading.Thread(target=lambda: ends.append(read_all(reader)))
    thread.start()
    assert writer.wait_written(20)
    os.close(writer_end)
    thread.join()
    lines = ends[0].split(b"\n")[:-1]
    shown = [line for line in lines if line.endswith(b"xxx")]
    gaps = [line for line in lines if line.startswith(b"<")]
    assert [int(line[:5]) for line in shown] == list(range(len(shown)))
    assert gaps == [b"<%d %d>" % (1000 - len(shown), 1000 * (1000 - len(shown)))]
    assert lines[-1] == b"the verdict"


def test_a_reader_that_left_is_told_once_and_costs_nothing(pipe: tuple[int, int]) -> None:
    reader, writer_end = pipe
    told: list[int] = []
    writer = OutputWriter(writer_end, notice, on_gone=lambda: told.append(1), max_pending_bytes=1000)
    os.close(reader)
    writer.write(b"nobody\n")
    wait_until(lambda: told == [1], "the loss was told")
    writer.write(b"x" * 100)
    writer.close()
    assert writer.wait_written(5)
    assert told == [1]


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, writer_end = pipe
    flags = fcntl.fcntl(writer_end, fcntl.F_GETFL)
    fcntl.fcntl(writer_end, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    writer = OutputWriter(writer_end, notice)
    writer.write(b"y" * 1_000_000 + b"\n")
    writer.close()
    ends: list[bytes] = []
    thread = threading.Thread(target=lambda: ends.append(read_all(reader)))
    thread.start()
    assert writer.wait_written(20)
    os.close(writer_end)
    thread.join()
    assert ends == [b"y" * 1_000_000 + b"\n"]
