"""The MLX engine, slow enough to be hit, that breaks on command.

`FAULT_ENGINE_FAULTS` says how, as for the scripted engine; only faults at `step` are read, counted after the warm-up.
`FAULT_ENGINE_SCRIPT` gives `token_interval_s`; its other fields have no meaning here.
"""

import time
from collections.abc import Sequence

from runner.engine import Report, StepOutput
from runner.mlx_engine import MlxEngine
from tests.faults.actions import perform
from tests.faults.script import faults_from_environment, script_from_environment
from transports.messages import Configure


class BreakingMlx(MlxEngine):
    """See the module's documentation."""

    def __init__(self, configuration: Configure) -> None:
        super().__init__(configuration)
        self._interval_s = script_from_environment().token_interval_s
        rank, generation = configuration.rank, configuration.generation
        self._faults = [
            fault
            for fault in faults_from_environment()
            if (fault.rank, fault.at) == (rank, "step") and fault.generation in (None, generation)
        ]
        self._is_warm = False
        self._steps = 0

    def warm_up(self, report: Report) -> None:
        """As usual; nothing breaks before this is done."""
        super().warm_up(report)
        self._is_warm = True

    def step(self) -> Sequence[StepOutput]:
        """One step, after what is due at it."""
        if self._is_warm:
            for fault in self._faults:
                if fault.step == self._steps:
                    perform(fault)
            self._steps += 1
            time.sleep(self._interval_s)
        return super().step()
