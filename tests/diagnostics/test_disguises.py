"""Every row of the catalogue in what logs dress a message in: found where it is meant, silent where it is quoted.

Where a disguise cannot happen to a message, a property of its row says so, never its id.
"""

import html
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from diagnostics.cause import Cause
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import OperatingSystem
from diagnostics.signature import Signature, Strength
from diagnostics.signatures import CATALOGUE
from tests.diagnostics.catalogue_examples import log_of

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n'
CAUSED = "\n\nThe above exception was the direct cause of the following exception:\n\n"
HANDLED = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
STAMP = "2026-11-21 01:02:03.456"
LIBCXXABI = "libc++abi: terminating {} uncaught exception of type std::runtime_error: {}"
LIBSTDCXX = "terminate called after throwing an instance of 'std::runtime_error'\n  what():  {}\nAborted"
LOGFMT = "time=2026-11-21T01:02:03Z level={} source=a.go:1 msg="


def kind_of(log: str) -> Cause | None:
    collector = DiagnosticCollector(OperatingSystem.DARWIN)
    collector.feed(f"{log}\n".encode())
    root = collector.finish().root_cause
    return None if root is None else root.kind


def raised(text: str) -> str:
    """The text as the last line of a traceback."""
    named = text.partition(":")[0].endswith(("Error", "Exception"))
    return TRACEBACK + (text if named else f"RuntimeError: {text}")


def in_a_record(text: str) -> str:
    return json.dumps({"level": "error", "msg": "failed", "exc_info": raised(text)})


def any_row(row: Signature) -> bool:
    return not row.context


def any_message(row: Signature) -> bool:
    """A text that a program can hand to its logger, throw or raise; the others only say how a process ended."""
    return row.strength is Strength.SPECIFIC and not row.context


def written_by_c(row: Signature) -> bool:
    """What goes to the file descriptor past Python's buffers, so that it lands behind a progress bar."""
    return row.native and any_message(row)


@dataclass(frozen=True)
class Disguise:
    name: str
    put_on: Callable[[str], str]
    fits: Callable[[Signature], bool] = any_row


MEANT = (
    Disguise("colours", "\x1b[31m{}\x1b[0m".format),
    Disguise("rank tag of a launcher", "[rank1]: {}".format),
    Disguise("rank tag with a bar", "rank 1 | {}".format),
    Disguise("rank tag of mpirun", "[1,0]<stderr>:{}".format),
    Disguise("syslog", "Nov 21 01:02:03 mac python3[123]: {}".format),
    Disguise("journald", "2026-11-21T01:02:03+0000 mac python3[123]: {}".format),
    Disguise("kubectl", "2026-11-21T01:02:03.123456789Z stderr F {}".format),
    Disguise("docker", lambda text: json.dumps({"log": f"{text}\n", "stream": "stderr"})),
    Disguise("record", lambda text: json.dumps({"ts": 1, "severity": "ERROR", "message": text})),
    Disguise("after a progress bar", "Loading:  50%|#####     | 1/2 [00:01<00:01]\r{}".format),
    Disguise("HTML", html.escape),
    Disguise("wrapped", lambda text: "\n".join(textwrap.wrap(text, 80)), any_message),
    Disguise("among noise", lambda text: "INFO: step 1\n" * 100 + text + "\n" + "INFO: shutting down\n" * 20),
    Disguise("loguru", f"{STAMP} | ERROR    | runner.main:run:12 - {{}}".format, any_message),
    Disguise("exo", f"[ {STAMP} | ERROR    | exo.worker.main:run:12 ] {{}}".format, any_message),
    Disguise("logging", "ERROR:root:{}".format, any_message),
    Disguise("logging, long", "2026-11-21 01:02:03,456 - runner - CRITICAL - {}".format, any_message),
    Disguise("logfmt", lambda text: LOGFMT.format("ERROR") + f'"runner failed" error={json.dumps(text)}'),
    Disguise("relayed by Ollama", lambda text: LOGFMT.format("WARN") + f"mlx-runner msg={json.dumps(text)}"),
    Disguise("glued", "Loading:  50%|#####     | 1/2 [00:01<00:01,  1.2it/s]{}".format, written_by_c),
    Disguise("doubled brackets", lambda text: text.replace("[", "[[").replace("]", "]]"), any_message),
    Disguise("lost brackets", lambda text: text.replace("[", "").replace("]", ""), any_message),
    Disguise("libc++abi", lambda text: LIBCXXABI.format("due to", text), any_message),
    Disguise("libc++abi, old", lambda text: LIBCXXABI.format("with", text), any_message),
    Disguise("libstdc++", LIBSTDCXX.format, any_message),
    Disguise("raised", raised, any_message),
    Disguise("raised, in a record", in_a_record, any_message),
    Disguise("raised, then wrapped", lambda text: raised(text) + CAUSED + raised("RuntimeError: failed"), any_message),
    Disguise("raised, then another", lambda text: raised(text) + HANDLED + raised("ValueError: bad"), any_message),
    Disguise("raised within a text", lambda text: raised(f"RuntimeError: Runner 4 failed: {text}"), any_message),
)


def row_may_be_quoted(row: Signature) -> bool:
    """Launchers print some reports at a harmless level; what names its own level is a record, not a text."""
    return not row.any_level and "ERROR" not in row.example


def body(text: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": text}]})


QUOTED = (
    Disguise("prompt at INFO", f"{STAMP} | INFO     | api:chat:7 - prompt: {{}}".format, row_may_be_quoted),
    Disguise("prompt at DEBUG", "DEBUG:server:incoming: {}".format, row_may_be_quoted),
    Disguise("at WARNING", "WARNING:root:{}".format, row_may_be_quoted),
    Disguise("body", body),
    Disguise("body at INFO", lambda text: f"INFO body={body(text)}"),
    Disguise("record at INFO", lambda text: json.dumps({"level": "info", "message": text})),
    Disguise("logfmt at INFO", lambda text: LOGFMT.format("INFO") + json.dumps(text)),
    Disguise("in an event stream", lambda text: "data: " + json.dumps({"choices": [{"delta": {"content": text}}]})),
    Disguise("retried", "{}, retrying (1/3)".format, any_message),
    Disguise("prose", "The text `{}` stands in many logs.".format),
)


def cases(disguises: tuple[Disguise, ...]) -> list[object]:
    return [pytest.param(disguise, id=disguise.name) for disguise in disguises]


@pytest.mark.parametrize("disguise", cases(MEANT))
def test_a_message_is_recognised_in_its_disguise(disguise: Disguise) -> None:
    rows = [row for row in CATALOGUE if disguise.fits(row)]
    assert len(rows) > 20
    told = {row.id: kind_of(disguise.put_on(row.example)) for row in rows}
    assert {name: kind for name, kind in told.items() if kind is not BY_ID[name].cause} == {}


@pytest.mark.parametrize("disguise", cases(QUOTED))
def test_a_quotation_is_silent(disguise: Disguise) -> None:
    rows = [row for row in CATALOGUE if disguise.fits(row)]
    assert len(rows) > 80
    told = {row.id: kind_of(disguise.put_on(log_of(row).rpartition("\n")[2])) for row in rows}
    assert {name: kind for name, kind in told.items() if kind is not None} == {}


BY_ID = {row.id: row for row in CATALOGUE}


def test_an_exception_without_a_known_text_counts_only_as_a_process_s_last_words() -> None:
    assert kind_of("2026-11-21T01:02:03+0000 mac python3[123]: ValueError: odd") is Cause.PYTHON_EXCEPTION_OTHER
    for level in ("INFO", "WARNING", "ERROR"):
        assert kind_of(f"{STAMP} | {level}     | api:chat:7 - ValueError: odd") is None
