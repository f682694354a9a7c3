"""A supervised program beside the code that uses it, with its failure as one bare error."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio

from supervisor.process.supervise import Command, SupervisedProcess, supervise_process


@asynccontextmanager
async def supervised_process(command: Command, **arguments: Any) -> AsyncGenerator[SupervisedProcess]:
    """Start a program and hand it over alive; leaving the block waits for its end.

    If the program fails while the block runs, the block is cancelled. If the block raises, the program is ended by the
    ladder, without a `CalledProcessError` for that.

    Args:
        command: Program and arguments.
        arguments: As for `supervise_process`, without `task_status`.

    Raises:
        CalledProcessError: As `supervise_process`; never inside an exception group.
        OSError: The program cannot be started.
        ValueError: As `supervise_process`.
    """
    try:
        async with anyio.create_task_group() as tasks:
            yield await tasks.start(partial(supervise_process, command, **arguments))
    except BaseExceptionGroup as group:
        # The task group holds one program and one block; both failing at once is the only real group.
        first, *others = group.exceptions
        if others:
            raise
        raise first from first.__cause__
