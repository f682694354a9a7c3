"""What a node says about itself: true here, and read right from what both systems print."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.inventory import (
    MAX_TEXT_LETTERS,
    MAX_VARIABLES,
    command_output,
    installed_version,
    linux_chip,
    linux_rdma,
    mlx_environment,
    read_facts,
)
from transports.cluster.node_facts import RdmaDevice


def test_the_facts_of_this_machine_are_true():
    facts = read_facts()
    assert facts.system == (OperatingSystem.DARWIN if sys.platform == "darwin" else OperatingSystem.LINUX)
    assert facts.cores == os.cpu_count()
    assert facts.memory_bytes == psutil.virtual_memory().total
    assert 0 < facts.available_memory_bytes <= facts.memory_bytes
    assert facts.python_version == sys.version.split()[0]
    assert facts.mlx_version == installed_version("mlx")
    assert facts.mlx_version is not None
    assert facts.chip
    assert facts.system_version
    assert facts.addresses


def test_reading_the_facts_loads_neither_mlx_nor_a_runner():
    program = (
        "import sys\nfrom supervisor.cluster.inventory import read_facts\nprint(read_facts().mlx_version)\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'mlx', 'mlx_lm', 'runner'}))"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert outcome.stdout == f"{installed_version('mlx')}\n[]\n"


def test_what_is_not_installed_has_no_version():
    assert installed_version("a-distribution-that-nobody-has") is None


def test_only_what_runners_inherit_and_mlx_reads_is_told():
    environment = {
        "MLX_METAL_FAST_SYNCH": "1",
        "JACCL_RING": "1",
        "MLX_RANK": "3",
        "MLX_HOSTFILE": "hosts.json",
        "PATH": "bin",
        "RINGWARDEN_API_KEY": "secret",
        "MLX_LONG": "x" * 10_000,
    }
    assert mlx_environment(environment) == {
        "JACCL_RING": "1",
        "MLX_LONG": "x" * MAX_TEXT_LETTERS,
        "MLX_METAL_FAST_SYNCH": "1",
    }
    assert len(mlx_environment({f"MLX_{number}": "" for number in range(1000)})) == MAX_VARIABLES


@pytest.mark.parametrize(
    ("text", "chip"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nmodel name\t: other\n", "AMD EPYC 7B13"),
        ("processor\t: 0\nCPU implementer\t: 0x41\n\nModel\t\t: Raspberry Pi 5 Model B\n", "Raspberry Pi 5 Model B"),
        ("processor\t: 0\nCPU implementer\t: 0x41\n", "aarch64"),
        ("model name\t:\n", "aarch64"),
        ("", "aarch64"),
    ],
)
def test_linux_names_its_processor(tmp_path: Path, text: str, chip: str):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert linux_chip(file, "aarch64") == chip


def test_a_processor_without_a_file_is_its_architecture(tmp_path: Path):
    assert linux_chip(tmp_path / "none", "x86_64") == "x86_64"


def test_linux_rdma_devices_are_up_with_an_active_port(tmp_path: Path):
    for name, states in {"mlx5_0": ["1: DOWN\n", "4: ACTIVE\n"], "mlx5_1": ["1: DOWN\n"], "mlx5_2": []}.items():
        (tmp_path / name).mkdir()
        for number, state in enumerate(states, 1):
            port = tmp_path / name / "ports" / str(number)
            port.mkdir(parents=True)
            (port / "state").write_text(state)
    assert linux_rdma(tmp_path) == (
        RdmaDevice("mlx5_0", True),
        RdmaDevice("mlx5_1", False),
        RdmaDevice("mlx5_2", False),
    )
    assert linux_rdma(tmp_path / "none") == ()


@pytest.mark.parametrize(
    "command",
    [
        ["a-command-that-nobody-has"],
        [sys.executable, "-c", "print('half'); raise SystemExit(1)"],
        [sys.executable, "-c", "print('x' * 2_000_000)"],
    ],
)
def test_a_command_that_fails_says_nothing(command: list[str]):
    assert command_output(*command, timeout_s=30) == b""


def test_a_command_that_hangs_is_ended():
    assert command_output(sys.executable, "-c", "import time; time.sleep(600)", timeout_s=0.5) == b""
    assert command_output(sys.executable, "-c", "print('well')", timeout_s=30) == b"well\n"
