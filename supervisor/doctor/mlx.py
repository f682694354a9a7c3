"""Are mlx and mlx-lm there, do they load, and does a computation give the right result?"""

import os
import re
from collections.abc import Iterator, Mapping

import anyio
import msgspec

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.inventory import installed_version
from supervisor.doctor.finding import Finding, failed, ok, skipped, warning
from supervisor.doctor.self_check import Attempt, attempt
from supervisor.exit_code import ExitCode
from supervisor.guard import Guard
from supervisor.launch import runner_environment

MLX, METAL, MLX_LM = "mlx", "metal", "mlx-lm"
OLDEST = (0, 32)
_NOTICES_DEATHS_SINCE = (0, 32, 1)
_MAX_TAIL_LINES = 6


class MlxFacts(msgspec.Struct, frozen=True):
    """The installed versions, None for what is not installed, and what came of trying; `tried` None: not tried."""

    system: OperatingSystem
    mlx_version: str | None
    mlx_lm_version: str | None
    tried: Attempt | None


def read_mlx(system: OperatingSystem, environment: Mapping[str, str], *, deadline_s: float) -> MlxFacts:
    """Find the versions, and try MLX in a child. Blocks, for 12 s longer than the deadline at worst."""
    mlx, mlx_lm = installed_version("mlx"), installed_version("mlx-lm")

    async def tried(guard: Guard) -> Attempt:
        return await attempt("mlx", runner_environment(environment, 0, None), system, guard, deadline_s=deadline_s)

    with Guard() as guard:
        return MlxFacts(system, mlx, mlx_lm, anyio.run(tried, guard))


def judge_mlx(facts: MlxFacts) -> Iterator[Finding]:
    """Yield the findings for mlx, Metal and mlx-lm, each from the steps that the child got through."""
    tried = facts.tried
    loaded = None if tried is None else tried.steps.get("mlx")
    if facts.mlx_version is None and loaded is None:
        yield _not_installed(MLX, facts.system)
        yield skipped(METAL, "MLX is not installed.")
    elif tried is None:
        yield skipped(MLX, "It was not tried.", f"mlx {facts.mlx_version} is installed")
        yield skipped(METAL, "MLX was not tried.")
    else:
        yield _mlx(facts, tried)
        yield _metal(facts, tried)
    yield _mlx_lm(facts, tried)


def _mlx(facts: MlxFacts, tried: Attempt) -> Finding:
    installed = f"mlx {facts.mlx_version or 'unknown'} is installed"
    loaded = tried.steps.get("mlx")
    if loaded is None:
        return _broken(
            MLX, "to import mlx.core", [installed], tried, facts.system, remedy=_reinstall("mlx", facts.system)
        )
    evidence = [f"mlx {loaded.version}, loaded from {os.path.dirname(loaded.file)}"]  # noqa: PTH120 - a text to show
    if loaded.version.partition("+")[0] != (facts.mlx_version or "").partition("+")[0]:
        return warning(
            MLX,
            [installed, *evidence],
            "What is loaded is not what is installed: another copy comes first on the path.",
            "Look at PYTHONPATH, and at folders named mlx where you start it.",
        )
    version = _numbers(loaded.version)
    if version < OLDEST:
        return failed(
            MLX, evidence, "Ringwarden needs mlx 0.32 or newer.", _reinstall("mlx", facts.system), ExitCode.CONFIG
        )
    if version < _NOTICES_DEATHS_SINCE:
        return warning(
            MLX,
            evidence,
            "Before 0.32.1, ranks that lose a peer hang without a word: Ringwarden has to end each of them.",
            _reinstall("mlx", facts.system),
        )
    return ok(MLX, *evidence)


def _metal(facts: MlxFacts, tried: Attempt) -> Finding:
    device, computed = tried.steps.get("device"), tried.steps.get("computed")
    if tried.steps.get("mlx") is None:
        return skipped(METAL, "MLX could not be loaded.")
    remedy = _reinstall("mlx", facts.system)
    if device is None:
        return _broken(METAL, "to ask MLX for its device", [], tried, facts.system, remedy=remedy)
    evidence = [f"Metal is {'available' if device.metal else 'not available'}; MLX computes on {device.device}"]
    if computed is None:
        return _broken(METAL, "to multiply two matrices", evidence, tried, facts.system, remedy=remedy)
    if not computed.is_right:
        return failed(
            METAL,
            [*evidence, "a product of two matrices of ones came out wrong"],
            "MLX computes wrong numbers on this machine.",
            f"{remedy} If it stays so, the hardware is faulty.",
            ExitCode.UNAVAILABLE,
        )
    evidence.append("a product of two matrices came out right")
    if facts.system is OperatingSystem.DARWIN and not device.metal:
        return warning(
            METAL,
            evidence,
            "Models run on the processor only, many times slower than on the GPU.",
            "Log in at the Mac's own desktop; a virtual machine has no Metal.",
        )
    return ok(METAL, *evidence)


def _mlx_lm(facts: MlxFacts, tried: Attempt | None) -> Finding:
    if facts.mlx_lm_version is None:
        return _not_installed(MLX_LM, facts.system)
    installed = f"mlx-lm {facts.mlx_lm_version} is installed"
    if _numbers(facts.mlx_lm_version) < OLDEST:
        diagnosis = "Ringwarden needs mlx-lm 0.32 or newer."
        return failed(MLX_LM, [installed], diagnosis, _reinstall(MLX_LM, facts.system), ExitCode.CONFIG)
    if tried is None or tried.steps.get("computed") is None:
        return skipped(MLX_LM, "MLX itself did not get that far.", installed)
    if tried.steps.get("mlx_lm") is None:
        remedy = _reinstall(MLX_LM, facts.system)
        return _broken(MLX_LM, "to import what the engine needs of it", [installed], tried, facts.system, remedy=remedy)
    return ok(MLX_LM, f"{installed}, and what the engine needs of it was imported")


def _broken(
    check: str, doing: str, before: list[str], tried: Attempt, system: OperatingSystem, *, remedy: str
) -> Finding:
    """The child did not come through this step: what it said, and what Ringwarden makes of it."""
    told = tried.diagnosis(system)
    lines = tried.stood_at or (told.evidence or tried.stderr.tail)[-_MAX_TAIL_LINES:]
    evidence = [*before, f"a child that tried {doing} {tried.end_in_words(system)}", *lines]
    diagnosis = f"The child {told.message.rstrip('.')} ({told.cause}, {told.confidence})."
    return failed(check, evidence, diagnosis, remedy, ExitCode.UNAVAILABLE)


def _not_installed(package: str, system: OperatingSystem) -> Finding:
    evidence = [f"no installed distribution is named {package}"]
    return failed(check=package, evidence=evidence, diagnosis="No runner can start without it.",
                  remedy=_reinstall(package, system), exit_code=ExitCode.UNAVAILABLE)  # fmt: skip


def _reinstall(package: str, system: OperatingSystem) -> str:
    name = "mlx[cpu]" if package == "mlx" and system is OperatingSystem.LINUX else package
    return f"In the Python that runs ringwarden: pip install --force-reinstall '{name}>=0.32'."


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (0, 32, 1) for `0.32.1.dev3`."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
