"""Scenarios of one process: a short program, and what it must say."""

from collections.abc import Callable

from capturing.scenario import Command, Scenario, Truth, Workshop


def program(  # noqa: PLR0917 - one row of a table
    name: str,
    corpus: str,
    truth: Truth,
    source: str,
    environ: dict[str, str] | None = None,
    limits: dict[str, int] | None = None,
    prepare: Callable[[Workshop], None] | None = None,
) -> Scenario:
    """A scenario that runs `source` as a file. `{models}` in it is the folder of the models that `prepare` made."""

    def commands(workshop: Workshop) -> list[Command]:
        if prepare is not None:
            prepare(workshop)
        path = workshop.scratch / "program.py"
        path.write_text(source.strip().replace("{models}", str(workshop.models)) + "\n")
        argv = (str(workshop.environment.python), str(path))
        return [Command(argv, environ or {}, limits or {})]

    return Scenario(name, corpus, truth, commands)


def module(name: str, corpus: str, truth: Truth, argv: tuple[str, ...], environ: dict[str, str]) -> Scenario:
    """A scenario that runs an installed module: `python -m` with `argv`."""

    def commands(workshop: Workshop) -> list[Command]:
        return [Command((str(workshop.environment.python), "-m", *argv), environ)]

    return Scenario(name, corpus, truth, commands)
