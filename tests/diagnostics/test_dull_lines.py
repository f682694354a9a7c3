"""A shape that is known to mean nothing may save work, never change a result."""

from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.dull_lines import DullLines, keywords_with_digits, shape_of
from diagnostics.evidence import OperatingSystem
from diagnostics.matcher import WHOLE_CATALOGUE
from diagnostics.recogniser import Finding, Recogniser
from diagnostics.signatures import CATALOGUE

PIECES = [
    "transient error 7 of peer 12",
    "WARNING: error 3, retrying",
    "OSError: [Errno 28] No",
    "space left on device",
    "[Errno 99] Address already",
    "in use",
    "Node with rank 1 exited with code -9",
    "Node with rank 1 exited with code -1",
    "[ring] Receiving from",
    "socket 5 failed with errno 104",
    "Traceback (most recent call last):",
    '  File "a.py", line 1, in f',
    "ValueError: 5",
    "libc++abi: terminating due to uncaught exception of type x: y",
    "[METAL] Command buffer execution failed: Internal Error (0000000e:x)",
    "status=9/KILL",
    "code=killed, status=6/ABRT",
    '{"level": "error", "msg": "can\'t start new thread"}',
    "ERROR:root:Missing 2 parameters: ",
    "plain 1",
    "plain 2",
    "httpx.ConnectError: 1",
    'time=1 level=ERROR msg=x error="No space left on device"',
    "Loading 50%",
    "zsh: killed  x",
]
DIGITS = st.integers(0, 11)


def read(lines: list[str], *, forgetful: bool) -> list[Finding]:
    recogniser = Recogniser(OperatingSystem.LINUX)
    findings: list[Finding] = []
    previous = (0, "")
    for index, line in enumerate(lines):
        if forgetful:
            recogniser._dull = DullLines(WHOLE_CATALOGUE.numbered_keywords)  # pyright: ignore[reportPrivateUsage]
        findings += recogniser.examine(index, line, previous)
        previous = (index, line)
    return findings + recogniser.flush()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PIECES), DIGITS), max_size=12), st.integers(1, 4))
def test_what_was_learned_changes_no_result(picked: list[tuple[str, int]], rounds: int) -> None:
    lines = [piece.replace("1", str(number)) for piece, number in picked] * rounds
    assert read(lines, forgetful=False) == read(lines, forgetful=True)


def test_a_shape_is_the_text_with_its_digits_made_the_same() -> None:
    assert shape_of("a1b29 é٣") == "a0b00 é٣"


def test_a_flood_is_known_after_its_first_lines_and_memory_stays_bounded() -> None:
    dull = DullLines(WHOLE_CATALOGUE.numbered_keywords)
    dull.add("error 1", "error 2")
    assert dull.has("error 8", "error 9")
    for number in range(2000):
        dull.add("x", "y" * (number % 390) + "z" * (number // 390))
    assert len(dull._pairs) <= 512  # pyright: ignore[reportPrivateUsage]


def test_what_digits_decide_is_never_remembered() -> None:
    assert "Node with rank" in keywords_with_digits(CATALOGUE)
    dull = DullLines(WHOLE_CATALOGUE.numbered_keywords)
    for text in ("Node with rank 1 exited with code -1", '{"error": 1}', "x" * 900, "code=5"):
        dull.add("", text)
        assert not dull.has("", text)
