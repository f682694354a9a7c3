"""`--model`: the built-in model, local folders of every kind of brokenness, and a hub over real HTTP."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.model_hub_progress import PercentReporter
from supervisor.model_source import ModelSourceError, ResolvedModel, resolve_model
from tests.supervisor.model_hub_server import Hub, serving

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "somebody/some-model"


def safetensors(tensors: dict[str, Any], data: bytes) -> bytes:
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + data


GOOD_WEIGHTS = safetensors({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, bytes(16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder that passes every check."""
    path = tmp_path / "good-model"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "qwen2"}')
    (path / "tokenizer.json").write_text("{}")
    (path / "model.safetensors").write_bytes(GOOD_WEIGHTS)
    (path / "model.safetensors.index.json").write_text('{"weight_map": {"w": "model.safetensors"}}')
    return path


def refusal(name: str) -> ModelSourceError:
    with pytest.raises(ModelSourceError) as caught:
        resolve_model(name)
    error = caught.value
    assert error.model == name
    assert str(error) == f"Cannot use the model {name!r}: {error.reason}. {error.remedy}."
    return error


# --- the built-in model and folders ---


def test_tiny_is_the_packaged_folder() -> None:
    assert resolve_model("tiny") == ResolvedModel("tiny", ROOT / "runner" / "models" / "tiny")


def test_a_good_folder_is_named_after_itself(folder: Path) -> None:
    assert resolve_model(str(folder)) == ResolvedModel("good-model", folder)


def test_a_relative_folder_becomes_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert resolve_model(".") == ResolvedModel("good-model", folder)


def test_an_index_may_be_absent(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    assert resolve_model(str(folder)).path == folder


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", None, "no config.json"),
        ("config.json", b"{", "is not JSON"),
        ("config.json", b"\xff\xfe", "is not JSON"),
        ("config.json", b"[" * 100_000, "is not JSON"),
        ("config.json", b"[]", "is not a JSON object"),
        ("config.json", b'{"model_type": 3}', "no 'model_type' string"),
        ("tokenizer.json", None, "no tokenizer"),
        ("model.safetensors.index.json", b"{}", "no 'weight_map' object"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "../x"}}', "is no file name"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": 3}}', "is no file name"),
        (
            "model.safetensors.index.json",
            b'{"weight_map": {"w": "model-00002-of-00002.safetensors"}}',
            "the weight file model-00002-of-00002.safetensors is missing",
        ),
        ("model.safetensors", b"", "has only 0 bytes"),
        ("model.safetensors", GOOD_WEIGHTS[:20], "announces a header"),
        ("model.safetensors", GOOD_WEIGHTS[:-1], "is truncated: the tensor 'w' ends at byte 16"),
        ("model.safetensors", b"\xff" * 100, "announces a header"),
        ("model.safetensors", (3).to_bytes(8, "little") + b"{x}", "header that is not JSON"),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]", "header that is not a JSON object"),
        ("model.safetensors", safetensors({"w": {"data_offsets": [8, 0]}}, bytes(16)), "no usable data_offsets"),
        ("model.safetensors", safetensors({"w": {"data_offsets": ["0", 4]}}, bytes(16)), "no usable data_offsets"),
        ("model.safetensors", safetensors({"w": 3}, b""), "no usable data_offsets"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
    ],
)
def test_a_broken_folder_is_refused(folder: Path, file: str, content: bytes | None, reason: str) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    error = refusal(str(folder))
    assert reason in error.reason
    assert str(folder) in error.reason
    assert error.exit_code == 65


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model.safetensors").rename(folder / "adapters.safetensors")
    error = refusal(str(folder))
    assert "no model*.safetensors" in error.reason
    assert error.exit_code == 65


def test_a_file_is_refused(folder: Path) -> None:
    error = refusal(str(folder / "config.json"))
    assert "is a file" in error.reason
    assert error.exit_code == 64


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "../nothing", "~/no-such-model", "owner/model/"])
def test_a_path_to_nothing_is_refused(name: str) -> None:
    error = refusal(name)
    assert error.reason == "there is no such folder"
    assert error.exit_code == 64


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a/b/c", "owner/mo--del", "owner/..", ".hidden", "-x", "x" * 97, "y" * 5000, "a\0b", "x.git", "ü"],
)
def test_a_name_that_can_be_nothing_is_refused(name: str) -> None:
    error = refusal(name)
    assert "neither a folder nor the name" in error.reason
    assert error.exit_code == 64


# --- the hub: each case in a process of its own, since huggingface_hub reads its environment when imported ---

PROGRAM = """
import json, sys
from supervisor import model_hub
from supervisor.model_source import ModelSourceError, resolve_model
name, offline, reach_timeout_s = sys.argv[1], sys.argv[2] == "offline", float(sys.argv[3])
model_hub.REACH_TIMEOUT_S = reach_timeout_s
lines = []
try:
    found = resolve_model(name, offline=offline, progress=lines.append)
    result = {"id": found.model_id, "path": str(found.path)}
except ModelSourceError as error:
    result = {"reason": error.reason, "remedy": error.remedy, "exit_code": error.exit_code}
loaded = sorted({name.split(".")[0] for name in sys.modules} & {"mlx", "mlx_lm", "runner", "huggingface_hub"})
print(json.dumps({**result, "lines": lines, "loaded": loaded}))
"""


def ask(
    name: str, cache: Path, endpoint: str, *, offline: bool = False, reach_timeout_s: float = 10.0
) -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment.update(HF_HOME=str(cache), HF_ENDPOINT=endpoint, HF_HUB_DISABLE_TELEMETRY="1")
    environment.pop("HF_HUB_OFFLINE", None)
    mode = "offline" if offline else "online"
    command = [sys.executable, "-c", PROGRAM, name, mode, str(reach_timeout_s)]
    return json.loads(subprocess.check_output(command, cwd=ROOT, env=environment, timeout=60))


def closed_port_url() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


def test_tiny_costs_no_heavy_import(tmp_path: Path) -> None:
    result = ask("tiny", tmp_path, closed_port_url())
    assert result["id"] == "tiny"
    assert result["loaded"] == []


def test_a_repository_is_downloaded_and_then_cached(folder: Path, tmp_path: Path) -> None:
    (folder / "modeling.py").write_text("raise SystemExit")
    cache = tmp_path / "cache"
    with serving(Hub(REPOSITORY, folder)) as hub:
        first = ask(REPOSITORY, cache, hub.url)
        assert first["id"] == REPOSITORY, first
        snapshot = Path(first["path"])
        assert sorted(hub.fetched) == sorted(path.name for path in snapshot.iterdir())
        assert "modeling.py" not in hub.fetched
        assert (snapshot / "model.safetensors").read_bytes() == GOOD_WEIGHTS
        assert first["lines"][0].startswith(f"{REPOSITORY}: downloading 4 files")
        assert f"{REPOSITORY}: 100%" in first["lines"]
        assert first["lines"][-1] == f"{REPOSITORY}: complete"
        assert "mlx" not in first["loaded"]

        hub.fetched.clear()
        assert ask(REPOSITORY, cache, hub.url)["path"] == str(snapshot)
        assert hub.fetched == []

    without_hub = ask(REPOSITORY, cache, hub.url)
    assert without_hub["path"] == str(snapshot)
    assert "using the copy in the local cache" in without_hub["lines"][0]
    assert ask(REPOSITORY, cache, hub.url, offline=True) == {**without_hub, "lines": []}


def test_a_broken_repository_is_refused_after_the_download(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").write_bytes(GOOD_WEIGHTS[:-1])
    with serving(Hub(REPOSITORY, folder)) as hub:
        result = ask(REPOSITORY, tmp_path / "cache", hub.url)
    assert "is truncated" in result["reason"]
    assert result["exit_code"] == 65


def test_an_unknown_repository_is_refused(folder: Path, tmp_path: Path) -> None:
    with serving(Hub(REPOSITORY, folder)) as hub:
        result = ask("somebody/else", tmp_path / "cache", hub.url)
    assert "no repository of that name" in result["reason"]
    assert "HF_TOKEN" in result["remedy"]
    assert result["exit_code"] == 69


def test_a_gated_repository_is_refused(folder: Path, tmp_path: Path) -> None:
    with serving(Hub(REPOSITORY, folder, gated=True)) as hub:
        result = ask(REPOSITORY, tmp_path / "cache", hub.url)
    assert "accepted its terms" in result["reason"]
    assert f"https://huggingface.co/{REPOSITORY}" in result["remedy"]
    assert result["exit_code"] == 69


def test_a_repository_larger_than_the_disk_is_refused_before_the_download(folder: Path, tmp_path: Path) -> None:
    needed = shutil.disk_usage(tmp_path).total + 10**12
    with serving(Hub(REPOSITORY, folder, sizes={"model.safetensors": needed})) as hub:
        result = ask(REPOSITORY, tmp_path / "cache", hub.url)
        assert hub.fetched == []
    assert "free" in result["reason"]
    assert "Free some space" in result["remedy"]
    assert result["exit_code"] == 69


@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_out_of_reach_is_said_quickly(tmp_path: Path, offline: bool) -> None:
    started = time.monotonic()
    result = ask(REPOSITORY, tmp_path, closed_port_url(), offline=offline)
    assert time.monotonic() - started < 20
    assert ("the network is not to be used" if offline else "the hub cannot be reached") in result["reason"]
    assert "the local cache has no complete copy" in result["reason"]
    assert result["exit_code"] == 69


def test_a_hub_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = ask(REPOSITORY, tmp_path, endpoint, reach_timeout_s=0.5)
    assert "did not answer within" in result["reason"]
    assert result["exit_code"] == 69


def test_percent_lines_are_bounded() -> None:
    lines: list[str] = []
    reporter = PercentReporter("m", 1000, lines.append)
    for done in [*range(1001), 500, 2000]:
        reporter.reached(done)
    assert lines == [f"m: {percent}%" for percent in range(1, 101)]
