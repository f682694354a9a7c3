"""The MLX engine through real runner processes: requests good and bad, batches, stop sequences, seeds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from diagnostics.phase import Phase
from tests.runner.harness import MLX, Group, running
from tests.runner.random_model import CONTEXT_TOKENS
from transports.messages import (
    ChatPrompt,
    PhaseChanged,
    PrefillProgress,
    Prompt,
    RejectionCode,
    SamplingParameters,
    TaskAccepted,
    TaskFinished,
    TaskRejected,
    TextPrompt,
    TokenChunk,
    TokenPrompt,
)

pytestmark = pytest.mark.mlx
PROMPT = "the runner and the ring"


def greedy(max_tokens: int | None = 24, **more: object) -> SamplingParameters:
    return SamplingParameters(temperature=0.0, max_tokens=max_tokens, ignore_eos=True, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def group(model: Path) -> Iterator[Group]:
    with running(engine=MLX, model=str(model), prefill_step_tokens=32) as group:
        yield group.wait_for_phase(Phase.READY)


_task_number = iter(range(10**9))


def task_id() -> str:
    return f"task-{next(_task_number)}"


def answer(group: Group, prompt: Prompt | str = PROMPT, sampling: SamplingParameters | None = None) -> str:
    return group.run(task_id(), prompt, sampling or greedy())


def chat(*messages: tuple[str, object], **arguments: object) -> ChatPrompt:
    shaped = tuple({"role": role, "content": content} for role, content in messages)
    return ChatPrompt(shaped, template_arguments=dict(arguments))


def test_one_task_streams_tokens_in_order(group: Group) -> None:
    name = task_id()
    group.start(name, PROMPT, greedy(12))
    group.finish(name)
    chunks = group.leader.of(TokenChunk, name)
    assert [chunk.index for chunk in chunks] == list(range(12))
    (end,) = group.leader.terminals(name)
    assert (end.finish_reason, end.completion_tokens) == ("length", 12)
    assert group.leader.of(TaskAccepted, name)[0].prompt_tokens == end.prompt_tokens


def test_tools_that_the_template_does_not_show_are_refused(group: Group) -> None:
    name = task_id()
    group.start(name, ChatPrompt(({"role": "user", "content": "hi"},), ({"type": "function"},)), greedy(1))
    group.finish(name)
    (end,) = group.leader.terminals(name)
    assert (end.code, end.parameter) == (RejectionCode.INVALID_REQUEST, "tools")


def test_a_prompt_is_counted_without_an_answer(group: Group) -> None:
    asked = chat(("system", "Be brief."), ("user", PROMPT))
    name, counted = task_id(), task_id()
    group.start(name, asked, greedy(1))
    group.start(counted, asked, greedy(0))
    group.finish(name, counted)
    (accepted,) = group.leader.of(TaskAccepted, name)
    (end,) = group.leader.terminals(counted)
    assert (end.prompt_tokens, end.completion_tokens) == (accepted.prompt_tokens, 0)
    assert not group.leader.of(PrefillProgress, counted)
    assert not group.leader.of(TokenChunk, counted)


def test_a_long_prompt_reports_its_prefill(group: Group) -> None:
    name = task_id()
    group.start(name, TokenPrompt(tuple(range(10, 210))), greedy(2))
    group.finish(name)
    done = [event.done for event in group.leader.of(PrefillProgress, name)]
    assert done[:3] == [32, 64, 96]
    assert done[-1] == 200
    assert done == sorted(done)


def test_eight_tasks_at_once_have_the_answers_that_they_have_alone(group: Group) -> None:
    prompts = [f"{PROMPT} {'x' * n}" for n in range(8)]
    alone = [answer(group, prompt) for prompt in prompts]
    names = [task_id() for _ in prompts]
    for name, prompt in zip(names, prompts, strict=True):
        group.start(name, prompt, greedy())
    group.finish(*names)
    assert [group.leader.text(name) for name in names] == alone


def test_a_stop_sequence_ends_the_answer_and_is_not_part_of_it(group: Group) -> None:
    whole = answer(group, sampling=greedy(40))
    for length in (1, 4, 9):
        stop = whole[10 : 10 + length]
        name = task_id()
        group.start(name, PROMPT, greedy(40, stop=(stop, "never there")))
        group.finish(name)
        assert group.leader.text(name) == whole[: whole.index(stop)]
        assert group.leader.terminals(name)[0].finish_reason == "stop"


def test_text_held_back_for_a_stop_sequence_that_never_comes_is_sent_at_the_end(group: Group) -> None:
    whole = answer(group, sampling=greedy(40))
    assert answer(group, sampling=greedy(40, stop=(whole[-3:] + "#",))) == whole


def test_a_seed_repeats_an_answer_also_beside_other_tasks(group: Group) -> None:
    def sampling(seed: int | None) -> SamplingParameters:
        return SamplingParameters(temperature=1.0, max_tokens=24, seed=seed, ignore_eos=True)

    first = answer(group, sampling=sampling(11))
    assert answer(group, sampling=sampling(11)) == first
    assert answer(group, sampling=sampling(12)) != first
    names = [task_id() for _ in range(4)]
    for name, seed in zip(names, (None, 11, 5, None), strict=True):
        group.start(name, PROMPT, sampling(seed))
    group.finish(*names)
    assert group.leader.text(names[1]) == first
    assert len({group.leader.text(name) for name in names}) == 4


def test_every_sampling_parameter_is_taken(group: Group) -> None:
    base = SamplingParameters(temperature=0.8, max_tokens=8, seed=3, ignore_eos=True)
    plain = answer(group, sampling=base)
    assert answer(group, sampling=SamplingParameters(temperature=0.0, max_tokens=8, ignore_eos=True)) == answer(
        group, sampling=SamplingParameters(temperature=5.0, top_k=1, max_tokens=8, ignore_eos=True)
    )
    changes: tuple[dict[str, object], ...] = (
        {"top_p": 0.5},
        {"top_k": 3},
        {"top_k": 10**6},
        {"min_p": 0.2},
        {"repetition_penalty": 1.5},
        {"presence_penalty": 1.0},
        {"frequency_penalty": 1.0},
        {"seed": -5},
        {"seed": 2**63 + 5},
    )
    for change in changes:
        values = {name: getattr(base, name) for name in base.__struct_fields__} | change
        assert answer(group, sampling=SamplingParameters(**values)), change
    name = task_id()
    group.start(name, PROMPT, greedy(5, logit_bias={42: 1000.0}))
    group.finish(name)
    assert [chunk.token for chunk in group.leader.of(TokenChunk, name)] == [42] * 5
    assert answer(group, sampling=base) == plain


def test_presence_looks_at_the_answer_only(group: Group) -> None:
    name = task_id()
    group.start(name, TokenPrompt((42, 42, 42)), greedy(6, logit_bias={42: 1000.0, 43: 999.0}, presence_penalty=50.0))
    group.finish(name)
    assert [chunk.token for chunk in group.leader.of(TokenChunk, name)][:3] == [42, 43, 42]


def test_the_end_of_a_sequence_is_no_text(group: Group) -> None:
    eos = 2
    name = task_id()
    group.start(name, PROMPT, SamplingParameters(temperature=0.0, max_tokens=5, logit_bias={eos: 1000.0}))
    group.finish(name)
    (end,) = group.leader.terminals(name)
    assert (end.finish_reason, end.completion_tokens, group.leader.text(name)) == ("stop", 0, "")
    name = task_id()
    group.start(name, PROMPT, greedy(5, logit_bias={eos: 1000.0}))
    group.finish(name)
    (end,) = group.leader.terminals(name)
    assert (end.finish_reason, end.completion_tokens, group.leader.text(name)) == ("length", 5, "")


def test_max_tokens_stops_at_the_context(group: Group) -> None:
    name = task_id()
    group.start(name, TokenPrompt((5,) * (CONTEXT_TOKENS - 4)), greedy(None))
    group.finish(name)
    (end,) = group.leader.terminals(name)
    assert (end.finish_reason, end.completion_tokens) == ("length", 4)


@pytest.mark.parametrize(
    ("prompt", "sampling", "parameter"),
    [
        (ChatPrompt(()), greedy(), "messages"),
        (chat(("user", "explode")), greedy(), "messages"),
        (chat(("user", "divide")), greedy(), "messages"),
        (chat(("wizard", "hello")), greedy(), "messages[0].role"),
        (chat(("user", 17)), greedy(), "messages[0].content"),
        (chat(("user", "a"), ("user", [{"type": "image_url"}])), greedy(), "messages[1].content"),
        (chat(("user", "a"), chat_template="{{ 1 }}"), greedy(), "chat_template_kwargs"),
        (ChatPrompt(({"role": "user", "content": "x"},), requires_thinking=True), greedy(), "think"),
        (TextPrompt(""), greedy(), "prompt"),
        (TokenPrompt(()), greedy(), "prompt"),
        (TokenPrompt((1, -1)), greedy(), "prompt"),
        (TokenPrompt((1, 10**6)), greedy(), "prompt"),
        (TextPrompt("x"), greedy(-1), "max_tokens"),
        (TextPrompt("x"), greedy(stop=("a", "")), "stop"),
        (TextPrompt("x"), SamplingParameters(temperature=float("nan")), "temperature"),
        (TextPrompt("x"), SamplingParameters(temperature=-1.0), "temperature"),
        (TextPrompt("x"), SamplingParameters(top_p=1.5), "top_p"),
        (TextPrompt("x"), SamplingParameters(top_k=-7), "top_k"),
        (TextPrompt("x"), SamplingParameters(min_p=-0.5), "min_p"),
        (TextPrompt("x"), SamplingParameters(repetition_penalty=0.0), "repetition_penalty"),
        (TextPrompt("x"), SamplingParameters(logit_bias={10**6: 1.0}), "logit_bias"),
        (TextPrompt("x"), SamplingParameters(logit_bias={1: float("inf")}), "logit_bias"),
    ],
)
def test_a_bad_request_fails_alone(group: Group, prompt: Prompt, sampling: SamplingParameters, parameter: str) -> None:
    name = task_id()
    group.start(name, prompt, sampling)
    group.finish(name)
    (end,) = group.leader.terminals(name)
    assert isinstance(end, TaskRejected)
    assert (end.code, end.parameter) == (RejectionCode.INVALID_REQUEST, parameter)
    assert not group.leader.of(TaskAccepted, name)
    assert answer(group, sampling=greedy(2))


def test_a_prompt_beyond_the_context_names_both_numbers(group: Group) -> None:
    name = task_id()
    group.start(name, TokenPrompt((5,) * CONTEXT_TOKENS), greedy())
    group.finish(name)
    (end,) = group.leader.terminals(name)
    assert end.code is RejectionCode.CONTEXT_LENGTH_EXCEEDED
    assert (end.n_prompt_tokens, end.n_ctx) == (CONTEXT_TOKENS, CONTEXT_TOKENS)


def test_chat_content_may_come_in_parts(group: Group) -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "rank"}]
    assert answer(group, chat(("system", "s"), ("user", parts))) == answer(
        group, chat(("developer", "s"), ("user", "one rank"))
    )


def test_layers_may_be_split_by_what_each_rank_can_hold(group: Group, model: Path) -> None:
    alone = answer(group, PROMPT, greedy(20))
    with running(ranks=2, engine=MLX, model=str(model), parallel="pipeline", layers=(3, 1)) as pair:
        pair.wait_for_phase(Phase.READY)
        loaded = [
            {seen.total for seen in each.of(PhaseChanged) if seen.phase is Phase.LOADING} for each in pair.runners
        ]
        assert [max(totals) for totals in loaded] == [3, 1]
        assert answer(pair, PROMPT, greedy(20)) == alone


@pytest.mark.parametrize("parallel", [pytest.param("tensor", marks=pytest.mark.soak), "pipeline"])
def test_two_ranks_answer_as_one(group: Group, model: Path, parallel: str) -> None:
    prompts = [PROMPT, "one rank", "token by token two ranks the ring"]
    alone = [answer(group, prompt, greedy(40)) for prompt in prompts]
    sampled = SamplingParameters(temperature=1.0, max_tokens=10, ignore_eos=True)
    with running(ranks=2, engine=MLX, model=str(model), parallel=parallel, prefill_step_tokens=32) as pair:
        pair.wait_for_phase(Phase.READY)
        assert [answer(pair, prompt, greedy(40)) for prompt in prompts] == alone
        names = [task_id() for _ in prompts]
        for name, prompt in zip(names, prompts, strict=True):
            pair.start(name, prompt, greedy(40))
        rejected = task_id()
        pair.start(rejected, TextPrompt(""), greedy())
        unseeded = task_id()
        pair.start(unseeded, PROMPT, sampled)
        pair.finish(*names, rejected, unseeded)
        assert [pair.leader.text(name) for name in names] == alone
        endless = task_id()
        pair.start(endless, PROMPT, greedy(None))
        pair.leader.wait_for(lambda: len(pair.leader.of(TokenChunk, endless)) > 5)
        pair.cancel(endless)
        pair.wait_for_phase(Phase.READY)
        assert answer(pair, prompts[0], greedy(40)) == alone[0]
        assert pair.shut_down() == [0, 0]
        assert "[ring]" not in "".join(runner.error_text() for runner in pair.runners)


def test_no_more_tasks_are_computed_at_once_than_configured(model: Path) -> None:
    places, names = 2, [task_id() for _ in range(7)]
    with running(engine=MLX, model=str(model), prefill_step_tokens=8, max_concurrent_tasks=places) as group:
        group.wait_for_phase(Phase.READY)
        for number, name in enumerate(names):
            group.start(name, TokenPrompt((5,) * (40 + number)), greedy(6 + 3 * number))
        group.finish(*names)
        computed: set[str] = set()
        for event in group.leader.of(PrefillProgress | TokenChunk | TaskFinished):
            (computed.discard if isinstance(event, TaskFinished) else computed.add)(event.task_id)
            assert len(computed) <= places
        ends = [end for name in names for end in group.leader.terminals(name)]
    assert [end.completion_tokens for end in ends] == [6 + 3 * number for number in range(7)]
