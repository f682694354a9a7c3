"""A real ring of two MLX processes on this machine: they connect, add, and leave."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import anyio
import msgspec

from diagnostics.evidence import OperatingSystem
from diagnostics.post_mortem import RankLog, examine_group
from supervisor.doctor.finding import Finding, failed, ok, skipped
from supervisor.doctor.lock import LockFacts
from supervisor.doctor.self_check import Attempt, attempt
from supervisor.exit_code import ExitCode
from supervisor.guard import Guard
from supervisor.launch import runner_environment, write_hostfile
from supervisor.ports import free_ports

CHECK = "ring"
RANKS = 2
_MAX_TAIL_LINES = 4


class RingFacts(msgspec.Struct, frozen=True):
    """What came of each rank, by number, or why there was none."""

    ranks: tuple[Attempt, ...] = ()
    refused: str | None = None


def read_ring(
    environment: Mapping[str, str], system: OperatingSystem, lock: LockFacts, *, deadline_s: float
) -> RingFacts:
    """Form a ring and leave it. Blocks, for 12 s longer than the deadline at worst.

    Refused while a daemon runs here: the two would compete with it for the GPU and its memory.
    """
    if lock.held:
        return RingFacts(refused="A daemon runs here, and the test would compete with its ranks; stop it first.")
    if lock.problem is not None:
        return RingFacts(refused=f"Whether a daemon runs here is not known: {lock.problem}.")
    return anyio.run(_form, environment, system, deadline_s)


def judge_ring(facts: RingFacts, system: OperatingSystem) -> Finding:
    """Judge how it went; a failure gets the verdict that a group's would."""
    if facts.refused is not None:
        return skipped(CHECK, facts.refused)
    if all(_is_right(rank, one) for rank, one in enumerate(facts.ranks)):
        return ok(CHECK, f"{RANKS} ranks on loopback connected, added 1024 numbers, and left with exit code 0")
    logs = [
        RankLog(rank, one.stderr, None if one.stood_still else one.exit_status, alive=one.stood_still)
        for rank, one in enumerate(facts.ranks)
    ]
    verdict = examine_group(logs, system).verdict
    evidence: list[str] = []
    for rank, one in enumerate(facts.ranks):
        evidence.append(f"rank {rank} {one.end_in_words(system)}")
        lines = one.stood_at[:_MAX_TAIL_LINES] or one.stderr.tail[-_MAX_TAIL_LINES:]
        evidence += [f"rank {rank}: {line}" for line in lines]
    if verdict is None:
        diagnosis, advice = "The ranks left, but the sum was not right.", "Reinstall mlx, and report it if it stays so."
    else:
        diagnosis, advice = f"{verdict.sentence} ({verdict.kind}, {verdict.confidence})", verdict.advice
    return failed(CHECK, evidence, diagnosis, advice, ExitCode.UNAVAILABLE)


def _is_right(rank: int, tried: Attempt) -> bool:
    step = tried.steps.get("ring")
    return tried.succeeded and step is not None and (step.rank, step.size, step.total) == (rank, RANKS, float(RANKS))


async def _form(environment: Mapping[str, str], system: OperatingSystem, deadline_s: float) -> RingFacts:
    found: dict[int, Attempt] = {}
    with tempfile.TemporaryDirectory(prefix="ringwarden-doctor-") as name, Guard() as guard:
        hostfile = Path(name) / "hosts.json"
        try:
            write_hostfile(hostfile, free_ports(RANKS))
        except OSError as problem:
            return RingFacts(refused=f"No ring could be prepared: {problem.strerror or problem}.")

        async def join(rank: int) -> None:
            variables = runner_environment(environment, rank, hostfile)
            found[rank] = await attempt("ring", variables, system, guard, deadline_s=deadline_s)

        async with anyio.create_task_group() as ranks:
            for rank in range(RANKS):
                ranks.start_soon(join, rank)
    return RingFacts(tuple(found[rank] for rank in range(RANKS)))
