"""`python -m runner.self_check mlx|ring DEADLINE_S`: does MLX work here? Started by `ringwarden doctor`, as a child.

Each step that worked is one line of JSON on stdout. What does not work may raise, abort or hang: the first two end this
process, and a hang is ended by faulthandler, which writes where every thread stood.
"""

import faulthandler
import json
import sys
from importlib import metadata


def tell(step: str, **facts: object) -> None:
    """Write one line, which a parent has even if the next step kills this process."""
    sys.stdout.write(json.dumps({"step": step, **facts}) + "\n")
    sys.stdout.flush()


def check_mlx() -> None:
    """Import MLX, compute something whose result is known, and import of mlx-lm what the engine uses."""
    import mlx.core as mx  # noqa: PLC0415 - that it may fail is what this is about

    tell("mlx", version=str(getattr(mx, "__version__", "")), file=str(mx.__file__))
    tell("device", metal=bool(mx.metal.is_available()), device=str(mx.default_device()))
    ones = mx.ones((128, 128))
    tell("computed", is_right=(ones @ ones).sum().item() == 128.0**3)
    from runner import mlx_binding  # noqa: PLC0415

    del mlx_binding
    tell("mlx_lm", version=metadata.version("mlx-lm"))


def check_ring() -> None:
    """Join the ring that the environment names, and add over all ranks."""
    import mlx.core as mx  # noqa: PLC0415

    group = mx.distributed.init(strict=True, backend="ring")
    total = mx.distributed.all_sum(mx.ones((1024,)), group=group)
    tell("ring", rank=group.rank(), size=group.size(), total=total[0].item())


def main() -> None:
    """Make the check that the command line names."""
    check, deadline_s = sys.argv[1], float(sys.argv[2])
    faulthandler.enable()
    faulthandler.dump_traceback_later(deadline_s, exit=True)
    {"mlx": check_mlx, "ring": check_ring}[check]()
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
