"""Which differences between a head and a node break a group, and what a person is told to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from diagnostics.evidence import OperatingSystem
from supervisor.core.compatibility import MAX_VALUE_LETTERS, Difference, compare
from supervisor.core.mlx_variables import EFFECTS, HARMLESS
from transports.cluster.handshake import PROTOCOL_VERSION
from transports.cluster.node_facts import NodeFacts

GIB = 1024**3
HEAD = NodeFacts(
    hostname="studio",
    system=OperatingSystem.DARWIN,
    system_version="26.2",
    chip="Apple M4 Max",
    machine="arm64",
    cores=16,
    memory_bytes=64 * GIB,
    available_memory_bytes=50 * GIB,
    ringwarden_version="0.1.0",
    python_version="3.13.1",
    mlx_version="0.32.4",
    mlx_lm_version="0.32.2",
)
LINUX = replace(HEAD, system=OperatingSystem.LINUX, system_version="6.18", machine="aarch64")


def only(differences: tuple[Difference, ...]) -> Difference:
    assert len(differences) == 1, differences
    return differences[0]


def refusals(differences: tuple[Difference, ...]) -> tuple[Difference, ...]:
    return tuple(difference for difference in differences if difference.refuses)


def with_variable(facts: NodeFacts, name: str, value: str) -> NodeFacts:
    return replace(facts, mlx_environment={**facts.mlx_environment, name: value})


def test_two_of_a_kind_have_no_differences():
    twin = replace(HEAD, hostname="mini", available_memory_bytes=1, addresses=("10.0.0.2",), python_version="3.13.9")
    assert compare(HEAD, twin) == ()


@pytest.mark.parametrize(
    ("node", "field", "pip"),
    [
        (
            replace(HEAD, mlx_version="0.32.3"),
            "mlx",
            "On the node, in the Python that runs ringwarden: pip install 'mlx==0.32.4'",
        ),
        (replace(HEAD, mlx_version="0.31.4"), "mlx", "pip install 'mlx==0.32.4'"),
        (replace(HEAD, mlx_version=None), "mlx", "pip install 'mlx==0.32.4'"),
        (replace(HEAD, mlx_lm_version="0.32.1"), "mlx-lm", "pip install 'mlx-lm==0.32.2'"),
    ],
)
def test_another_mlx_is_refused_with_the_command_that_helps(node: NodeFacts, field: str, pip: str):
    difference = only(compare(HEAD, node))
    assert (difference.field, difference.refuses) == (field, True)
    assert pip in difference.remedy


def test_linux_needs_the_extra_and_a_head_without_mlx_is_told_where():
    on_linux = only(refusals(compare(LINUX, replace(LINUX, mlx_version="0.1"))))
    assert "pip install 'mlx[cpu]==0.32.4'" in on_linux.remedy
    on_head = only(compare(replace(HEAD, mlx_version=None), HEAD))
    assert on_head.remedy.startswith("On the head")
    assert "not there on the head" in on_head.sentence
    hostile = only(compare(replace(HEAD, mlx_version=None), replace(HEAD, mlx_version="1'; halt; '")))
    assert "halt" not in hostile.remedy
    nowhere = only(compare(replace(HEAD, mlx_version=None), replace(HEAD, mlx_version=None)))
    assert "on both" in nowhere.remedy


def test_another_protocol_is_refused_and_another_ringwarden_is_told():
    node = replace(HEAD, ringwarden_version="0.9.0")
    refused = only(compare(HEAD, node, node_protocol=PROTOCOL_VERSION + 1))
    assert refused.refuses
    assert "ringwarden 0.9.0" in refused.sentence
    assert not only(compare(HEAD, node)).refuses


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (replace(HEAD, python_version="3.12.9"), "Python is 3.13.1 on the head and 3.12.9 on the node"),
        (replace(HEAD, chip="Apple M2"), "the chip is Apple M4 Max on the head and Apple M2 on the node"),
        (replace(HEAD, memory_bytes=16 * GIB), "memory is 64 GiB on the head and 16 GiB on the node"),
        (replace(HEAD, memory_bytes=512 * GIB), "memory is 64 GiB on the head and 512 GiB on the node"),
        (LINUX, "the system is darwin 26.2 on the head and linux 6.18 on the node"),
        (with_variable(HEAD, "MLX_METAL_FAST_SYNCH", "1"), "is not there on the head and 1 on the node"),
        (with_variable(HEAD, "MLX_OF_THE_FUTURE", "1"), "not known here"),
    ],
)
def test_what_only_slows_or_surprises_is_told(node: NodeFacts, words: str):
    difference = only(compare(HEAD, node))
    assert not difference.refuses
    assert words in difference.sentence


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_every_known_variable_counts_only_when_it_differs(name: str):
    head = with_variable(HEAD, name, "1")
    assert compare(head, with_variable(HEAD, name, "1")) == ()
    for node in (HEAD, with_variable(HEAD, name, "2")):
        difference = only(compare(head, node))
        assert (difference.field, difference.refuses) == (name, EFFECTS[name].refuses)
        assert name in difference.remedy


def test_variables_that_only_make_a_rank_talk_do_not_count():
    assert compare(HEAD, replace(HEAD, mlx_environment=dict.fromkeys(HARMLESS, "1"))) == ()


def test_refusals_come_first():
    node = with_variable(
        replace(HEAD, chip="Apple M1", python_version="3.11.1", mlx_lm_version="0.1"), "JACCL_RING", "1"
    )
    found = compare(HEAD, node)
    assert [difference.refuses for difference in found] == [True, True, False, False]
    assert [difference.field for difference in refusals(found)] == ["mlx-lm", "JACCL_RING"]


TEXTS = st.text(max_size=200)


@given(TEXTS, TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3), st.integers())
def test_whatever_a_node_says_the_sentences_stay_short(
    chip: str, mlx: str, python: str, environment: dict[str, str], protocol: int
):
    node = replace(HEAD, chip=chip, mlx_version=mlx, python_version=python, mlx_environment=environment)
    for difference in compare(HEAD, node, node_protocol=protocol):
        assert max(len(difference.field), len(difference.node_value or "")) <= MAX_VALUE_LETTERS + 40
        assert len(difference.sentence) < 500
    assert not any(difference.refuses for difference in compare(HEAD, replace(HEAD, chip=chip, python_version=python)))
