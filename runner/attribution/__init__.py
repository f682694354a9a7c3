"""Whose output is whose: every line that a task's Python code writes is reported with the task's id.

Engines that are given by `--engine module:Class` get this for what the compute loop calls for one task (`prepare`,
`text_stream` and the stream, `admit`). What they run for one task inside `step` they mark themselves:

    from runner.attribution import task

    with task(task_id):
        user_hook(logits)
"""

from runner.attribution.context import bound, current_task, task

__all__ = ["bound", "current_task", "task"]
