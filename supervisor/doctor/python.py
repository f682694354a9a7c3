"""Is this a Python that MLX runs on?"""

import platform
import sys
import sysconfig

import msgspec

from diagnostics.evidence import OperatingSystem
from supervisor.doctor.finding import Finding, failed, ok, warning
from supervisor.doctor.system_tool import ask_tool
from supervisor.exit_code import ExitCode

CHECK = "python"
_OLDEST = (3, 11)
_MACHINES = {OperatingSystem.DARWIN: {"arm64"}, OperatingSystem.LINUX: {"x86_64", "aarch64"}}


class PythonFacts(msgspec.Struct, frozen=True):
    """What runs this command. `chip` is the processor's name as macOS tells it, None elsewhere or when it does not."""

    system: OperatingSystem
    version: tuple[int, int, int]
    implementation: str
    machine: str
    executable: str
    chip: str | None = None
    free_threaded: bool = False


def read_python(system: OperatingSystem) -> PythonFacts:
    """Return the facts of the Python that runs this. Blocks for one system command on macOS."""
    on_mac = system is OperatingSystem.DARWIN
    return PythonFacts(
        system=system,
        version=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        implementation=platform.python_implementation(),
        machine=platform.machine(),
        executable=sys.executable,
        chip=ask_tool("sysctl", "-n", "machdep.cpu.brand_string").output if on_mac else None,
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    )


def judge_python(facts: PythonFacts) -> Finding:
    """Judge version and architecture; an Intel Python on Apple silicon runs under Rosetta, where MLX does not."""
    number = ".".join(map(str, facts.version))
    evidence = [f"{facts.implementation} {number}, {facts.machine}, {facts.executable}"]
    if facts.chip is not None:
        evidence.append(f"the chip is {facts.chip}")
    if facts.version[:2] < _OLDEST:
        return failed(
            CHECK,
            evidence,
            "Ringwarden needs Python 3.11 or newer.",
            "Install a newer Python, and Ringwarden with it.",
            ExitCode.CONFIG,
        )
    if facts.machine not in _MACHINES[facts.system]:
        return _wrong_machine(facts, evidence)
    if facts.free_threaded:
        return warning(
            CHECK,
            evidence,
            "A free-threaded Python: MLX and Ringwarden are not tested with it.",
            "Use the ordinary build of the same version.",
        )
    return ok(CHECK, *evidence)


def _wrong_machine(facts: PythonFacts, evidence: list[str]) -> Finding:
    if facts.system is OperatingSystem.DARWIN and facts.chip is not None and "Apple" in facts.chip:
        return failed(
            CHECK,
            evidence,
            "This Python is an Intel program, which runs under Rosetta on this Mac; MLX is for arm64 only.",
            "Install an arm64 Python (`arch -arm64 zsh`, then install it from there), and make the environment anew.",
            ExitCode.CONFIG,
        )
    return failed(
        CHECK,
        evidence,
        f"There is no MLX for {facts.machine} on {facts.system}.",
        "Use a Mac with Apple silicon, or Linux on x86_64 or aarch64.",
        ExitCode.CONFIG,
    )
