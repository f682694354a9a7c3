"""Observers and sinks are told in order, and their own failures never decide more than the policy says."""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from diagnostics.cause import Cause
from diagnostics.evidence import RunnerTerminationError
from diagnostics.incident import Incident
from supervisor.journal.records import CapturedLog, Record, TaskOutcome, TaskRecord
from supervisor.journal.tags import TagError
from supervisor.observation import Crash, ErrorPolicy, Observation, ObserverFailed, observed_run
from tests.supervisor.group_harness import eventually, listen, running_group, the_error
from transports.messages import SamplingParameters, TaskFinished, TaskRejected, TextPrompt

pytestmark = pytest.mark.anyio
SHORT = SamplingParameters(temperature=0.0, max_tokens=3)
RECORD = TaskRecord(run_id="run-1", task_id="a", generation=1, model="m", started_at=0.0, tags={"user": "7"})
HOOKS = ("on_run_start", "on_run_end", "on_task_start", "on_task_end", "on_crash")


class Witness:
    """An observer and sink that remembers, and fails where it is told to."""

    def __init__(self, fails_at: str = "") -> None:
        self.heard: list[tuple[str, object]] = []
        self._fails_at = fails_at

    def _hear(self, hook: str, what: object) -> None:
        self.heard.append((hook, what))
        if hook == self._fails_at:
            raise RuntimeError(f"no {hook} today")

    @property
    def hooks(self) -> list[str]:
        return [hook for hook, _ in self.heard]

    def on_run_start(self, run_id: str) -> None:
        self._hear("on_run_start", run_id)

    def on_run_end(self, run_id: str, crash: Crash | None) -> None:
        self._hear("on_run_end", crash)

    def on_task_start(self, task: TaskRecord) -> None:
        self._hear("on_task_start", task)

    def on_task_end(self, task: TaskRecord) -> None:
        self._hear("on_task_end", task)

    def on_crash(self, crash: Crash) -> None:
        self._hear("on_crash", crash)

    def write(self, record: Record) -> None:
        self._hear(f"write {type(record).__name__}", record)


def observation(witness: Witness, policy: ErrorPolicy) -> Observation:
    return Observation("run-1", observers=[witness], sink=witness, policy=policy)


async def run_it(observed: Observation, error: Exception | None, *, in_async: bool) -> None:
    """The same run, bracketed by `with` or by `async with`."""
    if in_async:
        async with observed_run(observed):
            await anyio.lowlevel.checkpoint()
            work(observed, error)
    else:
        with observed_run(observed):
            work(observed, error)


def work(observed: Observation, error: Exception | None) -> None:
    observed.task_started(RECORD)
    if error is not None:
        raise error
    observed.task_ended(RECORD)


both = pytest.mark.parametrize("in_async", [False, True], ids=["sync", "async"])


@both
async def test_everybody_is_told_in_order(*, in_async: bool) -> None:
    witness = Witness()
    await run_it(observation(witness, ErrorPolicy.FAIL_FAST), None, in_async=in_async)
    wanted = ["on_run_start", "on_task_start", "write TaskRecord", "write TaskRecord", "on_task_end", "on_run_end"]
    assert witness.hooks == wanted
    assert witness.heard[-1] == ("on_run_end", None)


@both
async def test_a_crash_is_told_with_the_original_exception(*, in_async: bool) -> None:
    witness = Witness()
    with pytest.raises(KeyError, match="original"):
        await run_it(observation(witness, ErrorPolicy.CONTINUE), KeyError("original"), in_async=in_async)
    (crash,) = [what for hook, what in witness.heard if hook == "on_crash"]
    assert isinstance(crash, RunnerTerminationError)
    assert (crash.type_name, crash.message) == ("KeyError", "'original'")
    assert "raise error" in crash.traceback
    assert witness.heard[-1] == ("on_run_end", crash)


@both
@pytest.mark.parametrize("hook", [*HOOKS, "write TaskRecord"])
async def test_a_failing_observer_changes_nothing_under_continue(hook: str, *, in_async: bool) -> None:
    witness = Witness(hook)
    observed = observation(witness, ErrorPolicy.CONTINUE)
    if hook == "on_crash":
        with pytest.raises(ValueError, match="original"):
            await run_it(observed, ValueError("original"), in_async=in_async)
    else:
        await run_it(observed, None, in_async=in_async)
    assert observed.failures >= 1
    assert witness.hooks[-1] == "on_run_end"


@both
@pytest.mark.parametrize("hook", ["on_run_start", "on_run_end", "on_task_start", "on_task_end", "write TaskRecord"])
async def test_a_failing_observer_fails_the_run_under_fail_fast(hook: str, *, in_async: bool) -> None:
    with pytest.raises(ObserverFailed, match=f"Witness.*no {hook} today") as caught:
        await run_it(observation(Witness(hook), ErrorPolicy.FAIL_FAST), None, in_async=in_async)
    assert isinstance(caught.value.__cause__, RuntimeError)


@both
async def test_an_observer_never_hides_the_runs_own_exception(*, in_async: bool) -> None:
    with pytest.raises(ValueError, match="original"):
        await run_it(observation(Witness("on_crash"), ErrorPolicy.FAIL_FAST), ValueError("original"), in_async=in_async)


def test_a_record_whose_tags_are_refused_is_kept_without_them() -> None:
    class Particular(Witness):
        def write(self, record: Record) -> None:
            if isinstance(record, TaskRecord) and record.tags:
                raise TagError("one tag too many", "Use fewer.")
            super().write(record)

    witness = Particular()
    Observation("run-1", sink=witness, policy=ErrorPolicy.FAIL_FAST).keep(RECORD)
    ((_, kept),) = witness.heard
    assert isinstance(kept, TaskRecord)
    assert kept.tags == {}


def test_nobody_listening_is_known() -> None:
    assert not Observation("run-1").is_active
    assert Observation("run-1", sink=Witness()).is_active
    assert Observation("run-1", observers=[Witness()]).is_active


@pytest.mark.usefixtures("nothing_left_behind")
async def test_a_groups_observers_hear_its_tasks_and_its_crash(tmp_path: Path) -> None:
    witness = Witness()
    observed = observation(witness, ErrorPolicy.CONTINUE)
    faults = [{"action": "raise", "message": "original", "at": "step", "rank": 1, "step": 9}]
    async with running_group(tmp_path, faults=faults, observation=observed) as group:
        await group.ready(1)
        await listen(group.supervisor.start_task("good", TextPrompt("x"), SHORT, {"User-Id": "7", "user_id": "8"}))
        error = the_error(await listen(group.start_task("bad")))
        await eventually(lambda: witness.hooks.count("write CapturedLog") >= 3, "the captured logs")
        await group.ready(2)
    tasks = {
        task.task_id: task for hook, task in witness.heard if hook == "on_task_end" and isinstance(task, TaskRecord)
    }
    assert (tasks["good"].outcome, tasks["bad"].outcome) == (TaskOutcome.FINISHED, TaskOutcome.FAILED)
    assert tasks["good"].tags == {"user_id": "7", "user_id_2": "8"}
    assert (tasks["good"].prompt_tokens, tasks["good"].completion_tokens) == (1, 3)
    (crash,) = [what for hook, what in witness.heard if hook == "on_crash"]
    assert isinstance(crash, Incident)
    assert (crash.incident_id, crash.cause) == (error.incident.incident_id, Cause.PYTHON_EXCEPTION_OTHER)
    (culprit,) = [one for one in crash.certificates if one.rank == 1]
    assert culprit.termination_error is not None
    assert culprit.termination_error.message == "original"
    logs = [log for _, log in witness.heard if isinstance(log, CapturedLog) and log.task_id == "bad"]
    assert "RuntimeError: original" in {log.rank: log.traceback for log in logs}[1]
    assert witness.hooks[0] == "on_run_start"
    assert witness.hooks[-1] == "on_run_end"


@pytest.mark.usefixtures("nothing_left_behind")
@pytest.mark.parametrize("hook", [*HOOKS, "write TaskRecord", "write CapturedLog"])
async def test_serving_survives_every_failing_hook(tmp_path: Path, hook: str) -> None:
    faults = [{"action": "sigkill", "at": "step", "step": 9}]
    observed = observation(Witness(hook), ErrorPolicy.CONTINUE)
    async with running_group(tmp_path, faults=faults, world_size=1, backend="none", observation=observed) as group:
        await group.ready(1)
        assert isinstance((await listen(group.start_task("a", SHORT)))[-1], TaskFinished)
        the_error(await listen(group.start_task("b")))
        await group.ready(2)
        assert isinstance((await listen(group.start_task("c", SHORT)))[-1], TaskFinished)
    assert observed.failures >= 1


@pytest.mark.usefixtures("nothing_left_behind")
async def test_fail_fast_fails_the_task_whose_start_or_end_was_not_taken(tmp_path: Path) -> None:
    observed = observation(Witness("on_task_start"), ErrorPolicy.FAIL_FAST)
    async with running_group(tmp_path, world_size=1, backend="none", observation=observed) as group:
        await group.ready(1)
        with pytest.raises(ObserverFailed, match="no on_task_start today"):
            group.start_task("a", SHORT)
        assert len(group.supervisor.tasks) == 0
    observed = observation(Witness("on_task_end"), ErrorPolicy.FAIL_FAST)
    async with running_group(tmp_path, world_size=1, backend="none", observation=observed) as group:
        await group.ready(1)
        last = (await listen(group.start_task("a", SHORT)))[-1]
        assert isinstance(last, TaskRejected)
        assert "Witness.on_task_end failed: RuntimeError: no on_task_end today" in last.message


@pytest.mark.usefixtures("nothing_left_behind")
async def test_fail_fast_fails_the_run_whose_record_was_not_taken(tmp_path: Path) -> None:
    observed = observation(Witness("write CapturedLog"), ErrorPolicy.FAIL_FAST)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running_group(tmp_path, world_size=1, backend="none", observation=observed) as group:
            await group.ready(1)
            await listen(group.start_task("a", SHORT))
            await anyio.sleep_forever()
    failures, others = caught.value.split(ObserverFailed)
    assert failures is not None
    assert others is None
