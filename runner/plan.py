"""What all ranks do in one round: decided by rank 0, agreed by everybody, applied in the same order everywhere."""

import msgspec

from transports.messages import SamplingParameters


class PreparedTask(msgspec.Struct, frozen=True):
    """A validated task: prompt tokens instead of text, and `sampling.max_tokens` always set (it fits the context)."""

    task_id: str
    tokens: tuple[int, ...]
    sampling: SamplingParameters


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One round's changes. The empty plan means: go on with what is running.

    `settled` are tasks that ended before any rank but 0 saw them (refused, or cancelled at once); the others must learn
    their ids, because they were woken for them. `idle` sends everybody back to their command queue, `leave` out.
    """

    remove: tuple[str, ...] = ()
    admit: tuple[PreparedTask, ...] = ()
    settled: tuple[str, ...] = ()
    idle: bool = False
    leave: bool = False


_EMPTY = Plan()
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Plan)


def encode_plan(plan: Plan) -> bytes:
    """Return the plan's bytes; none at all for the empty plan, which is what nearly every round has."""
    return b"" if plan == _EMPTY else _encoder.encode(plan)


def decode_plan(data: bytes) -> Plan:
    """Return the plan.

    Raises:
        msgspec.DecodeError: When the bytes are no plan: the ranks do not run the same collective.
    """
    return _decoder.decode(data) if data else _EMPTY
