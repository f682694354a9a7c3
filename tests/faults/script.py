"""What the scripted engine is told through its environment."""

import os
from pathlib import Path
from typing import Literal

import msgspec

Place = Literal["import", "connect", "load", "warm_up", "prepare", "text", "step", "close"]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that goes wrong. `actions.py` lists the actions and which of the last fields each of them reads.

    It happens on `rank`, in `generation` (None: in every one), when `at` is reached for the time number `step` (from
    0: the layer while loading, the step of warm-up, the n-th prepared task, the n-th token's text, the n-th engine
    step). Faults of the same moment happen in the order of the list.
    """

    action: str
    rank: int = 0
    at: Place = "step"
    step: int = 0
    generation: int | None = 1
    exception: str = "RuntimeError"
    message: str = "scripted fault"
    line: str = ""
    exit_code: int = 3
    seconds: float = 3600.0
    count: int = 1


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the engine behaves while nothing goes wrong. Times are slept on every rank."""

    layers: int = 4
    layer_interval_s: float = 0.0
    warm_up_steps: int = 2
    warm_up_interval_s: float = 0.0
    token_interval_s: float = 0.01
    prefill_chunk_tokens: int = 512
    answer_tokens: int = 64
    context_tokens: int = 4096
    connect_timeout_s: float = 20.0
    on_peer_loss: Literal["raise", "hang"] = "raise"


def faults_from_environment() -> tuple[Fault, ...]:
    """Read `FAULT_ENGINE_FAULTS`, a JSON list of faults."""
    return msgspec.json.decode(os.environ.get("FAULT_ENGINE_FAULTS", "[]"), type=tuple[Fault, ...])


def late_faults() -> tuple[Fault, ...]:
    """Read the file that `FAULT_ENGINE_FAULTS_FILE` names, if there is one yet: faults of a test that goes on."""
    name = os.environ.get("FAULT_ENGINE_FAULTS_FILE")
    if name is None or not Path(name).exists():
        return ()
    return msgspec.json.decode(Path(name).read_bytes(), type=tuple[Fault, ...])


def script_from_environment() -> Script:
    """Read `FAULT_ENGINE_SCRIPT`, a JSON object."""
    return msgspec.json.decode(os.environ.get("FAULT_ENGINE_SCRIPT", "{}"), type=Script)
