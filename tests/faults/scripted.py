"""An engine without MLX that starts fast, answers `word0 word1 word2 ...` and breaks on command.

`--engine tests.faults.scripted:ScriptedEngine`; `FAULT_ENGINE_SCRIPT` says how fast it works (`script.Script`),
`FAULT_ENGINE_FAULTS` what goes wrong when (`script.Fault`); the actions are listed in `actions.py`. Example, SIGKILL of
rank 1 at its fifth step, in the first generation only:

    FAULT_ENGINE_FAULTS='[{"rank": 1, "at": "step", "step": 4, "action": "sigkill"}]'

`FAULT_ENGINE_FAULTS_FILE` names a file of further faults. It is read at the start, and when a task is admitted: what is
new in it then counts from there.
"""

import time
from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice

import msgspec

from runner.answer_scanner import AnswerScanner
from runner.engine import Generated, Prefilled, Report, StepOutput, TaskRejection
from runner.plan import PreparedTask
from tests.faults.actions import ACTIONS, perform
from tests.faults.script import Fault, Place, faults_from_environment, late_faults, script_from_environment
from tests.faults.star import Star
from transports.messages import ChatPrompt, Configure, ModelFacts, RejectionCode, StartTask, TextPrompt

VOCABULARY_SIZE = 100_000


class _Running:
    def __init__(self, task: PreparedTask) -> None:
        self.task = task
        self.prefilled = 0
        self.generated = 0


class ScriptedText:
    """Token n is the n-th word."""

    def __init__(self, engine: "ScriptedEngine") -> None:
        self._engine = engine
        self._first = True

    def add(self, token: int) -> str:
        """Return the word, with a space before all but the first."""
        self._engine.reach("text")
        text = f"word{token}" if self._first else f" word{token}"
        self._first = False
        return text

    def finish(self) -> str:
        """Nothing is held back."""
        return ""


class ScriptedEngine:
    """See the module's documentation."""

    def __init__(self, configuration: Configure) -> None:
        self._configuration = configuration
        self._script = script_from_environment()
        self._late_faults = late_faults()
        self._faults = deque(self._mine((*faults_from_environment(), *self._late_faults)))
        self._reached: Counter[Place] = Counter()
        self._running: dict[str, _Running] = {}
        self._star: Star | None = None
        self.reach("import")

    def _mine(self, faults: Sequence[Fault]) -> list[Fault]:
        unknown = {fault.action for fault in faults} - ACTIONS
        if unknown:
            raise ValueError(f"FAULT_ENGINE_FAULTS names actions that do not exist: {sorted(unknown)}")
        rank, generation = self._configuration.rank, self._configuration.generation
        return [fault for fault in faults if fault.rank == rank and fault.generation in (None, generation)]

    def _take_late_faults(self) -> None:
        newest = late_faults()
        if newest != self._late_faults:
            self._late_faults = newest
            for fault in self._mine(newest):
                self._faults.append(msgspec.structs.replace(fault, step=fault.step + self._reached[fault.at]))

    def reach(self, place: Place) -> None:
        """Do what is due the next time `place` is reached."""
        due = [fault for fault in self._faults if (fault.at, fault.step) == (place, self._reached[place])]
        self._reached[place] += 1
        for fault in due:
            self._faults.remove(fault)
            perform(fault)

    def connect(self) -> None:
        """Open the sockets between the ranks."""
        self.reach("connect")
        configuration, script = self._configuration, self._script
        self._star = Star(configuration.rank, configuration.world_size, script.connect_timeout_s, script.on_peer_loss)

    def load(self, report: Report) -> ModelFacts:
        """Pretend to load layer after layer."""
        for layer in range(self._script.layers):
            self.reach("load")
            time.sleep(self._script.layer_interval_s)
            report(layer + 1, self._script.layers)
        return ModelFacts(self._script.context_tokens, VOCABULARY_SIZE, self._script.layers)

    def warm_up(self, report: Report) -> None:
        """Meet the other ranks once per step."""
        for step in range(self._script.warm_up_steps):
            self.reach("warm_up")
            time.sleep(self._script.warm_up_interval_s)
            with report.agreeing("warm-up"):
                self.propose(b"")
                self.agreed()
            report(step + 1, self._script.warm_up_steps)

    def prepare(self, task: StartTask) -> PreparedTask:
        """One token per word of the prompt."""
        self.reach("prepare")
        prompt = task.prompt
        if isinstance(prompt, ChatPrompt):
            words = " ".join(str(message.get("content", "")) for message in prompt.messages).split()
        elif isinstance(prompt, TextPrompt):
            words = prompt.text.split()
        else:
            words = [str(token) for token in prompt.tokens]
        n_ctx = self._script.context_tokens
        if not words:
            raise TaskRejection(RejectionCode.INVALID_REQUEST, "the prompt is empty", parameter="messages")
        if len(words) + 1 > n_ctx:
            message = f"the prompt has {len(words)} tokens, the context {n_ctx}"
            raise TaskRejection(RejectionCode.CONTEXT_LENGTH_EXCEEDED, message, n_prompt_tokens=len(words), n_ctx=n_ctx)
        room = n_ctx - len(words)
        max_tokens = min(task.sampling.max_tokens or room, room)
        sampling = msgspec.structs.replace(task.sampling, max_tokens=max_tokens)
        return PreparedTask(task.task_id, tuple(range(len(words))), sampling)

    def text_stream(self, task: PreparedTask) -> ScriptedText:
        """Words."""
        del task
        return ScriptedText(self)

    def answer_scanner(self, command: StartTask, task: PreparedTask) -> AnswerScanner:
        """All of it is text."""
        del command, task
        return AnswerScanner()

    def propose(self, plan: bytes) -> None:
        """Send the plan out."""
        assert self._star is not None
        self._star.propose(plan)

    def agreed(self) -> bytes:
        """Wait until everybody has it."""
        assert self._star is not None
        return self._star.agreed()

    def admit(self, task: PreparedTask) -> None:
        """Take the task in."""
        self._take_late_faults()
        self._running[task.task_id] = _Running(task)

    def remove(self, task_ids: Sequence[str]) -> None:
        """Forget the tasks."""
        for task_id in task_ids:
            self._running.pop(task_id, None)

    def step(self) -> Sequence[StepOutput]:
        """One token for every task whose prompt is done, one chunk for the others; who came too late waits."""
        self.reach("step")
        time.sleep(self._script.token_interval_s)
        computed = islice(self._running.values(), self._configuration.max_concurrent_tasks)
        outputs = [self._advance(running) for running in computed]
        for output in outputs:
            if isinstance(output, Generated) and output.finish:
                del self._running[output.task_id]
        return outputs

    def _advance(self, running: _Running) -> StepOutput:
        task = running.task
        if running.prefilled < len(task.tokens):
            running.prefilled = min(running.prefilled + self._script.prefill_chunk_tokens, len(task.tokens))
            return Prefilled(task.task_id, running.prefilled, len(task.tokens))
        token = running.generated
        if token == self._script.answer_tokens and not task.sampling.ignore_eos:
            return Generated(task.task_id, None, "stop")
        running.generated += 1
        finished = running.generated == task.sampling.max_tokens
        return Generated(task.task_id, token, "length" if finished else None)

    def close(self) -> None:
        """Close the sockets."""
        self.reach("close")
        if self._star is not None:
            self._star.close()
