"""Which faults the matrix has: how the daemon is set up, how the client meets it, and what has to come out."""

from typing import Any, NamedTuple

from tests.acceptance.rule import Expected
from tests.acceptance.scenes import (
    Scene,
    Setting,
    ask_across_a_restart,
    ask_and_kill_after_the_finish,
    ask_and_leave,
    ask_when_full,
    ask_when_ready,
    ask_while_loading,
    ask_with_another_key,
)
from tests.end_to_end.service import SCRIPTED_ENGINE

ANSWER_TOKENS = 40
ANSWER = " ".join(f"word{number}" for number in range(ANSWER_TOKENS))
MLX_ENGINE = "tests.faults.breaking_mlx:BreakingMlx"
MLX_ANSWER = (
    "Ringwarden stands between an MLX cluster and the people who use it. It starts the runners, watches them, "
    "explains why they die, and makes sure that every request ends exactly once, with the truth."
)
OUT_OF_MEMORY = (
    "libc++abi: terminating due to uncaught exception of type std::runtime_error: [METAL] Command buffer execution "
    "failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"
)
# Groups that die again and again must be started again and again, or the second answer would be that of another fault.
_RESTARTS = {"restart_intensity": 1000, "backoff_first_s": 0.05, "backoff_cap_s": 0.1}
_SHORT_STALLS = {"stall_timeout_s": 1.5, "stall_floor_s": 1}


class Fault(NamedTuple):
    """One column of the matrix. `is_shared`: its daemon outlives it as it was, so that one does for all clients."""

    name: str
    about: str
    expected: Expected
    scene: Scene = ask_when_ready
    settings: dict[str, float] = {}  # noqa: RUF012 - never changed
    faults: tuple[dict[str, Any], ...] = ()
    armed: tuple[dict[str, Any], ...] = ()
    script: dict[str, Any] = {}  # noqa: RUF012 - never changed
    engine: str = SCRIPTED_ENGINE
    prompt: str = "tell me about rings"
    client_arguments: tuple[str, ...] = ()
    answer: str = ANSWER
    is_shared: bool = True

    @property
    def setting(self) -> Setting:
        """What its scene needs."""
        script = {"answer_tokens": ANSWER_TOKENS, "token_interval_s": 0.02, **self.script}
        settings = {**_RESTARTS, **self.settings}
        return Setting(self.engine, settings, script, self.faults, self.armed, self.prompt, self.client_arguments)


def _at_step(rank: int, step: int, action: str = "sigkill", **more: Any) -> dict[str, Any]:
    """Engine step 0 reads the prompt, the next ones make one token each, the one after them ends the answer."""
    return {"rank": rank, "at": "step", "step": step, "action": action, **more}


def _killed(rank: int) -> Expected:
    words = (f"Rank {rank} ", "was killed by SIGKILL")
    return Expected("either", words, code="runner_crashed", cause="killed_no_stderr")


def _refused(code: str, *words: str) -> Expected:
    return Expected("error", words, code, request_id="beside the fields")


FAULTS = (
    Fault("none", "nothing goes wrong", Expected("answer")),
    Fault(
        "killed-before-accepted",
        "rank 0 is killed while it reads the request; the next generation is fine",
        _killed(0),
        faults=({"rank": 0, "at": "prepare", "action": "sigkill"},),
        is_shared=False,
    ),
    Fault(
        "killed-before-first-token",
        "rank 1 is killed in prefill; the next generation is fine",
        _killed(1),
        armed=(_at_step(1, 0),),
    ),
    Fault(
        "killed-mid-stream",
        "rank 1 is killed after ten tokens; the next generation is fine",
        _killed(1),
        armed=(_at_step(1, 11),),
    ),
    Fault(
        "killed-after-last-token",
        "rank 0 is killed between the last token and the finish; the next generation is fine",
        _killed(0),
        armed=(_at_step(0, ANSWER_TOKENS + 1),),
    ),
    Fault(
        "killed-after-finish",
        "rank 1 is killed when the answer is complete",
        Expected("answer"),
        ask_and_kill_after_the_finish,
    ),
    Fault(
        "out-of-memory",
        "rank 1 runs out of GPU memory after ten tokens, in every generation",
        Expected("error", ("Rank 1 ", "memory"), code="runner_crashed", cause="metal_out_of_memory"),
        faults=(_at_step(1, 11, "sigabrt", generation=None, line=OUT_OF_MEMORY),),
    ),
    Fault(
        "hang-in-prefill",
        "rank 1 stands still in prefill, in every generation",
        Expected("error", ("Rank 1 ", "prefill"), code="prefill_timeout", cause="stalled"),
        settings=_SHORT_STALLS,
        faults=(_at_step(1, 0, "hang", generation=None),),
    ),
    Fault(
        "hang-in-decode",
        "rank 1 stands still after ten tokens, in every generation",
        Expected("error", ("Rank 1 ", "decoding"), code="decode_stalled", cause="stalled"),
        settings=_SHORT_STALLS,
        faults=(_at_step(1, 11, "hang", generation=None),),
    ),
    Fault(
        "queue-full",
        "another request has the only place",
        Expected("error", ("requests are in flight or waiting",), code="queue_full"),
        ask_when_full,
        settings={"max_concurrent_tasks": 1, "max_queued_tasks": 0},
        script={"token_interval_s": 0.25},
    ),
    Fault(
        "model-loading",
        "the daemon has begun to load the model, which takes very long",
        Expected("error", ("still loading",), code="model_loading"),
        ask_while_loading,
        settings={"admission_wait_s": 0.2},
        script={"layer_interval_s": 110.0},
    ),
    Fault(
        "model-loaded-meanwhile",
        "the model takes two seconds to load, and requests are held for ten",
        Expected("answer"),
        ask_while_loading,
        script={"layer_interval_s": 0.5},
        is_shared=False,
    ),
    Fault(
        "head-restarted",
        "the daemon is killed while it answers, and started again",
        Expected("either", request_id="never"),
        ask_across_a_restart,
        script={"token_interval_s": 0.06},
        is_shared=False,
    ),
    Fault(
        "bad-request",
        "a temperature of 9",
        _refused("invalid_request_error", "temperature"),
        client_arguments=("--temperature", "9"),
    ),
    Fault(
        "too-long",
        "a prompt of 40 tokens for a context of 32",
        _refused("context_length_exceeded", "40 tokens", "32"),
        script={"context_tokens": 32},
        prompt="word " * 40,
    ),
    Fault(
        "wrong-model",
        "a model that is not served",
        _refused("model_not_found", "'gpt-9'", "'tiny'"),
        client_arguments=("--model", "gpt-9"),
    ),
    Fault(
        "wrong-key",
        "an API key that is not the daemon's",
        _refused("invalid_api_key", "key"),
        ask_with_another_key,
        client_arguments=("--key", "not-the-key-of-this-daemon"),
    ),
    Fault(
        "client-gone",
        "the client is killed while it is answered",
        Expected("left"),
        ask_and_leave,
        script={"token_interval_s": 0.1},
    ),
    Fault(
        "mlx-none",
        "nothing goes wrong, on real MLX",
        Expected("answer"),
        engine=MLX_ENGINE,
        settings={"ranks": 2},
        prompt="What is Ringwarden?",
        client_arguments=("--temperature", "0"),
        answer=MLX_ANSWER,
    ),
    Fault(
        "mlx-killed-mid-stream",
        "rank 1 is killed after ten tokens, on real MLX; the next generation is fine",
        _killed(1),
        engine=MLX_ENGINE,
        settings={"ranks": 2},
        faults=(_at_step(1, 11),),
        prompt="What is Ringwarden?",
        client_arguments=("--temperature", "0"),
        answer=MLX_ANSWER,
        is_shared=False,
    ),
)


def faults_named(names: list[str]) -> tuple[Fault, ...]:
    """Return these faults, all when none is named.

    Raises:
        KeyError: There is no fault of such a name.
    """
    by_name = {fault.name: fault for fault in FAULTS}
    return tuple(by_name[name] for name in names) if names else FAULTS
