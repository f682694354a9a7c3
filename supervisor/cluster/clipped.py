"""A certificate as another node sent it, brought to the bounds that our own have: it goes to every node and to disk."""

import math
import time

import msgspec

from diagnostics.incident import DeathCertificate, Diagnosis

_MAX_TEXT_CHARACTERS = 64 * 1024
_MAX_LINE_CHARACTERS = 4 * 1024
_MAX_LINES = 256


def clipped(certificate: DeathCertificate, node: str) -> DeathCertificate:
    """Return what a node may say of one of its ranks. It is believed about its own only, and in bounded words.

    Its times stay its own: a verdict compares none of two nodes. One that is no time becomes now.
    """
    error = certificate.termination_error
    return msgspec.structs.replace(
        certificate,
        node=node,
        died_at_s=certificate.died_at_s if math.isfinite(certificate.died_at_s) else time.monotonic(),
        diagnosis=_diagnosis(certificate.diagnosis),
        stderr_tail=_lines(certificate.stderr_tail),
        stacks=certificate.stacks[:_MAX_TEXT_CHARACTERS],
        signals_sent=certificate.signals_sent[:_MAX_LINES],
        termination_error=None
        if error is None
        else msgspec.structs.replace(
            error,
            type_name=error.type_name[:_MAX_LINE_CHARACTERS],
            message=error.message[:_MAX_TEXT_CHARACTERS],
            representation=error.representation[:_MAX_TEXT_CHARACTERS],
            # The end of a traceback names the exception.
            traceback=error.traceback[-_MAX_TEXT_CHARACTERS:],
        ),
    )


def _diagnosis(diagnosis: Diagnosis) -> Diagnosis:
    return msgspec.structs.replace(
        diagnosis,
        message=diagnosis.message[:_MAX_LINE_CHARACTERS],
        advice=diagnosis.advice[:_MAX_LINE_CHARACTERS],
        evidence=_lines(diagnosis.evidence),
    )


def _lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line[:_MAX_LINE_CHARACTERS] for line in lines[-_MAX_LINES:])
