"""The daemon of this state folder: does it run, does it answer, what did it last go through?"""

import sqlite3

import msgspec

from diagnostics.incident import Incident
from supervisor.cli.daemon_client import DaemonClient
from supervisor.cli.errors import CommandError
from supervisor.doctor.finding import Finding, failed, ok, skipped, warning
from supervisor.doctor.lock import LockFacts
from supervisor.exit_code import ExitCode
from supervisor.journal.database import JournalUnusable
from supervisor.journal.reader import JournalReader, NoJournalFile
from supervisor.settings import Settings
from supervisor.state_directory import DaemonRecord, StateDirectory
from transports.http.gateway import ClusterView, GroupState

DAEMON, INCIDENT, VERSION = "daemon", "last-incident", "version"
_ANSWER_WITHIN_S = 5.0
_RECENT_S = 24 * 3600.0
_UNKNOWN = "unknown"
"""The version of what was not installed, as `supervisor.version` tells it."""


class DaemonFacts(msgspec.Struct, frozen=True):
    """What is known of the daemon. `view` is its own account, or `problem` says why there is none.

    `wants_key` means that we were turned away: that is no fault of the daemon.
    """

    lock: LockFacts
    record: DaemonRecord | None = None
    view: ClusterView | None = None
    problem: str | None = None
    wants_key: bool = False


def read_daemon(settings: Settings, lock: LockFacts) -> DaemonFacts:
    """Ask the daemon of this state folder. Blocks, for 5 s at most."""
    record = StateDirectory(settings.state_dir).read_daemon()
    if not lock.held or record is None:
        return DaemonFacts(lock, record)
    try:
        with DaemonClient(record.url.rstrip("/"), settings.api_key, timeout_s=_ANSWER_WITHIN_S) as daemon:
            return DaemonFacts(lock, record, view=daemon.cluster())
    except CommandError as problem:
        wants_key = problem.exit_code == ExitCode.CONFIG
        return DaemonFacts(lock, record, problem=f"{problem}. {problem.remedy}", wants_key=wants_key)


def judge_daemon(facts: DaemonFacts) -> Finding:
    """Judge whether it serves."""
    if not facts.lock.held:
        why = "No daemon runs from this state folder." if facts.lock.problem is None else f"{facts.lock.problem}."
        return skipped(DAEMON, why)
    pid = "a daemon" if facts.lock.pid is None else f"pid {facts.lock.pid}"
    if facts.record is None:
        return warning(
            DAEMON,
            [f"{pid} holds the folder's lock, and has not written where it serves"],
            "It is starting, it downloads a model, or it is a node that has not reached its head.",
            "Look at what it prints.",
        )
    where = f"{pid}; clients ask at {facts.record.url}"
    if facts.wants_key:
        return skipped(DAEMON, f"A daemon runs, and could not be asked: {facts.problem}", where)
    if facts.view is None:
        diagnosis = "The daemon runs, but it does not answer as it should."
        remedy = "Look at what it prints; if it hangs, stop it and start it again."
        return failed(DAEMON, [where, facts.problem or ""], diagnosis, remedy, ExitCode.UNAVAILABLE)
    return _judge_group(facts.view, where)


def _judge_group(view: ClusterView, where: str) -> Finding:
    group = f"{view.model}: {view.state}, generation {view.generation}, {view.restarts} restarts"
    evidence = [where, group, *([view.reason] if view.reason else [])]
    match view.state:
        case GroupState.READY:
            return ok(DAEMON, *evidence)
        case GroupState.FAILED:
            remedy = "Read it with `ringwarden why`, correct the cause, and start the daemon again."
            return failed(DAEMON, evidence, "The group gave up and stays down.", remedy, ExitCode.UNAVAILABLE)
        case GroupState.DEGRADED:
            remedy = "Bring the missing node back, or start with other --nodes."
            return failed(DAEMON, evidence, "The group waits for a node.", remedy, ExitCode.TEMPORARY)
        case GroupState.STARTING | GroupState.RESTARTING:
            return warning(DAEMON, evidence, "It does not serve yet.", "Wait; `ringwarden ps` shows how far it is.")
        case GroupState.STOPPING | GroupState.STOPPED:
            return warning(DAEMON, evidence, "It is being stopped.", "Start it again if that was not meant.")


def read_incident(settings: Settings) -> Incident | str | None:
    """Return the newest incident in the journal, None when there is none, or why it cannot be read."""
    try:
        with JournalReader(StateDirectory(settings.state_dir).journal_file) as journal:
            return next(iter(journal.incidents(1)), None)
    except NoJournalFile:
        return "there is no journal yet"
    except (JournalUnusable, sqlite3.Error, OSError) as problem:
        return str(problem)


def judge_incident(found: Incident | str | None, now: float) -> Finding:
    """Judge the newest incident by its age. `now` is seconds since the Unix epoch."""
    if found is None:
        return ok(INCIDENT, "the journal holds no incident")
    if isinstance(found, str):
        return skipped(INCIDENT, f"Nothing is known: {found}.")
    age_s = max(0.0, now - found.occurred_at)
    after = "" if found.recovered_after_s is None else f", recovered after {found.recovered_after_s:.1f} s"
    evidence = [f"{found.incident_id}, {_age(age_s)} ago, {found.cause}{after}", found.message]
    if age_s < _RECENT_S:
        return warning(INCIDENT, evidence, found.advice, f"ringwarden why {found.incident_id}")
    return ok(INCIDENT, *evidence)


def judge_version(facts: DaemonFacts, own: str) -> Finding:
    """Judge whether the daemon runs what is installed now."""
    if not facts.lock.held or facts.record is None:
        return skipped(VERSION, "No daemon runs to compare with.", f"ringwarden {own} is installed")
    if _UNKNOWN in (own, facts.record.version):
        return skipped(VERSION, "This copy was not installed as a package, so its version is not known.")
    evidence = [f"ringwarden {own} is installed, the daemon is {facts.record.version}"]
    if facts.record.version != own:
        return warning(VERSION, evidence, "The daemon runs an older installation.", "Start it again when it suits.")
    return ok(VERSION, *evidence)


def _age(seconds: float) -> str:
    for unit, length in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
