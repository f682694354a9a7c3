import re

import pytest

from diagnostics.cause import Cause
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import OperatingSystem
from diagnostics.matcher import WHOLE_CATALOGUE
from diagnostics.signature import Signature, Strength
from diagnostics.signatures import CATALOGUE
from tests.diagnostics.catalogue_examples import CONTEXTS, log_of

BY_ID = pytest.mark.parametrize("signature", CATALOGUE, ids=lambda signature: signature.id)


def test_ids_are_unique() -> None:
    ids = [signature.id for signature in CATALOGUE]
    assert len(set(ids)) == len(ids)


@BY_ID
def test_the_example_is_recognised_by_its_own_signature(signature: Signature) -> None:
    collector = DiagnosticCollector(OperatingSystem.DARWIN)
    collector.feed(f"loading\n{log_of(signature)}\n".encode())
    root = collector.finish().root_cause
    assert root is not None
    assert (root.signature_id, root.kind, root.symptom) == (signature.id, signature.cause, signature.symptom)


@BY_ID
def test_the_row_is_well_formed(signature: Signature) -> None:
    assert re.fullmatch(r"[a-z_+0-9]+\.[a-z_0-9]+", signature.id)
    assert signature.keyword in signature.example
    assert signature.source
    assert signature.message[0].islower()
    assert not signature.message.endswith(".")
    wanted = set(re.findall(r"\{(\w+)\}", signature.message))
    assert wanted <= set(re.compile(signature.pattern).groupindex)


SEARCHED_ANYWHERE = [
    signature for signature in CATALOGUE if signature.strength is Strength.SPECIFIC and not signature.context
]


@pytest.mark.parametrize("signature", SEARCHED_ANYWHERE, ids=lambda signature: signature.id)
def test_the_example_survives_what_logs_do_to_it(signature: Signature) -> None:
    for before, after in (
        ("Loading:  50%|#####     | 1/2 [00:01<00:01]", ""),
        ("[rank 1] ", ""),
        ("2026-11-21 01:02:03.456 | ERROR    | runner.main:run:12 - ", ""),
        ("2026-11-21 01:02:03,456 - runner - ERROR - ", ""),
        ("ERROR:root:", ""),
        ("RuntimeError: ", ""),
        ("libc++abi: terminating due to uncaught exception of type std::runtime_error: ", ""),
        ("  what():  ", ""),
        ("\x1b[31m", "\x1b[0m"),
        ("", "\r"),
    ):
        collector = DiagnosticCollector(OperatingSystem.DARWIN)
        collector.feed(f"{before}{signature.example}{after}\n".encode())
        root = collector.finish().root_cause
        assert root is not None, before
        assert root.kind is signature.cause, before


@BY_ID
def test_a_quotation_is_no_failure(signature: Signature) -> None:
    for line in (
        f"2026-11-21 01:02:03.456 | INFO     | api:chat:7 - prompt: {signature.example}",
        f'  "content": "my log says: {signature.example}"',
        f'{{"level": "info", "message": {signature.example!r}}}',
    ):
        collector = DiagnosticCollector(OperatingSystem.DARWIN)
        collector.feed(f"{line}\n".encode())
        if not signature.any_level and "ERROR" not in signature.example:
            assert collector.finish().root_cause is None, line


def test_every_cause_that_a_log_can_name_has_a_signature() -> None:
    only_the_supervisor_knows = {
        Cause.STALLED, Cause.NODE_LOST, Cause.KILLED_BY_SUPERVISOR, Cause.START_TIMEOUT,
        Cause.EXITED_EARLY, Cause.UNKNOWN,
    }  # fmt: skip
    assert {signature.cause for signature in CATALOGUE} == set(Cause) - only_the_supervisor_knows


def test_no_signature_fires_on_another_ones_example_at_the_same_strength_with_another_cause() -> None:
    for signature in CATALOGUE:
        best = min(
            WHOLE_CATALOGUE.find(signature.example, CONTEXTS.get(signature.id, "")), key=lambda match: match.rank
        )
        assert best.signature.cause is signature.cause
