"""`ringwarden demo`: the story that this project exists for, on this machine, each step of it checked."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec
from rich.console import RenderableType
from rich.text import Text

from diagnostics.cause import Cause
from diagnostics.incident import Incident
from supervisor.cli.cluster_table import group_line, rank_table
from supervisor.cli.daemon_client import DaemonClient
from supervisor.cli.demo_daemon import MODEL, DemoDaemon, DemoFailed
from supervisor.cli.demo_stream import StreamOutcome, stream_answer
from supervisor.cli.errors import CommandError
from supervisor.cli.incident_story import incident_story
from supervisor.cli.reading import print_json
from supervisor.cli.terminal import complain, console, shown
from supervisor.exit_code import ExitCode
from transports.http.gateway import ClusterView, GroupState

VICTIM_RANK = 1
TOKENS_BEFORE_THE_KILL = 5
START_DEADLINE_S = 180.0
RECOVERY_DEADLINE_S = 120.0
QUESTION = {"model": MODEL, "temperature": 0, "messages": [{"role": "user", "content": "What is Ringwarden?"}]}
# Long enough that the kill always falls into the answer, however fast the machine is.
LONG_QUESTION = {**QUESTION, "max_tokens": 400, "ignore_eos": True}
SHORT_QUESTION = {**QUESTION, "max_tokens": 64}


class DemoReport(msgspec.Struct):
    """What happened, filled in step by step; `missing` says which promise was not kept."""

    ok: bool = False
    missing: str | None = None
    ready_after_s: float | None = None
    killed_pid: int | None = None
    tokens_before_error: int | None = None
    error_after_kill_s: float | None = None
    error: dict[str, Any] | None = None
    incident: Incident | None = None
    recovered_after_s: float | None = None
    generation_before: int | None = None
    generation_after: int | None = None
    second_answer: str | None = None


def run_demo(*, as_json: bool) -> int:
    """Play the story; return 0 only when all of it happened, else 70. Blocks for some seconds.

    Args:
        as_json: Print one JSON document at the end instead of telling the story as it goes.
    """
    # An ordered exit, so that the daemon of the demo ends with it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    report = DemoReport()
    tell = _silence if as_json else _tell
    try:
        with DemoDaemon() as daemon, DaemonClient(daemon.url) as client:
            _play(daemon, client, report, tell)
        report.ok = True
    except (DemoFailed, CommandError, httpx2.HTTPError, ValueError) as problem:
        report.missing = str(problem) or type(problem).__name__
    if as_json:
        print_json(report)
    elif report.missing is not None:
        complain("the demo did not go as promised", "The reason is below; please report it.")
        console().print(*(shown(line) for line in report.missing.splitlines()), sep="\n")
    return ExitCode.OK if report.ok else ExitCode.SOFTWARE


def _play(daemon: DemoDaemon, client: DaemonClient, report: DemoReport, tell: Callable[..., None]) -> None:
    tell(f"Starting {MODEL} on two ranks at {daemon.url} ...")
    report.ready_after_s = daemon.wait_until(client.is_ready, "the group is ready", START_DEADLINE_S)
    before = client.cluster()
    report.generation_before = before.generation
    tell(f"Ready after {report.ready_after_s:.1f} s.", group_line(before), rank_table(before), Text())

    outcome, killed_at = _ask_and_kill(daemon.url, before, report, tell)
    report.error_after_kill_s = time.monotonic() - killed_at
    report.tokens_before_error, report.error = outcome.tokens, outcome.error
    incident_id = _incident_named_by(outcome)
    tell(f"{report.error_after_kill_s * 1000:.0f} ms later the client has this, and no [DONE]:", Text())
    tell(shown(f"data: {outcome.error_event}", "red"), Text())

    report.recovered_after_s = _wait_for_recovery(daemon, client, before) - killed_at
    report.generation_after = client.cluster().generation
    report.incident = client.incident(incident_id)
    tell(f"$ ringwarden why {incident_id}", incident_story(report.incident), Text())
    _check_incident(report.incident)
    tell(
        f"Serving again {report.recovered_after_s:.1f} s after the kill, generation {report.generation_after}.", Text()
    )

    again = stream_answer(daemon.url, SHORT_QUESTION)
    if again.error is not None or not again.done or not again.text:
        raise DemoFailed(f"the second answer did not end well: {again}")
    report.second_answer = again.text
    tell("The same question once more, to its end:", shown(again.text.strip(), "green"))


def _ask_and_kill(
    url: str, before: ClusterView, report: DemoReport, tell: Callable[..., None]
) -> tuple[StreamOutcome, float]:
    """Stream an answer and kill the victim in the middle of it; return how the stream ended, and when the kill was."""
    pid = next((rank.pid for rank in before.ranks if rank.rank == VICTIM_RANK), None)
    if pid is None:
        raise DemoFailed(f"/cluster shows no process for rank {VICTIM_RANK}")
    killed_at: list[float] = []
    pieces: list[str] = []

    def kill_after_a_few(count: int, piece: str) -> None:
        if not killed_at:
            pieces.append(piece)
        if count == TOKENS_BEFORE_THE_KILL:
            os.kill(pid, signal.SIGKILL)
            killed_at.append(time.monotonic())
            report.killed_pid = pid
            tell(shown(f"{''.join(pieces)} ...", "green"), f"kill -9 {pid}   (rank {VICTIM_RANK})")

    tell("$ curl -N .../v1/chat/completions")
    outcome = stream_answer(url, LONG_QUESTION, kill_after_a_few)
    if not killed_at:
        raise DemoFailed(f"the answer ended after {outcome.tokens} tokens, before the rank could be killed: {outcome}")
    return outcome, killed_at[0]


def _incident_named_by(outcome: StreamOutcome) -> str:
    """Return the incident id that the client was given, when its error says all that it must."""
    error = outcome.error
    if error is None:
        raise DemoFailed(f"the stream ended without an error after {outcome.tokens} tokens")
    expected = {"rank": VICTIM_RANK, "cause": Cause.KILLED_NO_STDERR}
    wrong = {name: error.get(name) for name, value in expected.items() if error.get(name) != value}
    incident_id = error.get("incident_id")
    if wrong or not isinstance(incident_id, str):
        raise DemoFailed(
            f"the client's error does not name {json.dumps(expected)} and an incident: {json.dumps(error)}"
        )
    if outcome.done or outcome.finish_reason != "error":
        raise DemoFailed("the stream that failed ended like one that did not")
    return incident_id


def _wait_for_recovery(daemon: DemoDaemon, client: DaemonClient, before: ClusterView) -> float:
    """Wait until a later generation serves; return the moment, on the monotonic clock."""

    def serves_again() -> bool:
        now = client.cluster()
        return now.generation > before.generation and now.state is GroupState.READY and client.is_ready()

    daemon.wait_until(serves_again, "a later generation serves", RECOVERY_DEADLINE_S)
    return time.monotonic()


def _check_incident(incident: Incident) -> None:
    if incident.rank != VICTIM_RANK or incident.cause is not Cause.KILLED_NO_STDERR:
        raise DemoFailed(f"the incident blames rank {incident.rank} for {incident.cause}")
    if not incident.task_ids:
        raise DemoFailed("the incident does not name the request that it ended")


def _tell(*parts: RenderableType) -> None:
    for part in parts:
        console().print(shown(part) if isinstance(part, str) else part)


def _silence(*parts: RenderableType) -> None:
    """Say nothing: with `--json` only the document is printed."""
