"""`ringwarden requests` and `ringwarden cancel`: what a daemon works on now, and an end to one of it."""

from collections.abc import Sequence

from rich.table import Table

from supervisor.cli.daemon_client import DaemonClient, daemon_url
from supervisor.cli.errors import CommandError
from supervisor.cli.reading import DaemonChoice, print_json
from supervisor.cli.terminal import console, shown
from supervisor.exit_code import ExitCode
from transports.http.request_view import RequestState, RequestView

_STYLES = {RequestState.QUEUED: "yellow", RequestState.DECODE: "green"}


def show_requests(choice: DaemonChoice, *, as_json: bool) -> None:
    """Carry out `requests`."""
    with _daemon(choice) as daemon:
        views = daemon.requests()
    if as_json:
        print_json(views)
    elif views:
        console().print(request_table(views))
    else:
        console().print("no open requests")


def cancel_request(choice: DaemonChoice, request_id: str, *, as_json: bool) -> None:
    """Carry out `cancel`.

    Raises:
        CommandError: No open request has this id.
    """
    with _daemon(choice) as daemon:
        cancelled = daemon.cancel(request_id)
    if cancelled is None:
        message = f"no open request has the id {request_id}; it may have ended"
        raise CommandError(message, "List the open ones with: ringwarden requests", ExitCode.BAD_DATA)
    if as_json:
        print_json(cancelled)
    else:
        console().print(shown(f"{cancelled.id} was cancelled after {cancelled.tokens_emitted} tokens."))


def request_table(views: Sequence[RequestView]) -> Table:
    """Return the open requests as rows."""
    table = Table("request", "model", "state", "age", "tokens", "tags", box=None, pad_edge=False, header_style="dim")
    for view in views:
        tags = " ".join(f"{name}={value}" for name, value in view.metadata.items())
        table.add_row(
            shown(view.id),
            shown(view.model),
            shown(f"{view.state} {_how_far(view)}".rstrip(), _STYLES.get(view.state, "")),
            f"{view.age_s:.1f} s",
            str(view.tokens),
            shown(tags),
        )
    return table


def _how_far(view: RequestView) -> str:
    if view.position is not None:
        return f"{view.position}/{view.waiting}"
    return "" if view.total is None else f"{view.done}/{view.total}"


def _daemon(choice: DaemonChoice) -> DaemonClient:
    settings = choice.settings()
    return DaemonClient(daemon_url(choice.url, settings), settings.api_key)
