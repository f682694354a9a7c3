"""Python tracebacks as blocks: which exception ended one, and where it was raised."""

import re
from collections import deque
from dataclasses import dataclass

from diagnostics.text import warns_of_failure

_HEADER = re.compile(r"Traceback \(most recent call last\)")
# faulthandler writes `line 3 in name`, without the comma: those are no frames of an exception.
_FRAME = re.compile(r"^[\s|│+-]*File \"[^\"]+\", line \d+(?:, in |\s*$)")
_GROUP_EDGE = re.compile(r"^\s*[|│] ?")
_EXCEPTION = re.compile(r"^(?P<type>(?:[A-Za-z_]\w*\.)+\w+|[A-Z]\w*)(?::(?:\s(?P<message>.*))?)?$")
_LONE = re.compile(r"^(?P<type>(?:[A-Za-z_]\w*\.)*_?[A-Z]\w*(?:Error|Exception|Interrupt))(?::\s(?P<message>.*))?$")
_IGNORED = re.compile(
    r"\bException ignored (?:in|on|while)\b|^--- Logging error ---|^Call stack:|^Stack \(most recent call last\)"
)
_CONNECTION_LOST = frozenset({"BrokenPipeError", "ConnectionResetError", "ConnectionAbortedError", "ClientDisconnect"})
_SERVER = re.compile(r"socketserver\.py|http/server\.py|wfile\.|starlette/|uvicorn/|aiohttp/web")
_BACKGROUND = re.compile(
    r"\bException in thread |Task exception was never retrieved|Exception in callback|Unhandled exception in "
    r"|Exception occurred during processing of request"
)
_CHAIN = re.compile(
    r"The above exception was the direct cause of the following|During handling of the above exception, another"
)
_BOX = ("╭", "╰", "─", "+-", "...", "[Previous line")
_GROUPS = frozenset({"ExceptionGroup", "BaseExceptionGroup"})
_MAX_BLOCK_LINES = 2000
_MAX_STRANGE_LINES = 8


@dataclass(frozen=True, slots=True)
class Raised:
    """The exception at the end of a block. `context` is the last frames with their source lines.

    `chained` ones followed from an exception that this stream showed before.
    `ignored` exceptions were swallowed by the interpreter; `background` ones ended only a thread or task; of
    `announced` ones a warning spoke before.
    """

    index: int
    type_name: str
    message: str
    context: str
    ignored: bool = False
    background: bool = False
    chained: bool = False
    announced: bool = False

    @property
    def client_left(self) -> bool:
        """Whether an HTTP server only noticed that its client was gone."""
        lost = self.type_name.rpartition(".")[2] in _CONNECTION_LOST
        return lost and _SERVER.search(self.context) is not None


class TracebackReader:
    """Follows tracebacks in a stream of lines, also when their beginning was cut off. Memory is bounded."""

    def __init__(self) -> None:
        self._active = False
        self._frames: deque[str] = deque(maxlen=24)
        self._lines = 0
        self._strange_lines = 0
        self._ignored = False
        self._background = False
        self._chained = False
        self._announced = False
        self._shown = False

    @property
    def active(self) -> bool:
        """Whether the next line may belong to a block."""
        return self._active

    def feed(self, index: int, text: str, previous: str) -> Raised | None:
        """Take the next line and the one before it; return the exception when the line ends a block.

        Neither may have rank tags in front. `previous` tells what a block that begins here is worth.
        """
        if _HEADER.search(text):
            self._begin(previous)
            return None
        if _FRAME.match(text):
            if not self._active:
                self._begin(previous)
            self._frames.append(text.strip(" |│+-")[:400])
            return None
        return self._inside(index, text) if self._active else None

    def _begin(self, previous: str) -> None:
        self._active = True
        self._ignored = is_ignored(previous)
        self._announced = warns_of_failure(previous)
        self._background = _BACKGROUND.search(previous) is not None
        self._chained = self._shown and _CHAIN.search(previous) is not None
        self._lines = self._strange_lines = 0
        self._frames.clear()

    def _inside(self, index: int, text: str) -> Raised | None:
        edge = _GROUP_EDGE.match(text)
        inner = text[edge.end() :] if edge else text
        self._lines += 1
        if not inner or inner[0] in " \t" or inner.lstrip().startswith(_BOX):
            self._frames.append(inner.strip()[:400])
            self._active = self._lines < _MAX_BLOCK_LINES
            return None
        found = _EXCEPTION.match(inner)
        if found is None:
            self._strange_lines += 1
            self._active = self._strange_lines < _MAX_STRANGE_LINES
            return None
        # Its members follow; those that were never raised have no traceback of their own.
        self._active = found["type"] in _GROUPS
        if self._active:
            return None
        raised = Raised(
            index,
            found["type"],
            found["message"] or "",
            "\n".join(self._frames),
            ignored=self._ignored,
            background=self._background,
            chained=self._chained,
            announced=self._announced,
        )
        self._shown = not raised.ignored
        return raised


def is_ignored(text: str) -> bool:
    """Whether the line says that the interpreter swallows the exception that follows."""
    return _IGNORED.search(text) is not None


def lone_exception(index: int, text: str) -> Raised | None:
    """The exception of a line that looks like a traceback's last one but has no traceback in front."""
    found = _LONE.match(text)
    return None if found is None else Raised(index, found["type"], found["message"] or "", "")
