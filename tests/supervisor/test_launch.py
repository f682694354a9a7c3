"""What runners are started with."""

import os
from pathlib import Path

import msgspec

from supervisor.launch import GroupSpec, prepare_generation, runner_environment
from supervisor.ports import free_ports


def spec(folder: Path, **changes: object) -> GroupSpec:
    made = GroupSpec(
        model_id="m", model_path=Path("/models/m"), world_size=3, parallel="pipeline", backend="ring",
        engine="module:Class", node="here", work_folder=folder,
        environment={"PATH": "/bin", "RINGWARDEN_API_KEY": "secret", "MLX_RANK": "7", "PYTHONPATH": "/theirs"},
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def test_every_rank_knows_its_place_in_one_ring(tmp_path: Path) -> None:
    launches = prepare_generation(spec(tmp_path), 4)
    assert [launch.environment["MLX_RANK"] for launch in launches] == ["0", "1", "2"]
    (hostfile,) = {launch.environment["MLX_HOSTFILE"] for launch in launches}
    hosts = msgspec.json.decode(Path(hostfile).read_bytes(), type=list[tuple[str]])
    assert len({host for (host,) in hosts}) == 3
    assert all(host.startswith("127.0.0.1:") for (host,) in hosts)
    assert [launch.configure.rank for launch in launches] == [0, 1, 2]
    assert {launch.configure.world_size for launch in launches} == {3}
    assert {launch.configure.generation for launch in launches} == {4}


def test_one_rank_without_a_backend_joins_no_ring(tmp_path: Path) -> None:
    (launch,) = prepare_generation(spec(tmp_path, world_size=1, backend="none"), 1)
    assert not any(name.startswith("MLX_") for name in launch.environment)


def test_secrets_stay_and_packages_are_found(tmp_path: Path) -> None:
    environment = runner_environment(spec(tmp_path).environment, 0, None)
    assert "RINGWARDEN_API_KEY" not in environment
    ours, theirs = environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(ours) / "runner" / "bootstrap.py").exists()
    assert theirs == "/theirs"


def test_the_command_line_shows_rank_and_generation_and_no_secret(tmp_path: Path) -> None:
    launch = prepare_generation(spec(tmp_path), 4)[2]
    command = launch.command(channel_fd=5, dump_fd=6)
    assert command[1:3] == ["-m", "runner"]
    assert {"--rank=2", "--generation=4", "--channel-fd=5", "--dump-fd=6"} == set(command[3:])


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(16))) == 16
