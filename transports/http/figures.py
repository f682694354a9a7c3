"""How the service does, in figures: what every view of it shows."""

import msgspec


class Percentiles(msgspec.Struct, frozen=True):
    """Of the newest samples, a bounded number of them. The unit is in the name of the field that holds this."""

    p50: float
    p95: float
    p99: float
    samples: int


class ServiceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks and tokens since the daemon started, and how fast they come now.

    `running` tasks are computed now, `queued` ones wait for it. The rates are over the last `window_s` seconds, in
    which a pause counts. Percentiles are None until there is a sample. `finished` counts good ends, `cancelled` those
    that somebody or their own deadline wanted, `failed` those with an incident, `rejected` those that a runner refused.
    """

    running: int
    queued: int
    window_s: float
    tokens_per_s: float
    prompt_tokens_per_s: float
    tokens_total: int
    prompt_tokens_total: int
    time_to_first_token_s: Percentiles | None
    inter_token_latency_s: Percentiles | None
    finished: int
    cancelled: int
    failed: int
    rejected: int
