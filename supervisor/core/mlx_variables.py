"""What it does to a group when its nodes' MLX variables differ, one row for each variable that MLX 0.32.4 reads.

Sources: `utils.h`, `fence.h`, `jaccl.h` and `mlx_lm/models/gated_delta.py` of the installed wheels.
"""

from collections.abc import Mapping

import msgspec


class VariableEffect(msgspec.Struct, frozen=True):
    """What breaks when two nodes have different values, and whether a group must not be formed then."""

    breaks: str
    refuses: bool = False


_LEFT_OVER = VariableEffect(
    "left over from a launch by hand, it leads a rank into another group than ours", refuses=True
)
_OTHER_TOPOLOGY = VariableEffect(
    "one rank would build a ring and another a mesh, and both would wait for ever", refuses=True
)
_OTHER_NUMBERS = VariableEffect("the ranks compute slightly different numbers")
_OTHER_PACE = VariableEffect("the ranks run at different speeds, and the slowest sets the pace")
_UNKNOWN = VariableEffect("what it does is not known here, and ranks may behave differently")

HARMLESS = frozenset({"MLX_RING_VERBOSE", "MLX_RESIDENCY_DEBUG", "MLX_METAL_DEBUG"})
"""These only make a rank say more."""

EFFECTS: Mapping[str, VariableEffect] = {
    "MLX_WORLD_SIZE": _LEFT_OVER,
    "MLX_IBV_DEVICES": _LEFT_OVER,
    "MLX_JACCL_COORDINATOR": _LEFT_OVER,
    "JACCL_RANK": _LEFT_OVER,
    "JACCL_IBV_DEVICES": _LEFT_OVER,
    "JACCL_COORDINATOR": _LEFT_OVER,
    "MLX_JACCL_RING": _OTHER_TOPOLOGY,
    "JACCL_RING": _OTHER_TOPOLOGY,
    "MLX_BFS_MAX_WIDTH": VariableEffect(
        "ranks may evaluate their collectives in different orders, and wait for each other for ever", refuses=True
    ),
    "MLX_METAL_FAST_SYNCH": VariableEffect(
        "the GPU and the network wait for each other quickly on one node and slowly on the other, which sets the pace"
    ),
    "MLX_ENABLE_TF32": _OTHER_NUMBERS,
    "MLX_GDN_PACKED": _OTHER_NUMBERS,
    "MLX_DISABLE_COMPILE": _OTHER_NUMBERS,
    "MLX_METAL_GPU_ARCH": _OTHER_NUMBERS,
    "MLX_MAX_OPS_PER_BUFFER": _OTHER_PACE,
    "MLX_MAX_MB_PER_BUFFER": _OTHER_PACE,
    "MLX_RESIDENCY_SET_MAX_PCT": _OTHER_PACE,
    "MLX_NCCL_TIMEOUT": VariableEffect("one rank gives up on a slow start before the other does"),
    "MLX_MPI_LIBNAME": VariableEffect("ranks that load different MPI libraries may not find each other"),
}


def effect_of(variable: str) -> VariableEffect | None:
    """Return what it means that two nodes have different values of a variable; None when it means nothing."""
    return None if variable in HARMLESS else EFFECTS.get(variable, _UNKNOWN)
