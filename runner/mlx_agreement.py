"""Rank 0's bytes to all ranks, by sums: everybody adds zeros to what rank 0 gives."""

from typing import Any, cast

import mlx.core as mx

from runner.mlx_binding import evaluate

_FEWEST_ELEMENTS = 16


class Broadcast:
    """The collective behind `Engine.propose` and `Engine.agreed`.

    The length goes first, and bytes only when there are any: in most rounds there is nothing but a 0 to agree on. That
    sum is begun before the step and read after it, so it costs no wait. All collectives of a rank must run on one
    stream: two streams could meet the sockets in another order on another rank.

    Args:
        group: None for a world of one.
        stream: The stream that the model's own collectives run on.
    """

    def __init__(self, group: mx.distributed.Group | None, stream: mx.Stream) -> None:
        self._group = group
        self._stream = stream
        self._payload = b""
        self._header: mx.array | None = None

    def propose(self, payload: bytes) -> None:
        """Begin. Rank 0's payload counts; the others pass none."""
        self._payload = payload
        if self._group is None:
            return
        header = [0] * max(self._group.size(), _FEWEST_ELEMENTS)
        header[0] = len(payload)
        with mx.stream(cast(Any, self._stream)):
            self._header = mx.distributed.all_sum(mx.array(header, mx.int32), group=self._group)
            evaluate(self._header, ahead=True)

    def agreed(self) -> bytes:
        """Finish: block until all ranks have proposed, and return rank 0's payload."""
        if self._group is None:
            return self._payload
        assert self._header is not None
        length = cast(list[int], self._header.tolist())[0]
        if length == 0:
            return b""
        # Rings want at least as many elements as ranks.
        padded = self._payload.ljust(max(length, self._group.size(), _FEWEST_ELEMENTS), b"\0")
        with mx.stream(cast(Any, self._stream)):
            total = mx.distributed.all_sum(mx.array(list(padded), mx.uint8), group=self._group)
            evaluate(total)
        return bytes(memoryview(cast(Any, total)))[:length]
