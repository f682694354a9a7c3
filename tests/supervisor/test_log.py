"""The log as JSON: one object for each line, whatever is logged; and as text, as it was."""

import json
import os
import subprocess
import sys

import pytest

from tests.end_to_end.service import PROJECT

PROGRAM = """
import logging, sys, warnings
from loguru import logger
from supervisor.log import configure_log, log_output

configure_log(sys.argv[1])
logger.bind(rank=1, generation=2, node="mac-1").warning("three {} words", "little")
log_output("a line\\r of \\x1b[31mcolour\\x1b[0m \\ud800 and {braces}", rank=0, stream="stderr")
logging.getLogger("ringwarden.http").error("from a library", extra={"request": "req-1"})
logging.getLogger("anything").info("not worth a line")
try:
    secret = "prompt of a client"
    raise ValueError("no\\nsuch thing")
except ValueError:
    logging.getLogger("asyncio").exception("it raised")
logging.getLogger("careless").error("%d of them", "some")
warnings.warn("mind this")
"""


def logged(log_format: str) -> str:
    outcome = subprocess.run(
        [sys.executable, "-c", PROGRAM, log_format],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    return outcome.stderr.decode()


def test_every_line_is_an_object():
    lines = [json.loads(line) for line in logged("json").splitlines()]
    assert [line["message"] for line in lines[::3]] == ["three little words", "it raised"]
    assert lines[0].items() >= {"level": "WARNING", "rank": 1, "generation": 2, "node": "mac-1"}.items()
    assert lines[1].items() >= {"level": "IO", "rank": 0, "stream": "stderr"}.items()
    assert "{braces}" in lines[1]["message"]
    assert lines[2].items() >= {"level": "ERROR", "message": "from a library", "request": "req-1"}.items()
    assert lines[3]["exception"].endswith("ValueError: no\nsuch thing\n")
    assert "prompt of a client" not in str(lines[3])
    # A call whose arguments do not fit is a library's fault, and not for its callers to hear of.
    assert lines[4].items() >= {"level": "ERROR", "message": "%d of them"}.items()
    assert lines[5]["level"] == "WARNING"
    assert "UserWarning: mind this" in lines[5]["message"]
    assert all(line["time"].endswith("Z") for line in lines)
    assert len(lines) == 6


def test_text_is_for_people():
    lines = logged("text").splitlines()
    assert lines[0].endswith("WARNING three little words")
    assert any(line.endswith("ERROR   from a library") for line in lines)
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[0])


def test_what_a_runner_wrote_cannot_steer_the_terminal_of_the_log():
    (line,) = [line for line in logged("text").splitlines() if "colour" in line]
    assert "a line\\r of \\x1b[31mcolour\\x1b[0m \\ud800 and {braces}" in line
