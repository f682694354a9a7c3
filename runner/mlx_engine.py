"""The real engine: mlx-lm's continuous batching over an MLX distributed group.

Numbers: greedy answers of a model on N ranks equal those on one rank as far as floating point sums do; a batch of
several tasks may differ from a task alone in the last bits of its logits.
"""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx

from runner.answer_scanner import AnswerScanner
from runner.attribution import bound
from runner.engine import Generated, Prefilled, Report, StepOutput
from runner.plan import PreparedTask
from transports.answers import TokenCandidate
from transports.messages import Configure, ModelFacts, SamplingParameters, StartTask

if TYPE_CHECKING:
    from runner.mlx_agreement import Broadcast
    from runner.mlx_binding import Batch, Detokenizer, LogitsProcessor, Model, SampledToken, Sampler, Tokenizer
    from runner.mlx_logprobs import Candidates

_WARM_UP_PROMPT_TOKENS = 8
_WARM_UP_TOKENS = 4
_WARM_UP_TASK = "warm-up"


class MlxText:
    """One task's tokens as text. Tokens that would end a sequence have none, also when they are ignored."""

    def __init__(self, detokenizer: "Detokenizer", silent: set[int]) -> None:
        self._detokenizer = detokenizer
        self._silent = silent

    def add(self, token: int) -> str:
        """Return the text that this token completes."""
        if token in self._silent:
            return ""
        self._detokenizer.add_token(token)
        return self._detokenizer.last_segment

    def finish(self) -> str:
        """Return the text of an incomplete end."""
        self._detokenizer.finalize()
        return self._detokenizer.last_segment


class MlxEngine:
    """See `runner.engine.Engine`. mlx-lm is imported while loading: the ranks meet before those seconds, not after."""

    _broadcast: "Broadcast"
    _batch: "Batch"
    _model: "Model"
    _tokenizer: "Tokenizer"
    _facts: ModelFacts
    _candidates: "Candidates"

    def __init__(self, configuration: Configure) -> None:
        self._configuration = configuration
        self._group: mx.distributed.Group | None = None
        self._insertions: dict[str, Callable[[], int]] = {}
        self._uids: dict[str, int] = {}
        self._top_candidates: dict[str, int] = {}
        self._task_ids: dict[int, str] = {}

    def connect(self) -> None:
        """Join the MLX group that the environment describes.

        Raises:
            RuntimeError: When the backend cannot start, or counts other ranks than the supervisor.
        """
        wanted = (self._configuration.rank, self._configuration.world_size)
        if self._configuration.backend == "none":
            if wanted != (0, 1):
                raise RuntimeError(f"rank {wanted[0]} of {wanted[1]} needs a backend, but the backend is none")
            return
        group = mx.distributed.init(strict=True, backend=self._configuration.backend)
        found = (group.rank(), group.size())
        if found != wanted:
            raise RuntimeError(f"MLX counts rank {found[0]} of {found[1]}, the supervisor {wanted[0]} of {wanted[1]}")
        self._group = group if group.size() > 1 else None

    def load(self, report: Report) -> ModelFacts:
        """Load this rank's share and make an empty batch."""
        from runner.mlx_agreement import Broadcast  # noqa: PLC0415 - after connecting
        from runner.mlx_binding import batch_stream, new_batch  # noqa: PLC0415
        from runner.mlx_loading import load  # noqa: PLC0415
        from runner.mlx_logprobs import Candidates  # noqa: PLC0415

        configuration = self._configuration
        self._model, self._tokenizer, self._facts = load(
            Path(configuration.model), self._group, configuration.parallel, configuration.layers, report
        )
        self._candidates = Candidates(self._tokenizer)
        self._stream = batch_stream()
        self._broadcast = Broadcast(self._group, self._stream)
        self._batch = new_batch(
            self._model,
            max_sequences=configuration.max_concurrent_tasks,
            prefill_step_tokens=configuration.prefill_step_tokens,
        )
        return self._facts

    def warm_up(self, report: Report) -> None:
        """Give all ranks the same random state, then run a short task through the batch."""
        with report.agreeing("seed"):
            self.propose(secrets.token_bytes(8) if self._configuration.rank == 0 else b"")
            mx.random.seed(int.from_bytes(self.agreed()))
        sampling = SamplingParameters(max_tokens=_WARM_UP_TOKENS, temperature=0.0, ignore_eos=True)
        tokens = (0,) * min(_WARM_UP_PROMPT_TOKENS, max(1, self._facts.context_tokens - _WARM_UP_TOKENS))
        self.admit(PreparedTask(_WARM_UP_TASK, tokens, sampling))
        done = 0
        while self._uids or self._insertions:
            done += sum(isinstance(output, Generated) for output in self.step())
            report(done, _WARM_UP_TOKENS)

    def prepare(self, task: StartTask) -> PreparedTask:
        """Validate and tokenise."""
        from runner.prompting import prepare  # noqa: PLC0415 - loaded with the model

        return prepare(task, self._tokenizer, self._facts)

    def text_stream(self, task: PreparedTask) -> MlxText:
        """A detokenizer of the task's own."""
        del task
        return MlxText(self._tokenizer.detokenizer, self._tokenizer.eos_token_ids)

    def answer_scanner(self, command: StartTask, task: PreparedTask) -> AnswerScanner:
        """What knows the model's marks."""
        from runner.answer_formats import scanner_for  # noqa: PLC0415 - loaded with the model

        return scanner_for(self._tokenizer, command.prompt, task.tokens)

    def propose(self, plan: bytes) -> None:
        """Begin to share rank 0's plan."""
        self._broadcast.propose(plan)

    def agreed(self) -> bytes:
        """Return rank 0's plan once all ranks have proposed."""
        return self._broadcast.agreed()

    def admit(self, task: PreparedTask) -> None:
        """Take the task for the batch, which it enters at the first step that has a place for it."""
        from runner.mlx_binding import stop_tokens  # noqa: PLC0415 - loaded with the model
        from runner.sampling import make_logits_processors, make_sampler  # noqa: PLC0415

        sampling = task.sampling
        max_tokens = sampling.max_tokens
        assert max_tokens is not None
        ends = () if sampling.ignore_eos else tuple(self._tokenizer.eos_token_ids)
        usual = make_sampler(sampling, self._facts.vocabulary_size)
        sampler = self.sampler(task, usual)
        usual_processors = make_logits_processors(sampling, len(task.tokens), self._facts.context_tokens)
        # Both run inside the step, which works for all tasks at once. A sampler that tasks share runs for none of them.
        processors = [bound(task.task_id, one) for one in self.logits_processors(task, usual_processors)]
        self._insertions[task.task_id] = lambda: self._batch.insert(
            [list(task.tokens)],
            max_tokens=[max_tokens],
            samplers=[usual if sampler is usual else bound(task.task_id, sampler)],
            logits_processors=[processors],
            stop_sequences=[stop_tokens(ends)],
        )[0]
        if sampling.logprobs is not None and self._configuration.rank == 0:
            self._top_candidates[task.task_id] = sampling.logprobs

    def _fill(self) -> None:
        """Insert what has a place. The batch would take prompts beside as many answers, twice what it may hold."""
        while self._insertions and len(self._uids) < self._configuration.max_concurrent_tasks:
            task_id = next(iter(self._insertions))
            uid = self._uids[task_id] = self._insertions.pop(task_id)()
            self._task_ids[uid] = task_id

    def sampler(self, task: PreparedTask, usual: "Sampler") -> "Sampler":
        """Return what chooses the task's tokens. For subclasses; another one than the usual runs in its context."""
        del task
        return usual

    def logits_processors(self, task: PreparedTask, usual: "list[LogitsProcessor]") -> "Sequence[LogitsProcessor]":
        """Return what changes the task's logits, in order. For subclasses; each runs in the task's context."""
        del task
        return usual

    def remove(self, task_ids: Sequence[str]) -> None:
        """Take tasks out of the batch, or let them not enter it."""
        uids = [self._uids.pop(task_id) for task_id in task_ids if task_id in self._uids]
        for task_id in task_ids:
            self._insertions.pop(task_id, None)
            self._top_candidates.pop(task_id, None)
        for uid in uids:
            del self._task_ids[uid]
        if uids:
            self._batch.remove(uids)

    def step(self) -> Sequence[StepOutput]:
        """One decode step for the running tasks and one chunk for the waiting prompts."""
        self._fill()
        prompts, tokens = self._batch.next()
        outputs: list[StepOutput] = []
        for prompt in prompts:
            outputs.append(Prefilled(self._task_ids[prompt.uid], *prompt.progress))
        for sampled in tokens:
            task_id = self._task_ids[sampled.uid]
            if sampled.finish_reason == "stop":
                outputs.append(Generated(task_id, None, "stop"))
            else:
                finish = None if sampled.finish_reason is None else "length"
                outputs.append(Generated(task_id, sampled.token, finish, self._candidates_of(task_id, sampled)))
            if sampled.finish_reason is not None:
                del self._task_ids[sampled.uid], self._uids[task_id]
                self._top_candidates.pop(task_id, None)
        return outputs

    def _candidates_of(self, task_id: str, sampled: "SampledToken") -> tuple[TokenCandidate, ...]:
        top = self._top_candidates.get(task_id)
        return () if top is None else self._candidates.of(sampled.logprobs, sampled.token, top)

    def close(self) -> None:
        """Let the last step finish on all ranks, so that no peer sees a socket close under it."""
        mx.synchronize(cast(Any, self._stream))
        self._batch.close()
