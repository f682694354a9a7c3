"""The ranges of what says how tokens are chosen, under whatever name an API gives to it."""

from typing import NamedTuple

from transports.http.errors import invalid_request

MAX_STOP_SEQUENCES = 16
MAX_STOP_CHARACTERS = 1024
MAX_TOKENS = 2**31 - 1
SEED_BITS = 63


class Range(NamedTuple):
    """The values that are allowed; `above` leaves out `low` itself."""

    low: float
    high: float
    above: bool = False


TEMPERATURE = Range(0, 2)
TOP_P = Range(0, 1, above=True)
TOP_K = Range(-1, MAX_TOKENS)
MIN_P = Range(0, 1)
REPETITION = Range(0.01, 10)
PENALTY = Range(-2, 2)
SEED = Range(-(2**SEED_BITS), 2**SEED_BITS - 1)
_COUNT = Range(1, MAX_TOKENS)


def check_model(model: str) -> None:
    """Refuse an empty model name.

    Raises:
        ApiError: 400.
    """
    if not model:
        raise invalid_request("model", "`model` is empty. Name one of the models that `/v1/models` lists.")


def check_range(name: str, value: float | None, allowed: Range) -> None:
    """Refuse a value that is not allowed; None is not there.

    Raises:
        ApiError: 400 naming the field.
    """
    low, high, above = allowed
    if value is None or (low < value <= high if above else low <= value <= high):
        return
    rule = f"above {low} and up to {high}" if above else f"from {low} to {high}"
    raise invalid_request(name, f"`{name}` is {value}; it must be {rule}. Choose a value in that range.")


def number_of(name: str, value: float | None, allowed: Range, default: float) -> float:
    """Return the value, checked, or the default.

    Raises:
        ApiError: 400 naming the field.
    """
    check_range(name, value, allowed)
    return default if value is None else value


def top_k_of(name: str, value: int | None, default: int = 0) -> int:
    """Return the value, checked; vLLM writes "off" as -1, the engine as 0.

    Raises:
        ApiError: 400 naming the field.
    """
    check_range(name, value, TOP_K)
    return default if value is None else max(value, 0)


def max_tokens_of(name: str, value: int | None) -> int | None:
    """Return the value, checked.

    Raises:
        ApiError: 400 naming the field.
    """
    check_range(name, value, _COUNT)
    return value


def seed_of(name: str, value: int | None) -> int | None:
    """Return the seed as MLX takes it, unsigned; APIs allow negative ones.

    Raises:
        ApiError: 400 naming the field.
    """
    check_range(name, value, SEED)
    return None if value is None else value % 2**SEED_BITS


def stop_of(name: str, stop: str | list[str] | None) -> tuple[str, ...]:
    """Return the stop sequences, checked.

    Raises:
        ApiError: 400 naming the field.
    """
    sequences = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(sequences) > MAX_STOP_SEQUENCES:
        raise invalid_request(
            name, f"`{name}` has {len(sequences)} sequences; at most {MAX_STOP_SEQUENCES} are allowed. Send fewer."
        )
    for sequence in sequences:
        if not 0 < len(sequence) <= MAX_STOP_CHARACTERS:
            raise invalid_request(
                name,
                f"`{name}` holds a sequence of {len(sequence)} characters; 1 to {MAX_STOP_CHARACTERS} are allowed.",
            )
    return sequences
