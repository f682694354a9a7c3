"""In-band markers: how a runner says in its own output streams whose output follows.

A marker is the control byte RS, a token of 128 random bits that only this runner and its supervisor know, a kind, its
fields, and the control byte US:

    + SERIAL NUMBER TASK    from here on this task, too, is in flight; it is called NUMBER from now on
    - SERIAL NUMBER         from here on it is not
    = NUMBER LENGTH         the next LENGTH bytes were written by Python code of this task (0: of no task)

`SERIAL` grows by one with each `+` and `-`; a runner writes the same ones to both of its streams. Each marker, with the
text that it announces, is one `write` of at most PIPE_BUF bytes, which the kernel never mixes with another writer's.
"""

import base64
import secrets
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

START_BYTE = b"\x1e"
END_BYTE = b"\x1f"
TOKEN_CHARACTERS = 22
MAX_MARKER_BYTES = 480
_MAX_NAME_BYTES = 384
_MAX_DIGITS = 18
_MAX_TEXT_BYTES = 64 * 1024


def new_token() -> str:
    """Return a fresh token: 128 random bits as text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()


class MarkerWriter:
    """Makes the markers of one runner. Pure.

    Args:
        token: What both ends know.
    """

    def __init__(self, token: str) -> None:
        self._start = start_of(token)

    def enter(self, serial: int, number: int, task_id: str) -> bytes:
        """Return the marker of a task that begins; none for an id too long to be marked, whose output is nobody's."""
        name = quote_from_bytes(task_id.encode("utf-8", "replace"), safe="").encode()
        return b"" if len(name) > _MAX_NAME_BYTES else self._marker(b"+%d %d %s" % (serial, number, name))

    def leave(self, serial: int, number: int) -> bytes:
        """Return the marker of a task that ends."""
        return self._marker(b"-%d %d" % (serial, number))

    def announce(self, number: int, length: int) -> bytes:
        """Return the marker that goes in front of text written at Python level."""
        return self._marker(b"=%d %d" % (number, length))

    def _marker(self, body: bytes) -> bytes:
        return self._start + body + END_BYTE


class Segment(NamedTuple):
    """A piece of output without its markers. `native` text belongs to all `tasks` that were in flight; text written at
    Python level belongs to its one task, or to none, and the runner itself reports its lines."""

    data: bytes
    tasks: tuple[str, ...]
    native: bool


class TasksChanged(NamedTuple):
    """From here on other tasks are in flight."""

    serial: int
    tasks: tuple[str, ...]


class MarkerParser:
    """Takes the markers out of one stream. Pure; the result does not depend on how the bytes were chunked.

    Bytes that only look like a marker pass unchanged. At most `MAX_MARKER_BYTES` are held back, and only while they
    may still become a marker.

    Args:
        token: What both ends know.
        max_tasks: Tasks that may be in flight; markers beyond that pass as text.
    """

    def __init__(self, token: str, max_tasks: int = 65_536) -> None:
        self._start = start_of(token)
        self._max_tasks = max_tasks
        self._held = b""
        self._names: dict[int, str] = {}
        self._tasks: tuple[str, ...] = ()
        self._announced_bytes = 0
        self._announced_tasks: tuple[str, ...] = ()
        self.serial = 0

    def feed(self, data: bytes) -> list[Segment | TasksChanged]:
        """Take bytes as they came and return what they mean, in order."""
        if not self._held and not self._announced_bytes and START_BYTE not in data:
            return [Segment(data, self._tasks, True)] if data else []
        found: list[Segment | TasksChanged] = []
        data, position = self._held + data, 0
        self._held = b""
        while position < len(data):
            if self._announced_bytes:
                position = self._take_announced(data, position, found)
            else:
                position = self._take_native(data, position, found)
        return found

    def finish(self) -> list[Segment | TasksChanged]:
        """The stream has ended: return what was held back, which did not become a marker."""
        held, self._held = self._held, b""
        return [Segment(held, self._tasks, True)] if held else []

    def _take_announced(self, data: bytes, position: int, found: list[Segment | TasksChanged]) -> int:
        end = min(position + self._announced_bytes, len(data))
        self._announced_bytes -= end - position
        found.append(Segment(data[position:end], self._announced_tasks, False))
        return end

    def _take_native(self, data: bytes, position: int, found: list[Segment | TasksChanged]) -> int:
        """Take text up to and with the next marker; return where to go on."""
        at = data.find(self._start, position)
        if at < 0:
            at = self._unfinished_start(data, position)
            self._add_native(data[position:at], found)
            self._held = data[at:]
            return len(data)
        self._add_native(data[position:at], found)
        body_at = at + len(self._start)
        end = data.find(END_BYTE, body_at, at + MAX_MARKER_BYTES)
        if end < 0 and len(data) - at < MAX_MARKER_BYTES:
            self._held = data[at:]
            return len(data)
        if end >= 0 and self._obey(data[body_at:end], found):
            return end + 1
        self._add_native(self._start, found)
        return body_at

    def _add_native(self, text: bytes, found: list[Segment | TasksChanged]) -> None:
        if text:
            found.append(Segment(text, self._tasks, True))

    def _unfinished_start(self, data: bytes, position: int) -> int:
        """Where a marker may begin whose first bytes are the last ones of the data; its length when nowhere."""
        at = data.find(START_BYTE, max(position, len(data) - len(self._start) + 1))
        while at >= 0 and not self._start.startswith(data[at:]):
            at = data.find(START_BYTE, at + 1)
        return len(data) if at < 0 else at

    def _obey(self, body: bytes, found: list[Segment | TasksChanged]) -> bool:
        """Do what a marker says; False when it is none that a runner writes."""
        kind, fields = body[:1], body[1:].split(b" ")
        if any(len(field) > _MAX_DIGITS or not field.isdigit() for field in fields[:2]) or len(fields) < 2:
            return False
        first, second = int(fields[0]), int(fields[1])
        if kind == b"=" and len(fields) == 2 and second <= _MAX_TEXT_BYTES:
            self._announced_bytes = second
            name = self._names.get(first)
            self._announced_tasks = () if name is None else (name,)
        elif kind == b"+" and len(fields) == 3 and len(self._names) < self._max_tasks:
            self._names[second] = unquote_to_bytes(fields[2]).decode("utf-8", "replace")
            self._change(first, found)
        elif kind == b"-" and len(fields) == 2:
            self._names.pop(second, None)
            self._change(first, found)
        else:
            return False
        return True

    def _change(self, serial: int, found: list[Segment | TasksChanged]) -> None:
        self.serial, self._tasks = serial, tuple(self._names.values())
        found.append(TasksChanged(serial, self._tasks))


def start_of(token: str) -> bytes:
    """Return the bytes that every marker of this token begins with.

    Raises:
        ValueError: When the token is not of the right length: a short one could be guessed.
    """
    if len(token) != TOKEN_CHARACTERS or not token.isascii():
        raise ValueError(f"the marker token has {len(token)} characters; it must have {TOKEN_CHARACTERS} ASCII ones")
    return START_BYTE + token.encode()
