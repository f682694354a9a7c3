"""A request that met no incident, told on a few lines."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from supervisor.cli.incident_story import local_time, request_text
from supervisor.cli.terminal import shown
from supervisor.journal.records import TaskOutcome, TaskRecord


def task_story(task: TaskRecord) -> Group:
    """Return what the journal knows about a task."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("request", shown(request_text(task)))
    facts.add_row("where", shown(f"generation {task.generation} of {task.run_id}"))
    if task.detail:
        facts.add_row("detail", shown(task.detail))
    facts.add_row("logs", shown(f"ringwarden logs --task {task.task_id}"))
    headline = shown(f"{task.task_id}  {local_time(task.started_at)}", "dim")
    failed = task.outcome in (TaskOutcome.FAILED, TaskOutcome.REJECTED)
    return Group(headline, Text(), shown(_sentence(task), "bold red" if failed else "bold"), Text(), facts)


def _sentence(task: TaskRecord) -> str:
    match task.outcome:
        case None:
            return "It has not ended, or its daemon was killed and has not been started again."
        case TaskOutcome.FINISHED:
            return "It ended well."
        case TaskOutcome.CANCELLED:
            return "Its client went away, and it was cancelled."
        case TaskOutcome.REJECTED:
            return "It was refused; the runners are fine."
        case TaskOutcome.FAILED:
            return "It failed, and no incident is known for it."
