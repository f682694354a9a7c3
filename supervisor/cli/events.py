"""`events`: what happened, from the journal; and what happens, from the daemon."""

import sys
import time
from collections.abc import Iterable, Iterator

import msgspec

from supervisor.cli.daemon_client import NoDaemon, daemon_url
from supervisor.cli.errors import CommandError
from supervisor.cli.event_feed import FeedLost, NumberedEvent, event_feed
from supervisor.cli.event_rows import (
    LIVE_NAMES,
    USUAL_TYPES,
    EventRow,
    EventType,
    LiveRows,
    kept_row,
    row_text,
    task_row,
)
from supervisor.cli.kept_journal import kept_journal
from supervisor.cli.reading import DaemonChoice
from supervisor.cli.terminal import complain, console, json_line
from supervisor.exit_code import ExitCode
from supervisor.journal.reader import JournalReader
from supervisor.journal.selection import Selection
from transports.live import Missed, Snapshot

MAX_TASKS = 1_000
RETRY_INTERVAL_S = 0.5


class EventsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to show. `since` is seconds since the Unix epoch; no types means the usual ones."""

    since: float | None
    types: frozenset[EventType]
    follow: bool
    as_json: bool

    @property
    def wanted(self) -> frozenset[EventType]:
        """The types to show."""
        return self.types or USUAL_TYPES

    @property
    def live_names(self) -> tuple[str, ...]:
        """What to ask a daemon for."""
        return tuple(sorted({name for kind in self.wanted for name in LIVE_NAMES[kind]}))

    def shows(self, row: EventRow) -> bool:
        """Whether a row is asked for."""
        return row.type in self.wanted and (self.since is None or row.at >= self.since)


def show_events(choice: DaemonChoice, request: EventsRequest) -> None:
    """Carry out `events`. Blocks; with `follow`, until interrupted or until nobody reads its output.

    Raises:
        CommandError: There is no daemon to ask, or no journal to read.
    """
    if request.follow:
        _follow(choice, request)
    elif choice.url is not None:
        _show_kept_by(choice, request)
    else:
        with kept_journal(choice.settings().state_dir) as reader:
            _write(request, _kept(reader, request))


def _show_kept_by(choice: DaemonChoice, request: EventsRequest) -> None:
    settings = choice.settings()
    url, names = daemon_url(choice.url, settings), (*request.live_names, Snapshot.__name__)
    try:
        with event_feed(url, settings.api_key, since=0, names=names) as events:
            _write(request, _rows(LiveRows(), until_now(events)))
    except FeedLost as problem:
        raise _broken(url, problem) from problem


def _broken(url: str, problem: FeedLost) -> CommandError:
    return CommandError(f"{url}/events broke off: {problem}", "Look at the daemon's own output", ExitCode.UNAVAILABLE)


def _kept(reader: JournalReader, request: EventsRequest) -> list[EventRow]:
    found = [kept_row(record) for _, record in reader.events(Selection(since=request.since))]
    if EventType.REQUEST in request.wanted:
        tasks = reader.newest_tasks(MAX_TASKS + 1)
        found += [task_row(task) for task in tasks[:MAX_TASKS]]
        if len(tasks) > MAX_TASKS:
            text = f"requests before this one are not shown, only the newest {MAX_TASKS}"
            found.append(EventRow(at=tasks[MAX_TASKS - 1].started_at, type=EventType.MISSED, text=text))
    return sorted((row for row in found if row is not None), key=lambda row: row.at)


def _follow(choice: DaemonChoice, request: EventsRequest) -> None:
    """Follow one daemon after the other. Only the first has to be there."""
    settings, rows = choice.settings(), LiveRows()
    known: int | None = None if request.since is None else 0
    is_first = True
    while True:
        url = ""
        try:
            url = daemon_url(choice.url, settings)
            with event_feed(url, settings.api_key, since=known, names=request.live_names) as events:
                if not is_first:
                    complain("the daemon answers again", "Going on")
                is_first = False
                for numbered in events:
                    known = numbered.event_id or known
                    _write(request, _rows(rows, [numbered]))
        except FeedLost as problem:
            if is_first:
                raise _broken(url, problem) from problem
            complain(f"the connection to the daemon was lost: {problem}", "Waiting for it to come back")
        except NoDaemon:
            if is_first:
                raise
        time.sleep(RETRY_INTERVAL_S)


def until_now(events: Iterable[NumberedEvent]) -> Iterator[NumberedEvent]:
    """Yield what is kept: all that the daemon tells before it has nothing to tell but how things are.

    It says how things are first, and then every second, also while it is still telling what it kept.
    """
    began_at, told_at = None, 0.0
    has_told = True
    for numbered in events:
        event = numbered.event
        if isinstance(event, Snapshot):
            began_at = event.at if began_at is None else began_at
            if not has_told or told_at > began_at:
                return
            has_told = False
        elif event is not None:
            has_told = True
            told_at = told_at if isinstance(event, Missed) else event.at
        yield numbered


def _rows(rows: LiveRows, events: Iterable[NumberedEvent]) -> Iterator[EventRow]:
    for event_id, event in events:
        row = None if event is None or isinstance(event, Snapshot) else rows.row(event, event_id, time.time())
        if row is not None:
            yield row


def _write(request: EventsRequest, rows: Iterable[EventRow]) -> None:
    for row in rows:
        if not request.shows(row):
            continue
        if request.as_json:
            sys.stdout.write(json_line(row))
        else:
            console().print(row_text(row))
    sys.stdout.flush()
