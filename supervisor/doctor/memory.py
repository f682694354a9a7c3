"""The system, and the memory that a model can have: what Metal may wire on macOS, what cgroups leave on Linux."""

import os
import platform
import re

import msgspec
import psutil

from diagnostics.evidence import OperatingSystem
from supervisor.doctor.finding import Finding, failed, gibibytes, ok, skipped, warning
from supervisor.doctor.system_tool import ToolAnswer, ask_tool
from supervisor.exit_code import ExitCode
from supervisor.memory.linux import LinuxMemoryReader
from supervisor.memory.reader import MemorySources

SYSTEM, GPU_MEMORY, MEMORY = "system", "gpu-memory", "memory"
OLDEST_MACOS = 14
_MIB, _GIB = 1024**2, 1024**3
TOO_LITTLE_BYTES = 256 * _MIB
LITTLE_BYTES = _GIB
LEFT_FOR_MACOS_BYTES = 2 * _GIB


class SystemFacts(msgspec.Struct, frozen=True):
    """Which system this is. `chip` is empty where nobody tells it."""

    system: OperatingSystem
    version: str
    chip: str = ""


class MemoryFacts(msgspec.Struct, frozen=True):
    """How much there is. `limit_bytes` is the least of the machine's memory and the limits of our cgroups."""

    total_bytes: int
    available_bytes: int
    limit_bytes: int | None = None


def read_system(system: OperatingSystem) -> SystemFacts:
    """Return the facts of the system. Blocks for two commands on macOS."""
    if system is OperatingSystem.DARWIN:
        version = ask_tool("sw_vers", "-productVersion").output or ""
        return SystemFacts(system, version, ask_tool("sysctl", "-n", "machdep.cpu.brand_string").output or "")
    return SystemFacts(system, platform.release(), platform.machine())


def judge_system(facts: SystemFacts) -> Finding:
    """Judge whether MLX has wheels for this system."""
    if facts.system is OperatingSystem.LINUX:
        return ok(SYSTEM, f"Linux {facts.version}, {facts.chip}")
    found = re.match(r"\d+", facts.version)
    if found is None:
        return skipped(SYSTEM, "`sw_vers` did not tell the version of macOS.")
    evidence = f"macOS {facts.version}, {facts.chip or 'the chip is not known'}"
    if int(found.group()) < OLDEST_MACOS:
        return failed(SYSTEM, [evidence], f"MLX needs macOS {OLDEST_MACOS} or newer.", "Update macOS.", ExitCode.CONFIG)
    return ok(SYSTEM, evidence)


def read_memory(system: OperatingSystem) -> MemoryFacts:
    """Return what there is now."""
    memory = psutil.virtual_memory()
    limit = _linux_limit() if system is OperatingSystem.LINUX else None
    return MemoryFacts(memory.total, memory.available, limit)


def judge_memory(facts: MemoryFacts) -> Finding:
    """Judge what is left for a model."""
    evidence = [f"{gibibytes(facts.available_bytes)} of {gibibytes(facts.total_bytes)} are available"]
    if facts.limit_bytes is not None and facts.limit_bytes < facts.total_bytes:
        evidence.append(f"a cgroup limits this process to {gibibytes(facts.limit_bytes)}")
    remedy = "Close programs, or use a smaller model or more ranks on other machines."
    if facts.available_bytes < TOO_LITTLE_BYTES:
        return failed(MEMORY, evidence, "There is no memory for a model.", remedy, ExitCode.TEMPORARY)
    if facts.available_bytes < LITTLE_BYTES:
        return warning(MEMORY, evidence, "There is memory for a very small model only.", remedy)
    if facts.limit_bytes is not None and facts.limit_bytes < LITTLE_BYTES:
        return warning(
            MEMORY, evidence, "The cgroup leaves room for a very small model only.", "Raise the cgroup's memory limit."
        )
    return ok(MEMORY, *evidence)


def ask_wired_limit(system: OperatingSystem) -> ToolAnswer | None:
    """Return what macOS says of the memory that the GPU may wire; None elsewhere."""
    return ask_tool("sysctl", "-n", "iogpu.wired_limit_mb") if system is OperatingSystem.DARWIN else None


def judge_gpu_memory(answer: ToolAnswer | None, total_bytes: int) -> Finding:
    """Judge the limit that somebody may have set: 0 is macOS's own."""
    if answer is None:
        return skipped(GPU_MEMORY, "Only macOS limits the memory that Metal may wire.")
    if answer.output is None or not answer.output.isdecimal():
        why = answer.problem or f"sysctl said {answer.output!r}"
        return skipped(GPU_MEMORY, f"The limit is not known: {why}.")
    limit_bytes = int(answer.output) * _MIB
    total = gibibytes(total_bytes)
    if limit_bytes == 0:
        return ok(GPU_MEMORY, f"iogpu.wired_limit_mb is 0, macOS's own limit; the Mac has {total}")
    evidence = [f"iogpu.wired_limit_mb is {answer.output} ({gibibytes(limit_bytes)} of {total})"]
    suggested = max(0, total_bytes - 2 * LEFT_FOR_MACOS_BYTES) // _MIB
    remedy = f"sudo sysctl iogpu.wired_limit_mb=0 for macOS's own limit, or a number up to about {suggested}."
    if limit_bytes > total_bytes - LEFT_FOR_MACOS_BYTES:
        diagnosis = "Metal may take nearly all memory: the Mac can freeze, and macOS may kill runners."
        return warning(GPU_MEMORY, evidence, diagnosis, remedy)
    if limit_bytes < total_bytes // 2:
        diagnosis = "The limit is less than half of the memory: a model that would fit fails to load."
        return warning(GPU_MEMORY, evidence, diagnosis, remedy)
    return ok(GPU_MEMORY, *evidence)


def _linux_limit() -> int | None:
    reader = LinuxMemoryReader(os.getpid(), MemorySources())
    try:
        reader.sample(0.0)
        return reader.limit_bytes
    finally:
        reader.close()
