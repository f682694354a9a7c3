"""Raw logs: every byte in order, within the limit, and honest about what a full disk lost."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from supervisor.raw_log import RawLog


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


def kept(path: Path) -> bytes:
    """All files, oldest first."""
    numbered = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: -int(file.suffix[1:]))
    return b"".join(file.read_bytes() for file in [*numbered, path] if file.exists())


def test_everything_is_kept_in_order_while_there_is_room(tmp_path: Path) -> None:
    log = RawLog(tmp_path / "rank-0.log", max_file_bytes=10, max_files=3)
    for piece in (b"0123", b"456789a", b"bcdef\n"):
        log.write(piece)
    log.close()
    assert kept(log.path) == b"0123456789abcdef\n"
    assert (tmp_path / "rank-0.log.1").read_bytes() == b"0123456789"
    assert log.path.stat().st_mode & 0o777 == 0o600


@given(pieces=st.lists(st.binary(max_size=40)), max_file_bytes=st.integers(1, 25), max_files=st.integers(1, 4))
def test_the_newest_bytes_are_kept_whatever_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], max_file_bytes: int, max_files: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = RawLog(path, max_file_bytes=max_file_bytes, max_files=max_files)
    for piece in pieces:
        log.write(piece)
    log.close()
    written, found = b"".join(pieces), kept(path)
    assert written.endswith(found)
    assert len(found) <= max_file_bytes * max_files
    assert len(found) >= min(len(written), max_file_bytes * (max_files - 1) + 1)


def test_a_log_is_continued(tmp_path: Path) -> None:
    for text in (b"first ", b"second"):
        log = RawLog(tmp_path / "log", max_file_bytes=100, max_files=2)
        log.write(text)
        log.close()
    assert (tmp_path / "log").read_bytes() == b"first second"


def test_a_full_disk_is_counted_said_once_and_marked_in_the_file(
    tmp_path: Path, complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RawLog(tmp_path / "log", max_file_bytes=1000, max_files=2)
    log.write(b"before")

    def full(_fd: int, _data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        log.write(b"lost")
        log.write(b"lost too")
    log.write(b"after")
    log.close()
    assert log.dropped_bytes == 12
    assert log.path.read_bytes() == b"before\n[ringwarden: 12 bytes are missing here, the disk took no writes]\nafter"
    assert len(complaints) == 1
    assert "No space left" in complaints[0]


def test_a_folder_that_is_gone_is_no_error(tmp_path: Path, complaints: list[str]) -> None:
    log = RawLog(tmp_path / "nowhere" / "log", max_file_bytes=1000, max_files=2)
    log.write(b"lost")
    log.close()
    assert log.dropped_bytes == 4
    assert len(complaints) == 1


def test_limits_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RawLog(tmp_path / "log", max_file_bytes=0, max_files=1)
