"""SIGKILL from outside, told apart: out of memory, or somebody else, and how sure that is.

The first of `_READINGS` that fits decides: what names the runner is a fact, a counter that rose as it died or memory
that was nearly used up is a good inference, a footprint that only grew is a guess.
"""

from collections.abc import Callable

import msgspec

from diagnostics.cause import Cause
from diagnostics.diagnosing import diagnosis_of
from diagnostics.incident import Confidence, Diagnosis
from diagnostics.memory_evidence import FootprintSample, MemoryEvidence, MemoryKill
from diagnostics.phase import STARTING_PHASES, Phase

OUT_OF_MEMORY_ADVICE = (
    "Use a smaller or more strongly quantized model, a shorter context, fewer concurrent requests or more ranks, "
    "or end other programs and raise the memory limit, if there is one."
)
FROM_OUTSIDE_ADVICE = (
    "Find out who sent SIGKILL at that time: a person, a script, a service manager, or a guard such as systemd-oomd."
)
# What a sample must be to count as "just before": the machine can fill its memory within seconds.
_JUST_BEFORE_S = 5.0
_NEARLY_ALL = 0.9
_NEARLY_NONE = 0.03
_GROWN_BY = 1.25
_GROWN_BY_BYTES = 256 * 1024 * 1024
_SHOWN_SAMPLES = 6


class _Reading(msgspec.Struct, frozen=True):
    """What the evidence means. `because` ends the first clause of the message, `detail` is the second."""

    confidence: Confidence
    because: str
    detail: str
    advice: str | None = OUT_OF_MEMORY_ADVICE
    out_of_memory: bool = True


def diagnose_sigkill(memory: MemoryEvidence, phase: Phase, said: str, tail: tuple[str, ...]) -> Diagnosis:
    """Say who sent a SIGKILL that was not ours. Pure; never raises.

    Args:
        memory: What was found around the death.
        phase: Where the runner was: what runs out of memory at its start will do so again.
        said: What its own output has to say about it.
        tail: The end of its stderr.
    """
    reading = next(found for read in _READINGS if (found := read(memory)) is not None)
    detail = reading.detail if reading.out_of_memory else f"{said}; {reading.detail}"
    diagnosis = diagnosis_of(
        Cause.KILLED_NO_STDERR,
        reading.confidence,
        f"was killed by SIGKILL from outside Ringwarden{reading.because}; {detail}",
        tail=(*_lines(memory), *tail),
    )
    sure = reading.out_of_memory and reading.confidence is not Confidence.POSSIBLE
    return msgspec.structs.replace(
        diagnosis,
        advice=reading.advice or diagnosis.advice,
        retryable=diagnosis.retryable and not (sure and phase in STARTING_PHASES),
    )


def kill_of(memory: MemoryEvidence) -> MemoryKill | None:
    """The system's record of this runner's own death, told by its pid; None when there is none."""
    return next((one for one in memory.kills if one.pid == memory.pid), None) if memory.pids_agree else None


# --- the readings, in order of precedence ---


def _named_by_pid(memory: MemoryEvidence) -> _Reading | None:
    kill = kill_of(memory)
    if kill is None:
        return None
    fullest = max((one.resident_bytes for one in memory.kills if one.pid == kill.pid and one.resident_bytes), default=0)
    held = f", with {size_text(fullest)} of memory" if fullest else ""
    return _Reading(Confidence.CERTAIN, ", because memory ran out", f"the system names it: pid {kill.pid}{held}")


def _named_otherwise(memory: MemoryEvidence) -> _Reading | None:
    if memory.pids_agree or all(one.name != memory.name for one in memory.kills):
        return None
    detail = f"the system killed a process named {memory.name} at that time, by a pid of another namespace"
    return _Reading(Confidence.LIKELY, ", most likely because memory ran out", detail)


def _counted(memory: MemoryEvidence) -> _Reading | None:
    """Kills that the log ascribes to other processes are not this one's."""
    others = len({one.pid for one in memory.kills}) if memory.pids_agree else 0
    if memory.counted_kills <= others:
        return None
    return _Reading(
        Confidence.LIKELY,
        ", most likely because memory ran out",
        f"the out-of-memory counter of its cgroup rose by {memory.counted_kills} as it died",
    )


def _nearly_full(memory: MemoryEvidence) -> _Reading | None:
    """Also where the kernel denies it: guards such as systemd-oomd and earlyoom end processes without a record."""
    last = _last_sample(memory)
    if last is None or memory.limit_bytes is None:
        return None
    spare = last.available_bytes
    short = spare is not None and spare <= _NEARLY_NONE * memory.limit_bytes
    if not short and last.footprint_bytes < _NEARLY_ALL * memory.limit_bytes:
        return None
    left = f", and the machine had {size_text(spare)} left" if short and spare is not None else ""
    detail = f"it held {size_text(last.footprint_bytes)} of {size_text(memory.limit_bytes)} just before{left}"
    if _system_denies(memory):
        detail = f"{detail}; the kernel itself tells of no kill for want of memory"
        return _Reading(Confidence.POSSIBLE, ", possibly because memory ran out", detail)
    return _Reading(Confidence.LIKELY, ", most likely because memory ran out", detail)


def _grown(memory: MemoryEvidence) -> _Reading | None:
    last = _last_sample(memory)
    if last is None or _system_denies(memory):
        return None
    first = memory.footprint[0]
    grown_bytes = last.footprint_bytes - first.footprint_bytes
    if grown_bytes < _GROWN_BY_BYTES or last.footprint_bytes < _GROWN_BY * first.footprint_bytes:
        return None
    over_s = first.before_death_s - last.before_death_s
    detail = f"its memory had grown by {size_text(grown_bytes)} in {over_s:.0f} s, and nothing names the sender"
    return _Reading(Confidence.POSSIBLE, ", possibly because memory ran out", detail)


def _somebody(memory: MemoryEvidence) -> _Reading | None:
    """Where the system would have told of a kill for memory, its silence is a fact."""
    if not _system_denies(memory):
        return None
    detail = "who sent it is not known, but the kernel says that it was not for want of memory"
    return _Reading(Confidence.CERTAIN, "", detail, FROM_OUTSIDE_ADVICE, out_of_memory=False)


def _unknown(memory: MemoryEvidence) -> _Reading:
    del memory
    detail = "who sent it is not known, nor whether memory ran out"
    return _Reading(Confidence.POSSIBLE, "", detail, None, out_of_memory=False)


_READINGS: tuple[Callable[[MemoryEvidence], _Reading | None], ...] = (
    _named_by_pid,
    _named_otherwise,
    _counted,
    _nearly_full,
    _grown,
    _somebody,
    _unknown,
)


def _system_denies(memory: MemoryEvidence) -> bool:
    return bool(memory.looked_at)


def _last_sample(memory: MemoryEvidence) -> FootprintSample | None:
    last = memory.footprint[-1] if memory.footprint else None
    return last if last is not None and last.before_death_s <= _JUST_BEFORE_S else None


# --- words ---


def size_text(size_bytes: int) -> str:
    """A size for people: three digits at least, in MiB or GiB."""
    gibibytes = size_bytes / 2**30
    return f"{gibibytes:.1f} GiB" if gibibytes >= 1 else f"{size_bytes / 2**20:.0f} MiB"


def _lines(memory: MemoryEvidence) -> tuple[str, ...]:
    """The evidence for the reader, at most ten lines."""
    lines = [one.words for one in memory.kills if one.pid == memory.pid or not memory.pids_agree][-3:]
    others = [one for one in memory.kills if one.pid != memory.pid and memory.pids_agree]
    if others:
        lines.append(f"another process was killed for want of memory: {others[-1].words}")
    if memory.counted_kills:
        lines.append(f"out-of-memory counter of its cgroup: rose by {memory.counted_kills}")
    if memory.footprint:
        lines.append(f"memory it held: {_series(memory.footprint)}")
    if memory.limit_bytes is not None:
        lines.append(f"memory that there is: {size_text(memory.limit_bytes)}")
    if memory.looked_at:
        lines.append(f"looked at: {', '.join(memory.looked_at)}")
    if memory.no_answer:
        lines.append(f"no answer from: {', '.join(memory.no_answer)}")
    return tuple(lines)


def _series(samples: tuple[FootprintSample, ...]) -> str:
    step = max(1, (len(samples) - 1) // (_SHOWN_SAMPLES - 1))
    shown = samples[::-1][::step][:_SHOWN_SAMPLES][::-1]
    return ", ".join(f"{size_text(one.footprint_bytes)} {one.before_death_s:.1f} s before the end" for one in shown)
