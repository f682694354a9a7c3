"""The progress word: what a runner's compute thread does, so that standing still can be told from working."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_NAME_CHARACTERS = 40


class Activity(StrEnum):
    """What the compute thread does; the values read well after "while"."""

    CONNECTING = "connecting"
    LOADING = "loading"
    WARMING_UP = "warming up"
    PREPARING = "preparing a request"
    PREFILL = "prefilling"
    DECODE = "decoding"
    AGREEING = "agreeing with the other ranks"
    IDLE = "idle"


class Collective(msgspec.Struct, frozen=True, array_like=True):
    """The last collective that the rank began. `number` counts them from 1, alike on all ranks.

    The model's own sums in one step count as one collective, `step`.
    """

    name: Annotated[str, Meta(max_length=MAX_NAME_CHARACTERS)]
    number: int
    ended: bool


class Progress(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """The compute thread moved: this differs from the word before. Sent by the pulse at most a few times a second.

    `step` only grows, and alike on all ranks: the one with less is behind. `done` of `total` counts what the activity
    counts, layers or tokens; `bytes_loaded` those of weights.
    """

    step: int
    activity: Activity = Activity.IDLE
    collective: Collective | None = None
    done: int = 0
    total: int = 0
    bytes_loaded: int = 0
