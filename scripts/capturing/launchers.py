"""Rings under `mlx.launch`: one log in which all ranks and the launcher write."""

from collections.abc import Callable
from pathlib import Path

from capturing.ring_failures import WAYS
from capturing.scenario import Command, Scenario, Truth, Workshop

_REPORTS = {
    "SIGKILL": r"Node with rank \d exited with code -9",
    "SIGSEGV": r"Node with rank \d exited with code -11",
    "SIGABRT": r"Node with rank \d exited with code -6",
}


def _launched(way: str, size: int, victim: int, verbose: bool) -> Callable[[Workshop], list[Command]]:
    def commands(workshop: Workshop) -> list[Command]:
        path = workshop.scratch / "ring_rank.py"
        path.write_text(Path(__file__).with_name("ring_rank.py").read_text())
        launcher = workshop.environment.folder / "bin" / "mlx.launch"
        options = ("--verbose",) if verbose else ()
        rank = (str(workshop.environment.python), str(path), "all_sum", way, str(victim))
        argv = (str(launcher), "--backend", "ring", "-n", str(size), *options, *rank)
        return [Command(argv, with_stdout=True)]

    return commands


def _scenario(way: str, size: int, victim: int, verbose: bool) -> Scenario:
    truth = WAYS[way]
    name = f"launch_{way}_{victim}_of_{size}{'_verbose' if verbose else ''}"
    marker = _REPORTS.get(way) or truth.marker
    return Scenario(name, "launchers", Truth(truth.kind, marker=marker), _launched(way, size, victim, verbose), 15.0)


LAUNCHERS: tuple[Scenario, ...] = (
    *(
        _scenario(way, 2, 1, False)
        for way in (*_REPORTS, "raise", "missing_weights", "disk_full", "faulthandler_segfault")
    ),
    _scenario("SIGKILL", 3, 2, True),
    _scenario("raise", 3, 0, True),
)
