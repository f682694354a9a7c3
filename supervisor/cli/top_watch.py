"""Keeps what `top` shows up to date, in a thread of its own, over as many daemons as come after each other."""

import threading
import time
from collections.abc import Callable

from supervisor.cli.daemon_client import DaemonClient, NoDaemon, daemon_url
from supervisor.cli.errors import CommandError
from supervisor.cli.event_feed import FeedLost, event_feed
from supervisor.cli.reading import DaemonChoice
from supervisor.cli.top_state import MAX_INCIDENTS, TopState, TopView
from transports.live import IncidentSeen, Snapshot

RETRY_INTERVAL_S = 0.5
MAX_REQUESTS = 50
_NAMES = (Snapshot.__name__, IncidentSeen.__name__)


def look_once(choice: DaemonChoice) -> TopState:
    """Ask the daemon how things are. Blocks.

    Raises:
        CommandError: It does not answer, or not properly.
    """
    settings = choice.settings()
    with DaemonClient(daemon_url(choice.url, settings), settings.api_key) as daemon:
        cluster, incidents, requests = daemon.cluster(), daemon.incidents(), daemon.requests()
    return TopState(daemon.url, time.time(), cluster, incidents[:MAX_INCIDENTS], requests[:MAX_REQUESTS], len(requests))


class TopWatch:
    """Listens to the daemon, and to the next one when it goes. `view` may be read from any thread.

    Args:
        choice: Which daemon.
        changed: Called, in the watching thread, after each change of `view`.
    """

    def __init__(self, choice: DaemonChoice, changed: Callable[[TopView], None] = lambda view: None) -> None:
        self._choice = choice
        self._settings = choice.settings()
        self._changed = changed
        self.view = TopView()

    def start(self) -> None:
        """Begin. The thread ends with the process: it may be waiting for a daemon that says nothing."""
        threading.Thread(target=self.watch, name="top", daemon=True).start()

    def watch(self) -> None:
        """Listen for ever. Blocks."""
        while True:
            try:
                self._listen()
            except FeedLost as problem:
                self._show(self.view.disconnected(str(problem), time.time()))
            except NoDaemon as problem:
                self._show(self.view.disconnected(str(problem), time.time()))
            except CommandError as problem:
                self._show(self.view.disconnected(f"{problem}. {problem.remedy}", time.time()))
            time.sleep(RETRY_INTERVAL_S)

    def _listen(self) -> None:
        # Asked anew each time: a daemon that was started again may be at another address.
        url = daemon_url(self._choice.url, self._settings)
        with event_feed(url, self._settings.api_key, since=None, names=_NAMES) as events:
            with DaemonClient(url, self._settings.api_key) as daemon:
                incidents = daemon.incidents()
            self._show(self.view.connected(url, incidents, time.time()))
            for event in (event for _, event in events if event is not None):
                self._show(self.view.seen(url, event, incidents))

    def _show(self, view: TopView) -> None:
        self.view = view
        self._changed(view)
