"""Which of a stream's diagnostics is the cause, and which only follow from it."""

from collections.abc import Iterable

from diagnostics.evidence import Diagnostic
from diagnostics.signature import Signature, Strength
from diagnostics.signatures import CATALOGUE
from diagnostics.signatures.crash import MERE_ABORTS
from diagnostics.signatures.python import BACKGROUND_EXCEPTION, PYTHON_EXCEPTION

SIGNATURES: dict[str, Signature] = {row.id: row for row in (*CATALOGUE, PYTHON_EXCEPTION, BACKGROUND_EXCEPTION)}


def strength_of(diagnostic: Diagnostic) -> Strength:
    """How much the diagnostic's signature says; the weakest for one that this version does not know."""
    signature = SIGNATURES.get(diagnostic.signature_id)
    return Strength.REPORT if signature is None else signature.strength


def root_cause(diagnostics: Iterable[Diagnostic]) -> Diagnostic | None:
    """The cause among `diagnostics`, in whatever order they are given.

    The strongest message of this process's own trouble wins, the earliest of equals; the first word of a lost peer
    stands behind it. Only an abort that names no reason, or a thread's exception, that came after the loss of a peer
    counts as its consequence. What was handled is no cause.
    """
    ordered = sorted((one for one in diagnostics if not one.handled), key=lambda one: (one.line, one.signature_id))
    own = min((one for one in ordered if not one.symptom), key=lambda one: (-strength_of(one), one.line), default=None)
    symptom = next((one for one in ordered if one.symptom), None)
    if own is None or symptom is None:
        return own or symptom
    follows = own.signature_id in MERE_ABORTS or own.signature_id == BACKGROUND_EXCEPTION.id
    # `what():` stands on the line after the one that says that the process aborts.
    return symptom if follows and symptom.line <= own.line + 1 else own
