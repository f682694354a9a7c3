"""Short words for what tests expect of a finding."""

from supervisor.doctor.finding import CheckState, Finding


def outcome(finding: Finding) -> tuple[CheckState, int]:
    """Its state and its exit code."""
    return finding.state, int(finding.exit_code)


OK = (CheckState.OK, 0)
WARNING = (CheckState.WARNING, 0)
SKIPPED = (CheckState.SKIPPED, 0)
