"""A group, for tests that never start it."""

from pathlib import Path

from supervisor.launch import GroupSpec


def spec(world_size: int = 2) -> GroupSpec:
    """Of `tiny`, on whatever nodes there are."""
    return GroupSpec(
        model_id="tiny",
        model_path=Path(),
        world_size=world_size,
        parallel="tensor",
        backend="ring",
        engine="runner.mlx_engine:MlxEngine",
        node="head",
        work_folder=Path("/nonexistent"),
        environment={},
    )
