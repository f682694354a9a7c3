"""Whatever runners write is kept byte for byte, bounded, and never waits for a disk."""

import os
import threading
import time
from pathlib import Path

import pytest

from supervisor.raw_log_folder import RawLogFolder
from supervisor.raw_logs import RawLogLimits, RawLogs

pytestmark = pytest.mark.usefixtures("nothing_left_behind")
RUN = "run-1"


def test_each_stream_of_each_rank_and_generation_has_its_file(tmp_path: Path):
    folder = RawLogFolder(tmp_path / "logs")
    logs = RawLogs(folder, RUN)
    logs.write(1, 0, "stderr", b"a\xff\0")
    logs.write(1, 1, "stdout", b"b")
    logs.write(1, 0, "stderr", b"c\n")
    logs.write(2, 0, "stderr", b"d")
    assert logs.close()
    assert folder.file(RUN, 1, 0, "stderr").read_bytes() == b"a\xff\0c\n"
    assert folder.file(RUN, 1, 1, "stdout").read_bytes() == b"b"
    assert folder.file(RUN, 2, 0, "stderr").read_bytes() == b"d"
    assert [(file.rank, file.stream) for file in folder.files(RUN, 1)] == [(0, "stderr"), (1, "stdout")]
    assert oct(folder.file(RUN, 2, 0, "stderr").stat().st_mode)[-3:] == "600"


def test_a_stream_is_rotated_and_bounded(tmp_path: Path):
    folder = RawLogFolder(tmp_path)
    logs = RawLogs(folder, RUN, RawLogLimits(max_file_bytes=1000, max_files=3))
    for number in range(100):
        logs.write(1, 0, "stderr", f"{number:099}\n".encode())
    assert logs.close()
    files = folder.files(RUN, 1)
    assert [file.age for file in files] == [2, 1, 0]
    text = b"".join(file.path.read_bytes() for file in files)
    assert text.splitlines() == [f"{number:099}".encode() for number in range(70, 100)]


def test_the_oldest_generations_make_room(tmp_path: Path):
    folder = RawLogFolder(tmp_path)
    logs = RawLogs(folder, RUN, RawLogLimits(max_total_bytes=2500))
    for generation in range(1, 6):
        logs.write(generation, 0, "stderr", b"x" * 1000)
    assert logs.close()
    for generation in range(1, 6):
        # Files of one moment have no order of their own.
        for file in folder.files(RUN, generation):
            os.utime(file.path, (generation, generation))
    folder.prune(2500, keep=folder.generation(RUN, 5))
    assert [number for number in range(1, 6) if folder.files(RUN, number)] == [4, 5]
    folder.prune(0, keep=folder.generation(RUN, 5))
    assert [number for number in range(1, 6) if folder.files(RUN, number)] == [5]


def test_a_name_that_is_no_run_never_becomes_a_path(tmp_path: Path):
    for name in ("..", "a/b", "", "x" * 65, "/etc"):
        with pytest.raises(ValueError, match="no run's id"):
            RawLogFolder(tmp_path).generation(name, 1)


def test_a_disk_that_does_not_answer_blocks_nobody_and_the_gap_is_said(tmp_path: Path):
    folder = RawLogFolder(tmp_path)
    path = folder.file(RUN, 1, 0, "stderr")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)  # opening it for writing waits for a reader, like a disk that hangs
    said: list[str] = []
    logs = RawLogs(folder, RUN, RawLogLimits(max_queued_bytes=100_000), said.append)
    slowest_s = 0.0
    for _ in range(1000):
        before = time.monotonic()
        logs.write(1, 0, "stderr", b"Z" * 1000)
        slowest_s = max(slowest_s, time.monotonic() - before)
    assert logs.dropped_bytes >= 900_000
    assert slowest_s < 1.0
    read: list[bytes] = []

    def drain() -> None:
        with path.open("rb") as pipe:
            while data := pipe.read(65536):
                read.append(data)

    reader = threading.Thread(target=drain)
    reader.start()
    assert logs.close(20.0)
    reader.join()
    text = b"".join(read)
    assert f"[ringwarden: {logs.dropped_bytes} bytes are missing here, the disk was too slow]".encode() in text
    assert text.count(b"Z") == 1_000_000 - logs.dropped_bytes
    assert said == [f"{logs.dropped_bytes} bytes of output are not in the raw logs: the disk was too slow"]
