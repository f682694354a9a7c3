import re
from pathlib import Path

import pytest

from diagnostics.cause import Cause
from diagnostics.causes import CAUSES
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import OperatingSystem
from diagnostics.signatures import CATALOGUE

DOCS = Path(__file__).parents[2] / "docs" / "causes"
SECTION = re.compile(r"^## `(\w+)`\n\n(.+?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"```text\n(.*?)```", re.DOTALL)


def sections() -> dict[str, str]:
    return {name: text for page in sorted(DOCS.glob("*.md")) for name, text in SECTION.findall(page.read_text())}


def test_every_cause_has_a_row() -> None:
    assert set(CAUSES) == set(Cause)


@pytest.mark.parametrize("cause", list(Cause))
def test_the_row_reads_well(cause: Cause) -> None:
    facts = CAUSES[cause]
    assert facts.title[0].isupper()
    assert facts.advice.endswith(".")


def test_symptoms_in_the_catalogue_are_peer_causes() -> None:
    for signature in CATALOGUE:
        if signature.symptom:
            assert CAUSES[signature.cause].locality == "peer", signature.id


def test_docs_and_causes_are_in_step() -> None:
    assert set(sections()) == {cause.value for cause in Cause}


@pytest.mark.parametrize("cause", list(Cause))
def test_the_docs_give_the_same_advice_and_an_example_that_is_recognised(cause: Cause) -> None:
    text = sections()[cause.value]
    assert CAUSES[cause].advice in text
    readme = (DOCS / "README.md").read_text()
    assert f"| [`{cause.value}`](" in readme
    assert CAUSES[cause].title in readme
    for example in EXAMPLE.findall(text):
        collector = DiagnosticCollector(OperatingSystem.LINUX)
        collector.feed(example.encode())
        root = collector.finish().root_cause
        assert root is not None
        assert root.kind is cause
