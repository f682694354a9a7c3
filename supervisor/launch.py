"""What it takes to start the runners of one generation: commands, environment, ring addresses."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from supervisor.ports import free_ports
from transports.markers import new_token
from transports.messages import Backend, Configure, Parallelism

# The API's secret is none of a runner's business, and a place in somebody else's ring would make MLX join that one.
_NOT_INHERITED = (
    "RINGWARDEN_API_KEY",
    "MLX_RANK",
    "MLX_WORLD_SIZE",
    "MLX_HOSTFILE",
    "MLX_IBV_DEVICES",
    "MLX_JACCL_",
    "JACCL_RANK",
    "JACCL_IBV_DEVICES",
    "JACCL_COORDINATOR",
)


class GroupSpec(msgspec.Struct, frozen=True):
    """What a group serves and how.

    `model_path` is a local folder; `work_folder` is the group's own; runners inherit `environment`. `layers` are those
    of each rank in a pipeline that is not split evenly.
    """

    model_id: str
    model_path: Path
    world_size: int
    parallel: Parallelism
    backend: Backend
    engine: str
    node: str
    work_folder: Path
    environment: dict[str, str]
    max_concurrent_tasks: int = 8
    prefill_step_tokens: int = 512
    dead_man_s: float = 10.0
    stall_timeout_s: float = 120.0
    stall_floor_s: float = 15.0
    start_stall_timeout_s: float = 120.0
    layers: tuple[int, ...] | None = None


class RunnerLaunch(msgspec.Struct, frozen=True):
    """Everything needed to start one runner. The channel's and the dump file's descriptors are added at start."""

    rank: int
    generation: int
    node: str
    configure: Configure
    environment: dict[str, str]
    dump_path: Path
    python: str = sys.executable

    def command(self, channel_fd: int, dump_fd: int) -> list[str]:
        """The argument vector: what `ps` shows, and nothing secret."""
        return [
            self.python,
            "-m",
            "runner",
            f"--rank={self.rank}",
            f"--generation={self.generation}",
            f"--channel-fd={channel_fd}",
            f"--dump-fd={dump_fd}",
        ]


def write_hostfile(path: Path, ports: Sequence[int]) -> None:
    """Write the file that MLX's ring backend reads: one list of addresses per rank (`MLX v0.32.1 ring.cpp`)."""
    path.write_bytes(msgspec.json.encode([[f"127.0.0.1:{port}"] for port in ports]))


def runner_environment(base: Mapping[str, str], rank: int, hostfile: Path | None) -> dict[str, str]:
    """The environment of one rank: the supervisor's own, with this rank's place in the ring.

    Packages are found from this process's path: `-m runner` has to work from any working directory.
    """
    environment = {name: value for name, value in base.items() if not name.startswith(_NOT_INHERITED)}
    packages = str(Path(__file__).resolve().parent.parent)
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = packages if not inherited else os.pathsep.join((packages, inherited))
    environment["PYTHONUNBUFFERED"] = "1"
    # A runner's stderr is read by machines first.
    environment["NO_COLOR"] = "1"
    if hostfile is not None:
        environment["MLX_RANK"] = str(rank)
        environment["MLX_HOSTFILE"] = str(hostfile)
    return environment


def prepare_generation(spec: GroupSpec, generation: int) -> list[RunnerLaunch]:
    """Write the files that one generation's runners read and return what to start, one launch per rank.

    Raises:
        OSError: When the work folder cannot be written or no port is free.
    """
    folder = _folder(spec, generation)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    hostfile: Path | None = None
    if spec.backend != "none":
        hostfile = folder / "hosts.json"
        write_hostfile(hostfile, free_ports(spec.world_size))
    return [_rank_launch(spec, generation, rank, hostfile) for rank in range(spec.world_size)]


def _folder(spec: GroupSpec, generation: int) -> Path:
    return spec.work_folder / f"generation-{generation}"


def _rank_launch(spec: GroupSpec, generation: int, rank: int, hostfile: Path | None) -> RunnerLaunch:
    configure = Configure(
        rank=rank,
        world_size=spec.world_size,
        generation=generation,
        engine=spec.engine,
        model=str(spec.model_path),
        parallel=spec.parallel,
        backend=spec.backend,
        max_concurrent_tasks=spec.max_concurrent_tasks,
        prefill_step_tokens=spec.prefill_step_tokens,
        dead_man_s=spec.dead_man_s,
        marker_token=new_token(),
    )
    return RunnerLaunch(
        rank=rank,
        generation=generation,
        node=spec.node,
        configure=configure,
        environment=runner_environment(spec.environment, rank, hostfile),
        dump_path=_folder(spec, generation) / f"rank-{rank}.stacks",
    )
