"""The compute loop: one thread, which starts the engine and then serves rounds until it is told to leave."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import assert_never

from diagnostics.phase import Phase
from runner.agreement import Follower, Leader
from runner.answer import Answer
from runner.attribution import task as working_for
from runner.attribution.task_output import TaskOutput
from runner.control import Inbox
from runner.delivery import Delivery, counted, rejected
from runner.engine import Engine, Generated, Prefilled, StepOutput
from runner.plan import Plan, decode_plan, encode_plan
from runner.progression import Progression
from runner.uplink import Uplink
from transports.channel import ProtocolViolation
from transports.messages import (
    TERMINAL_EVENTS,
    CancelTask,
    Command,
    Configure,
    PhaseChanged,
    RunnerEvent,
    Shutdown,
    StartTask,
    WakeForTask,
)
from transports.progress import Activity


def warm_engine(engine: Engine, uplink: Uplink, progression: Progression) -> None:
    """Bring a connected engine to warm, announcing each phase on the way. Blocks for as long as that takes."""

    def announce(phase: Phase, activity: Activity) -> _Report:
        progression.advance(activity)
        uplink.send(PhaseChanged(phase), progression.word)
        return _Report(phase, activity, uplink, progression)

    announce(Phase.CONNECTED, Activity.LOADING)
    facts = engine.load(announce(Phase.LOADING, Activity.LOADING))
    announce(Phase.LOADED, Activity.WARMING_UP)
    engine.warm_up(announce(Phase.WARMING_UP, Activity.WARMING_UP))
    progression.advance(Activity.WARMING_UP)
    uplink.send(facts)


class _Report:
    """What an engine says while it starts, as phase and as progress word. See `runner.engine.Report`."""

    def __init__(self, phase: Phase, activity: Activity, uplink: Uplink, progression: Progression) -> None:
        self._phase = phase
        self._activity = activity
        self._uplink = uplink
        self._progression = progression

    def __call__(self, done: int, total: int) -> None:
        self._progression.count(done, total)
        self._uplink.send(PhaseChanged(self._phase, done, total), self._progression.word)

    def loaded(self, count: int) -> None:
        """Count bytes."""
        self._progression.load(count)

    @contextmanager
    def agreeing(self, collective: str) -> Generator[None]:
        """Mark the collective; what an exception leaves open tells where it came from."""
        self._progression.enter(Activity.AGREEING, collective)
        yield
        self._progression.leave()
        self._progression.do(self._activity)


class _Rounds:
    """What every rank does alike: run rounds, keep count of what is in the engine, say whether it is busy."""

    def __init__(
        self, engine: Engine, uplink: Uplink, output: TaskOutput, inbox: Inbox, progression: Progression
    ) -> None:
        self.uplink = uplink
        self.output = output
        self._engine = engine
        self._inbox = inbox
        self._progression = progression
        self._in_engine: set[str] = set()
        self._without_tokens: set[str] = set()
        self._phase = Phase.WARMING_UP

    def announce(self, phase: Phase) -> None:
        """Announce a phase once."""
        if phase is not self._phase:
            self._phase = phase
            self.uplink.send(PhaseChanged(phase))

    def commands(self, *, block: bool) -> Iterator[Command]:
        """Yield the commands that are there; when `block`, the runner is idle and waits for the first one."""
        if block:
            self.announce(Phase.READY)
            self._progression.do(Activity.IDLE)
        while (command := self._inbox.take(block=block)) is not None:
            block = False
            yield command

    def prepare(self) -> None:
        """This rank works on a request alone; the others may wait for it."""
        self._progression.do(Activity.PREPARING)

    def begin(self, proposal: bytes) -> Sequence[StepOutput]:
        """Begin the agreement and step the engine meanwhile: what is agreed takes effect after this step."""
        self._engine.propose(proposal)
        if not self._in_engine:
            return ()
        self._progression.enter(Activity.PREFILL if self._without_tokens else Activity.DECODE, "step")
        outputs = self._engine.step()
        self._progression.leave()
        for output in outputs:
            if isinstance(output, Prefilled):
                self._progression.count(output.done, output.total)
                continue
            self._without_tokens.discard(output.task_id)
            if output.finish is not None:
                self._in_engine.discard(output.task_id)
        return outputs

    def finish(self) -> Plan:
        """Wait for the agreement and apply it."""
        self._progression.enter(Activity.AGREEING, "plan")
        plan = decode_plan(self._engine.agreed())
        self._progression.leave()
        if plan.remove:
            self._engine.remove(plan.remove)
            self._in_engine.difference_update(plan.remove)
            self._without_tokens.difference_update(plan.remove)
        for task in plan.admit:
            self.output.begin(task.task_id)
            with working_for(task.task_id):
                self._engine.admit(task)
            self._in_engine.add(task.task_id)
            self._without_tokens.add(task.task_id)
        if self._in_engine:
            self.announce(Phase.RUNNING)
        return plan


def serve(  # noqa: PLR0917 - as many as there are parts
    configuration: Configure,
    engine: Engine,
    uplink: Uplink,
    output: TaskOutput,
    inbox: Inbox,
    progression: Progression,
) -> None:
    """Serve tasks until all ranks have agreed to leave.

    Raises:
        ChannelClosed: When the supervisor is gone.
        ProtocolViolation: When the supervisor sent what this rank cannot have been sent.
    """
    rounds = _Rounds(engine, uplink, output, inbox, progression)
    if configuration.rank == 0:
        _LeadingRank(rounds, engine).serve()
    else:
        _serve_following_rank(rounds)


class _LeadingRank:
    """Rank 0: takes tasks, decides the plans, talks to the supervisor about tasks."""

    def __init__(self, rounds: _Rounds, engine: Engine) -> None:
        self._rounds = rounds
        self._engine = engine
        self._leader = Leader()
        self._delivery = Delivery()

    def serve(self) -> None:
        """Run until the plan says leave."""
        leaving = False
        while not leaving:
            for command in self._rounds.commands(block=not self._leader.must_attend):
                self._send(self._handle(command))
            if self._leader.must_attend:
                leaving = self._round()

    def _round(self) -> bool:
        outputs = self._rounds.begin(encode_plan(self._leader.next_plan()))
        for output in outputs:
            if isinstance(output, Generated) and output.finish is not None:
                self._leader.finished(output.task_id)
        self._send(self._delivery.deliver(outputs))
        self._drop()
        return self._rounds.finish().leave

    def _handle(self, command: Command) -> list[RunnerEvent]:
        match command:
            case StartTask():
                return self._start(command)
            case CancelTask(task_id=task_id):
                events = self._delivery.cancel(task_id)
                self._drop()
                return events
            case Shutdown():
                return self._shut_down()
            case WakeForTask() | Configure():
                raise ProtocolViolation(f"rank 0 cannot be sent {type(command).__name__}")
            case _:
                assert_never(command)

    def _start(self, command: StartTask) -> list[RunnerEvent]:
        if command.task_id in self._delivery.open_tasks:
            raise ProtocolViolation(f"task {command.task_id} was started twice")
        self._rounds.prepare()
        self._rounds.output.begin(command.task_id)
        with working_for(command.task_id):
            try:
                task = self._engine.prepare(command)
                if command.sampling.max_tokens == 0:
                    self._leader.settle(command.task_id)
                    return counted(task)
                answer = Answer(self._engine.answer_scanner(command, task), task.sampling)
                event = self._delivery.accept(task, self._engine.text_stream(task), answer)
            except Exception as exc:  # noqa: BLE001 - a request can make templates and tokenizers raise anything
                self._leader.settle(command.task_id)
                return [rejected(command.task_id, exc)]
        self._leader.admit(task)
        return [event]

    def _shut_down(self) -> list[RunnerEvent]:
        self._rounds.announce(Phase.SHUTTING_DOWN)
        events = [event for task_id in self._delivery.open_tasks for event in self._delivery.cancel(task_id)]
        self._drop()
        self._leader.shut_down()
        return events

    def _drop(self) -> None:
        for task_id in self._delivery.take_dropped():
            self._leader.remove(task_id)

    def _send(self, events: list[RunnerEvent]) -> None:
        for event in events:
            if isinstance(event, TERMINAL_EVENTS):
                self._rounds.output.end(event.task_id)
        if events:
            self._rounds.uplink.send(*events)


def _serve_following_rank(rounds: _Rounds) -> None:
    follower = Follower()
    leaving = False
    while not leaving:
        for command in rounds.commands(block=not follower.must_attend):
            match command:
                case WakeForTask(task_id=task_id):
                    follower.wake(task_id)
                case Shutdown():
                    rounds.announce(Phase.SHUTTING_DOWN)
                    follower.shut_down()
                case CancelTask():
                    pass  # Rank 0 puts it into a plan.
                case StartTask() | Configure():
                    raise ProtocolViolation(f"a rank above 0 cannot be sent {type(command).__name__}")
                case _:
                    assert_never(command)
        if follower.must_attend:
            leaving = _follow_one_round(rounds, follower)


def _follow_one_round(rounds: _Rounds, follower: Follower) -> bool:
    """Take part in a round; return whether it was the last one."""
    output = rounds.output
    for result in rounds.begin(b""):
        if isinstance(result, Generated) and result.finish is not None:
            output.end(result.task_id)
    plan = rounds.finish()
    for task_id in plan.remove:
        output.end(task_id)
    for task_id in plan.settled:
        output.never_began(task_id)
    follower.agreed(plan)
    return plan.leave
