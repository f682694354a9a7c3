"""When a rank takes part in a round, and what rank 0 proposes in it.

A ring receive that waits burns a core, so an idle rank is in no collective: it blocks on its own command queue. A
round is entered by all ranks or by none. What makes that true:

- Rank 0 enters when it has something to say, and goes on until a plan says `idle`.
- The others enter when they are woken for a task. The supervisor wakes every rank for every task that it sends to
  rank 0, so rank 0 will have something to say about it. They leave when a plan says `idle`, unless they were woken for
  a task that no plan has named yet: that round is still to come, so they enter it at once.
- A plan may overtake a wake. The wake for a task that a plan already named is spent, not a reason to enter a round.
- Shutdown goes to every rank, and every rank enters rounds until one says `leave`.

Both machines are pure; `tests/runner/test_agreement.py` walks their interleavings.
"""

from runner.plan import Plan, PreparedTask


class Leader:
    """Rank 0's side: collects what the next plan says and knows whether the other ranks are in rounds."""

    def __init__(self) -> None:
        self._admit: list[PreparedTask] = []
        self._settled: list[str] = []
        self._remove: list[str] = []
        self._running: set[str] = set()
        self._leaving = False
        self._awake = False

    @property
    def must_attend(self) -> bool:
        """Whether the next round is due now; otherwise block on the command queue."""
        return self._awake or self._leaving or bool(self._admit or self._settled)

    def admit(self, task: PreparedTask) -> None:
        """Put a task into the next plan."""
        self._admit.append(task)

    def settle(self, task_id: str) -> None:
        """Note a task that was refused, so that the ranks woken for it stop waiting."""
        self._settled.append(task_id)

    def remove(self, task_id: str) -> None:
        """End a task on all ranks. A task that no plan has admitted yet is settled instead; unknown ids are ignored."""
        waiting = [task for task in self._admit if task.task_id == task_id]
        if waiting:
            self._admit.remove(waiting[0])
            self._settled.append(task_id)
        elif task_id in self._running and task_id not in self._remove:
            self._remove.append(task_id)

    def finished(self, task_id: str) -> None:
        """Note that the engine itself ended a task (end of sequence, length), which all ranks see in the same step."""
        self._running.discard(task_id)

    def shut_down(self) -> None:
        """Make the next plan the last one."""
        self._leaving = True

    def next_plan(self) -> Plan:
        """Return what to propose now, and forget it: call once per round."""
        plan = Plan(
            remove=tuple(self._remove),
            admit=tuple(self._admit),
            settled=tuple(self._settled),
            idle=not (self._leaving or self._admit or self._running - set(self._remove)),
            leave=self._leaving,
        )
        self._running.difference_update(self._remove)
        self._running.update(task.task_id for task in self._admit)
        self._admit, self._settled, self._remove = [], [], []
        self._awake = not (plan.idle or plan.leave)
        self._leaving = False
        return plan


class Follower:
    """The side of every rank above 0: attends for each wake until a plan has named its task."""

    def __init__(self) -> None:
        self._awaited: set[str] = set()
        self._named_before_wake: set[str] = set()
        self._leaving = False
        self._awake = False

    @property
    def must_attend(self) -> bool:
        """Whether the next round is due now; otherwise block on the command queue."""
        return self._awake or self._leaving or bool(self._awaited)

    def wake(self, task_id: str) -> None:
        """Note that rank 0 was sent this task."""
        if task_id in self._named_before_wake:
            self._named_before_wake.discard(task_id)
        else:
            self._awaited.add(task_id)

    def shut_down(self) -> None:
        """Attend until a plan says `leave`."""
        self._leaving = True

    def agreed(self, plan: Plan) -> None:
        """Take note of the plan of a round that is over."""
        for task_id in (*(task.task_id for task in plan.admit), *plan.settled):
            if task_id in self._awaited:
                self._awaited.discard(task_id)
            else:
                self._named_before_wake.add(task_id)
        self._awake = not (plan.idle or plan.leave)
        self._leaving = self._leaving and not plan.leave
