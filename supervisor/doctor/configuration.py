"""Can the settings be used?"""

from pathlib import Path

from supervisor.doctor.finding import Finding, failed, ok
from supervisor.exit_code import ExitCode
from supervisor.settings_resolution import ResolvedSettings
from supervisor.settings_sources import ENVIRONMENT_PREFIX

CHECK = "settings"


def judge_settings(resolved: ResolvedSettings, config: Path | None) -> Finding:
    """Judge what flags, variables and the file say together. Values are not shown: an API key may be among them."""
    sources = sorted(set(resolved.sources.values()))
    read = "no settings file" if config is None else str(config)
    if not resolved.problems:
        given = f"{len(resolved.sources)} set ({', '.join(sources)})" if sources else "all defaults"
        return ok(CHECK, f"{read}; {given}")
    named = [
        problem.source if problem.source.startswith(("--", ENVIRONMENT_PREFIX)) else f"{problem.source}: {problem.key}"
        for problem in resolved.problems
    ]
    evidence = [f"{name} {problem.rule}." for name, problem in zip(named, resolved.problems, strict=True)]
    remedies = dict.fromkeys(problem.remedy for problem in resolved.problems)
    return failed(CHECK, evidence, "A daemon would not start with them.", " ".join(remedies), ExitCode.CONFIG)
