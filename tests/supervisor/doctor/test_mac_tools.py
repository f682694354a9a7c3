"""What macOS's own commands say, from scripts in their place; and commands that are missing, fail or hang."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.addresses import Interface
from supervisor.doctor import network
from supervisor.doctor.finding import CheckState
from supervisor.doctor.memory import ask_wired_limit, judge_gpu_memory, judge_system, read_system
from supervisor.doctor.network import judge_links, judge_rdma, read_links, read_rdma
from supervisor.doctor.power import ask_power, judge_power
from supervisor.doctor.python import read_python
from supervisor.doctor.system_tool import ask_tool
from supervisor.settings import Settings

DARWIN = OperatingSystem.DARWIN


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Put shell scripts with these bodies first on the path."""

    def write(scripts: Mapping[str, str]) -> None:
        for name, body in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / name).chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")
    return write


def test_a_mac_that_tells_everything(tools: Callable[[Mapping[str, str]], None]):
    tools(
        {
            "sw_vers": "echo 26.2",
            "sysctl": 'case "$2" in iogpu*) echo 0 ;; *) echo Apple M4 Max ;; esac',
            "pmset": "echo ' sleep                1'",
            "ibv_devinfo": "printf 'hca_id: rdma_en2\\n  state: PORT_ACTIVE (4)\\n'",
            "rdma_ctl": "echo enabled",
            "networksetup": "printf 'Hardware Port: Thunderbolt 1\\nDevice: lo\\n'",
        }
    )
    system = read_system(DARWIN)
    assert (system.version, system.chip) == ("26.2", "Apple M4 Max")
    assert judge_system(system).state is CheckState.OK
    assert read_python(DARWIN).chip == "Apple M4 Max"
    assert judge_gpu_memory(ask_wired_limit(DARWIN), 64 * 1024**3).state is CheckState.OK
    assert judge_power(ask_power(DARWIN)).state is CheckState.WARNING
    assert judge_rdma(read_rdma(DARWIN), Settings(backend="jaccl"), DARWIN).state is CheckState.OK
    assert read_links(DARWIN)


def test_a_port_without_a_cable_is_no_link(tools: Callable[[Mapping[str, str]], None], monkeypatch: pytest.MonkeyPatch):
    """As on every Mac: the Thunderbolt ports run, without an address, whether something is plugged in or not."""
    tools(
        {
            "networksetup": "printf 'Hardware Port: Wi-Fi\\nDevice: en0\\n'\n"
            "printf 'Hardware Port: Thunderbolt 1\\nDevice: en1\\n'",
            "ifconfig": "printf 'en0: flags=8863<UP,RUNNING>\\n\\tinet 10.0.0.7\\n\\tstatus: active\\n'\n"
            "printf 'en1: flags=8963<UP,RUNNING>\\n\\tmedia: autoselect\\n\\tstatus: inactive\\n'",
        }
    )
    interfaces = (Interface("en0", ("10.0.0.7",)), Interface("en1", ()))
    monkeypatch.setattr(network, "read_interfaces", lambda: interfaces)
    links = read_links(DARWIN)
    assert [one.name for one in links] == ["en0"]
    assert "Wi-Fi" in judge_links(links, {}, in_cluster=True, system=DARWIN).diagnosis


def test_a_mac_whose_commands_fail_leaves_checks_unmade(tools: Callable[[Mapping[str, str]], None]):
    tools(dict.fromkeys(("sw_vers", "sysctl", "pmset", "ibv_devinfo", "rdma_ctl", "networksetup"), "exit 1"))
    assert judge_system(read_system(DARWIN)).state is CheckState.SKIPPED
    limit = judge_gpu_memory(ask_wired_limit(DARWIN), 64 * 1024**3)
    assert limit.state is CheckState.SKIPPED
    assert "exited with 1" in limit.diagnosis
    assert judge_power(ask_power(DARWIN)).state is CheckState.SKIPPED
    assert judge_rdma(read_rdma(DARWIN), Settings(backend="ring"), DARWIN).state is CheckState.SKIPPED


def test_a_command_that_hangs_or_is_missing_says_so(tools: Callable[[Mapping[str, str]], None]):
    tools({"stuck": "exec sleep 600"})
    began_at = time.monotonic()
    assert "did not end within 0.2 s" in (ask_tool("stuck", timeout_s=0.2).problem or "")
    assert time.monotonic() - began_at < 10
    assert ask_tool("no-such-command-here").problem == "there is no no-such-command-here here"


def test_a_flood_is_read_in_part_only(tools: Callable[[Mapping[str, str]], None]):
    tools({"flood": "head -c 3000000 /dev/zero | tr '\\0' x"})
    assert len(ask_tool("flood").output or "") == 1024 * 1024
