"""One runner's evidence -> one diagnosis. Never raises, whatever the evidence holds."""

from collections.abc import Callable

from msgspec.structs import replace

from diagnostics.cause import Cause
from diagnostics.collector import DiagnosticCollector
from diagnostics.diagnosing import (
    ENDED_FROM_OUTSIDE,
    SIGABRT,
    SIGKILL,
    SIGSEGV,
    closed_itself,
    crash_by_signal,
    diagnosis_of,
    diagnosis_told_by,
)
from diagnostics.evidence import DeathEvidence, Diagnostic, OperatingSystem, RunnerTerminationError
from diagnostics.exit_status import describe_exit, signal_name, signal_of
from diagnostics.incident import Confidence, Diagnosis
from diagnostics.kill import diagnose_sigkill
from diagnostics.phase import STARTING_PHASES, Phase
from diagnostics.root_cause import SIGNATURES, root_cause, strength_of
from diagnostics.signature import Strength
from diagnostics.signatures.python import BACKGROUND_EXCEPTION, PYTHON_EXCEPTION

_ON_REQUEST = (Phase.SHUTTING_DOWN, Phase.SHUTDOWN)
_OVERRULED_FINDINGS = frozenset({Cause.STALLED, Cause.START_TIMEOUT})
_OF_PYTHON = frozenset({PYTHON_EXCEPTION.id, BACKGROUND_EXCEPTION.id})
_LAST_LINES = 6
"""How many lines a process may still write on its way out, after the exception that ended it."""
_MAX_TERMINATION_CHARACTERS = 256 * 1024


def classify(evidence: DeathEvidence) -> Diagnosis:
    """Say why the runner died, from its own evidence only.

    The first rule of `RULES` that has an answer decides.

    Args:
        evidence: Everything known about the death; `exit_status` None means that the process has not ended.
    """
    facts = _Facts(evidence)
    for rule in RULES:
        diagnosis = rule(facts)
        if diagnosis is not None:
            return diagnosis
    return _unknown(facts)


class _Facts:
    """The evidence, read once."""

    def __init__(self, evidence: DeathEvidence) -> None:
        self.evidence = evidence
        self.system = evidence.operating_system
        self.raised = _read_termination(evidence.termination_error, self.system)
        self.printed = evidence.stderr.root_cause
        self.signal = signal_of(evidence.exit_status)
        self.ours = self.signal is not None and self.signal in evidence.signals_sent
        self.symptom = next((one for one in evidence.stderr.diagnostics if one.symptom and not one.handled), None)

    @property
    def told_before_finding(self) -> Diagnostic | None:
        """What the runner had said when the supervisor decided about it, or at all if that moment is not known."""
        condemned = self.evidence.condemned
        if condemned is None:
            return self.raised or self.printed
        earlier = (one for one in self.evidence.stderr.diagnostics if one.line < condemned.stderr_lines)
        return (self.raised if condemned.had_raised else None) or root_cause(earlier)

    @property
    def exit_words(self) -> str:
        return describe_exit(self.evidence.exit_status, self.system)


def _read_termination(error: RunnerTerminationError | None, system: OperatingSystem) -> Diagnostic | None:
    if error is None:
        return None
    collector = DiagnosticCollector(system)
    text = error.traceback if error.traceback.strip() else f"{error.type_name}: {error.message}"
    collector.feed(text[-_MAX_TERMINATION_CHARACTERS:].encode("utf-8", "replace"))
    found = collector.finish().root_cause
    if found is not None and strength_of(found) > Strength.GENERIC:
        return found
    collector = DiagnosticCollector(system)
    collector.feed(
        f"Traceback (most recent call last):\n{error.type_name}: {error.message[:4000]}".encode("utf-8", "replace")
    )
    summary = collector.finish().root_cause
    if found is None or (summary is not None and strength_of(summary) > Strength.GENERIC):
        return summary
    return found


def _specific(diagnostic: Diagnostic | None) -> bool:
    return diagnostic is not None and not diagnostic.symptom and strength_of(diagnostic) is Strength.SPECIFIC


def _explains_standing(told: Diagnostic, phase: Phase) -> bool:
    """A lost peer does, and a native fatal line; what Python raised may have been handled, except at the start."""
    return told.symptom or (told.fatal and (_native(told) or (_specific(told) and phase in STARTING_PHASES)))


def _native(diagnostic: Diagnostic) -> bool:
    signature = SIGNATURES.get(diagnostic.signature_id)
    return signature is not None and signature.native


# --- the rules, in order of precedence ---


def _supervisor_finding(facts: _Facts) -> Diagnosis | None:
    """What the supervisor saw explains its own signals; a stall or a late start may have a printed cause."""
    finding = facts.evidence.finding
    if finding is None:
        return None
    if finding.kind in _OVERRULED_FINDINGS:
        told = facts.told_before_finding
        if told is not None and _explains_standing(told, facts.evidence.phase):
            return diagnosis_told_by(told, Confidence.LIKELY)
    return diagnosis_of(finding.kind, Confidence.CERTAIN, finding.message)


def _termination_error(facts: _Facts) -> Diagnosis | None:
    """The runner's own last frame, read with the same catalogue as stderr."""
    raised, printed = facts.raised, facts.printed
    if facts.evidence.termination_error is None:
        return None
    if raised is None:
        return diagnosis_of(Cause.PYTHON_EXCEPTION_OTHER, Confidence.CERTAIN, _raised_words(facts))
    if raised.symptom:
        if _specific(printed) and printed is not None:
            return diagnosis_told_by(printed, Confidence.LIKELY)
        return diagnosis_told_by(facts.symptom or raised, Confidence.CERTAIN)
    if strength_of(raised) <= Strength.GENERIC and _specific(printed) and printed is not None and _native(printed):
        return diagnosis_told_by(printed, Confidence.LIKELY)
    if _asked_to_leave(raised) and facts.evidence.signals_sent:
        return _killed_by_us(facts)
    return diagnosis_told_by(raised, Confidence.CERTAIN)


def _raised_words(facts: _Facts) -> str:
    error = facts.evidence.termination_error
    if error is None:
        return "raised an exception"
    said = f"; its message was: {error.message[:300]}" if error.message else ""
    return f"raised {error.type_name or 'an exception'}{said}"


def _asked_to_leave(diagnostic: Diagnostic) -> bool:
    return any(name in diagnostic.text for name in ("KeyboardInterrupt", "SystemExit", "CancelledError"))


def _printed_cause(facts: _Facts) -> Diagnosis | None:
    """A line on stderr names this process's own trouble, and the way that it ended does not contradict it."""
    printed = facts.printed
    if printed is None or printed.symptom or _asked_to_leave(printed) or _was_handled(facts):
        return None
    strength = strength_of(printed)
    if strength is Strength.SPECIFIC:
        ended_by_another = facts.signal in ENDED_FROM_OUTSIDE or facts.signal == SIGSEGV
        return diagnosis_told_by(printed, Confidence.LIKELY if ended_by_another else Confidence.CERTAIN)
    if facts.signal in ENDED_FROM_OUTSIDE and printed.kind is not Cause.KILLED_NO_STDERR:
        return None
    crashed_otherwise = facts.signal is not None and crash_by_signal(facts.signal, facts.system)[0] is not printed.kind
    if strength <= Strength.GENERIC and crashed_otherwise and printed.kind is Cause.PYTHON_EXCEPTION_OTHER:
        return None
    return diagnosis_told_by(
        printed, Confidence.CERTAIN if facts.evidence.exit_status is not None else Confidence.LIKELY
    )


def _was_handled(facts: _Facts) -> bool:
    """Python exits with 1 for an exception that nobody handled; a launcher's 0 comes with other words of failure."""
    status = facts.evidence.exit_status
    told = facts.evidence.stderr.diagnostics
    return (
        status is not None and status.code == 0 and all(one.handled or one.signature_id in _OF_PYTHON for one in told)
    )


def _handled_after_all(facts: _Facts) -> Diagnosis | None:
    """What seemed handled, last of all before the process left with an error: its end decides that it was not."""
    status, stderr = facts.evidence.exit_status, facts.evidence.stderr
    told = max((one for one in stderr.diagnostics if one.handled), key=lambda one: one.line, default=None)
    if told is None or status is None or not status.code:
        return None
    lines_after = sum(line > told.line for line in told.evidence_lines)
    return diagnosis_told_by(told, Confidence.LIKELY) if lines_after <= _LAST_LINES else None


def _own_signal(facts: _Facts) -> Diagnosis | None:
    """We ended it; a lost peer that it had complained about before is worth more than that."""
    asked = facts.ours or (bool(facts.evidence.signals_sent) and facts.evidence.exit_status is not None)
    if not asked:
        return None
    if facts.symptom is not None and facts.evidence.phase not in _ON_REQUEST:
        return diagnosis_told_by(facts.symptom, Confidence.LIKELY)
    return _killed_by_us(facts)


def _killed_from_outside(facts: _Facts) -> Diagnosis | None:
    """Nobody dies of SIGKILL or SIGTERM by losing a peer, so this outranks what it said about peers."""
    if facts.signal is None or facts.signal not in ENDED_FROM_OUTSIDE:
        return None
    name = signal_name(facts.signal, facts.system)
    said = (
        "it left no message" if not facts.evidence.stderr.diagnostics else "what it wrote before does not explain that"
    )
    if facts.signal == SIGKILL and facts.evidence.memory is not None:
        return diagnose_sigkill(facts.evidence.memory, facts.evidence.phase, said, facts.evidence.stderr.tail)
    sender = " from outside Ringwarden" if facts.evidence.supervised else ""
    message = f"was killed by {name}{sender}; {said}"
    told = diagnosis_of(Cause.KILLED_NO_STDERR, Confidence.CERTAIN, message, tail=facts.evidence.stderr.tail)
    # The system itself ends processes by SIGKILL only.
    return told if facts.signal == SIGKILL else replace(told, advice=f"Find out who sent {name} at that time.")


def _lost_peer(facts: _Facts) -> Diagnosis | None:
    """All that is left is that a peer went away. An abort after the ring gave up is the ring's."""
    symptom, status = facts.symptom, facts.evidence.exit_status
    if symptom is None or facts.signal == SIGSEGV:
        return None
    if facts.signal == SIGABRT:
        symptom = next((one for one in facts.evidence.stderr.diagnostics if one.kind is Cause.RING_ABORT), symptom)
    if closed_itself(symptom) and status is not None and status.code == 0:
        return None
    return diagnosis_told_by(symptom, Confidence.LIKELY)


def _exit_signal(facts: _Facts) -> Diagnosis | None:
    if facts.signal is None:
        return None
    cause, words = crash_by_signal(facts.signal, facts.system)
    message = f"{words}; it left no message that explains it"
    return diagnosis_of(cause, Confidence.CERTAIN, message, tail=facts.evidence.stderr.tail)


def _exit_code(facts: _Facts) -> Diagnosis | None:
    status = facts.evidence.exit_status
    if status is None or status.code != 0:
        return None
    if facts.evidence.phase in _ON_REQUEST:
        return diagnosis_of(Cause.KILLED_BY_SUPERVISOR, Confidence.CERTAIN, "ended when Ringwarden asked it to")
    needed = "work was in flight" if facts.evidence.tasks_in_flight else "nobody had asked it to leave"
    return diagnosis_of(
        Cause.EXITED_EARLY, Confidence.CERTAIN, f"exited with code 0; {needed}", tail=facts.evidence.stderr.tail
    )


RULES: tuple[Callable[[_Facts], Diagnosis | None], ...] = (
    _supervisor_finding,
    _termination_error,
    _printed_cause,
    _own_signal,
    _killed_from_outside,
    _lost_peer,
    _handled_after_all,
    _exit_signal,
    _exit_code,
)
"""The precedence of evidence, first answer wins."""


# --- making diagnoses ---


def _unknown(facts: _Facts) -> Diagnosis:
    tail = facts.evidence.stderr.tail
    left = "nothing that it wrote explains why" if tail else "it left no message"
    return diagnosis_of(Cause.UNKNOWN, Confidence.POSSIBLE, f"{facts.exit_words}; {left}", tail=tail)


def _killed_by_us(facts: _Facts) -> Diagnosis:
    names = ", ".join(dict.fromkeys(signal_name(one, facts.system) for one in facts.evidence.signals_sent))
    return diagnosis_of(
        Cause.KILLED_BY_SUPERVISOR, Confidence.CERTAIN, f"was stopped by Ringwarden; it had sent {names}"
    )
