"""One line of the report: a figure beside its budget."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Args:
        benchmark: Name on the command line.
        what: What was measured.
        value: The figure that is held against the budget.
        unit: Its unit.
        budget: The limit, None where a figure is only reported.
        at_least: The budget is a lower limit, not an upper one.
        count: How many measurements the figure is made of.
        details: Other figures of the same measurement, by name.
        how: How it was measured, in one line.
    """

    benchmark: str
    what: str
    value: float
    unit: str
    budget: float | None
    count: int
    how: str
    at_least: bool = False
    details: dict[str, float] | None = None

    @property
    def verdict(self) -> Literal["ok", "over", "-"]:
        """Whether the figure keeps its budget; `-` where there is none."""
        if self.budget is None:
            return "-"
        kept = self.value >= self.budget if self.at_least else self.value < self.budget
        return "ok" if kept else "over"

    def as_json(self) -> dict[str, Any]:
        """All fields and the verdict."""
        return {**asdict(self), "verdict": self.verdict}

    def as_text(self) -> str:
        """One line for people, the way of measuring on a second one."""
        sign = ">=" if self.at_least else "<"
        budget = "no budget" if self.budget is None else f"budget {sign} {self.budget:g} {self.unit}".rstrip()
        details = ", ".join(f"{name} {value:.4g}" for name, value in (self.details or {}).items())
        figures = f"{self.value:.4g} {self.unit}".rstrip() + (f" ({details})" if details else "")
        return f"{self.verdict:>4}  {self.what}: {figures}; {budget}; N = {self.count}\n      {self.how}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that the reports show."""
    return {"p50": percentile(values, 50), "p99": percentile(values, 99), "max": max(values)}
