"""From what was recognised to a `Diagnosis`: the advice, the evidence, the words."""

import re

from diagnostics.cause import Cause
from diagnostics.causes import CAUSES
from diagnostics.evidence import Diagnostic, OperatingSystem
from diagnostics.exit_status import signal_name
from diagnostics.incident import Confidence, Diagnosis

SIGABRT, SIGKILL, SIGSEGV, SIGTERM = 6, 9, 11, 15
CRASH_SIGNALS = frozenset({4, 5, 8})
ENDED_FROM_OUTSIDE = frozenset({1, 2, SIGKILL, SIGTERM})
_OWN_SOCKET = re.compile(r"errno 9\b")


def closed_itself(diagnostic: Diagnostic) -> bool:
    """EBADF as the first word about a peer: nobody else closes this process's sockets."""
    return diagnostic.symptom and _OWN_SOCKET.search(diagnostic.text) is not None


def crash_by_signal(signal: int, system: OperatingSystem) -> tuple[Cause, str]:
    """What an exit by `signal` means without any message: the cause, and a predicate."""
    name = signal_name(signal, system)
    if signal == SIGSEGV:
        return Cause.SEGFAULT, f"crashed with {name}, a segmentation fault"
    if name == "SIGBUS":
        return Cause.BUS_ERROR, f"crashed with {name}, a bus error"
    if signal == SIGABRT:
        return Cause.ABORT_OTHER, f"aborted with {name}"
    if signal in CRASH_SIGNALS:
        return Cause.ABORT_OTHER, f"crashed with {name}"
    if signal in ENDED_FROM_OUTSIDE:
        return Cause.KILLED_NO_STDERR, f"was killed by {name}"
    return Cause.UNKNOWN, f"was ended by {name}"


def diagnosis_told_by(diagnostic: Diagnostic, confidence: Confidence) -> Diagnosis:
    """The diagnosis that a recognised message gives."""
    facts = CAUSES[diagnostic.kind]
    own_socket = closed_itself(diagnostic)
    own_words = f"used a ring socket that it had closed itself; its first message was: {diagnostic.text.strip()}"
    return Diagnosis(
        cause=diagnostic.kind,
        confidence=confidence,
        message=own_words if own_socket else diagnostic.message,
        advice=facts.advice,
        retryable=facts.retryable,
        peer_loss=diagnostic.symptom and not own_socket,
        evidence=diagnostic.evidence,
        evidence_line=diagnostic.line,
        decisive=_index(diagnostic.line, diagnostic.evidence_lines),
    )


def diagnosis_of(cause: Cause, confidence: Confidence, message: str, tail: tuple[str, ...] = ()) -> Diagnosis:
    """A diagnosis that rests on something else than a message; `tail` is the end of stderr, for the reader."""
    facts = CAUSES[cause]
    return Diagnosis(
        cause=cause,
        confidence=confidence,
        message=message,
        advice=facts.advice,
        retryable=facts.retryable,
        peer_loss=False,
        evidence=tail,
    )


def _index(line: int, lines: tuple[int, ...]) -> int | None:
    return lines.index(line) if line in lines else None
