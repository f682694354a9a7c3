"""Bad input, from the command line and over HTTP: a clear error with its remedy, nothing lost, nothing half done."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.service import PROJECT, Service, scripted_service

TINY = PROJECT / "runner" / "models" / "tiny"


def up(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "supervisor.cli", "up", f"--state-dir={folder / 'state'}", "--port=0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "HF_HUB_OFFLINE": "1"},
        check=False,
    )


def assert_complaint(outcome: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert outcome.returncode == code, outcome
    assert "Traceback" not in outcome.stderr
    for word in words:
        assert word in outcome.stderr


def test_a_model_that_does_not_exist(tmp_path: Path) -> None:
    assert_complaint(up("--model=nobody/nothing-of-this-name", folder=tmp_path), 69, "nobody/nothing-of-this-name")
    assert_complaint(up("--model=./no-such-folder", folder=tmp_path), 64, "no-such-folder")


def test_weights_cut_short(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(TINY, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert_complaint(up(f"--model={broken}", folder=tmp_path), 65, "model.safetensors")


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_complaint(up(f"--port={port}", folder=tmp_path), 69, str(port), "--port")


def test_a_flag_and_a_value_that_do_not_exist(tmp_path: Path) -> None:
    assert_complaint(up("--rank=2", folder=tmp_path), 64, "--rank")
    assert_complaint(up("--parallel=sideways", folder=tmp_path), 64, "parallel")
    assert_complaint(up("--ranks=0", folder=tmp_path), 64, "ranks")


def test_a_state_folder_in_use() -> None:
    with scripted_service() as service:
        service.wait_ready()
        outcome = up("--ranks=1", f"--state-dir={service.state_dir}", folder=service.state_dir.parent)
        assert_complaint(outcome, 69, str(service.process.pid), "--state-dir")
        assert service.get("/cluster")["state"] == "ready"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with scripted_service() as started:
        started.wait_ready()
        yield started
        assert started.get("/cluster")["generation"] == 1, "bad requests have cost a generation"


def chat(**changes: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "hello there"}], **changes}


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        (chat(model="gpt-9"), 404, "model", "model_not_found"),
        (chat(temperature="hot"), 400, "temperature", None),
        (chat(temperature=9), 400, "temperature", None),
        (chat(messages="hello"), 400, "messages", None),
        (chat(messages=[]), 400, "messages", None),
        (chat(messages=[{"role": 5, "content": "x"}]), 400, "messages[0].role", None),
        (chat(max_tokens=0), 400, "max_tokens", None),
        (chat(n=3), 400, "n", None),
        (chat(messages=[{"role": "user", "content": "word " * 5000}]), 400, None, "context_length_exceeded"),
    ],
)
def test_a_bad_request(
    service: Service, body: dict[str, Any], status: int, param: str | None, code: str | None
) -> None:
    response = service.post("/v1/chat/completions", body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    if param is not None:
        assert error["param"] == param
    if code is not None:
        assert error["code"] == code


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[1, 2]", b"null", b'{"model": ' + b"[" * 100_000])
def test_a_body_that_is_no_request(service: Service, content: bytes) -> None:
    import httpx2

    headers = {"content-type": "application/json"}
    response = httpx2.post(service.url + "/v1/chat/completions", content=content, headers=headers, timeout=30)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_name_that_is_not_ours_is_refused_and_one_of_the_settings_is_not() -> None:
    import httpx2

    with scripted_service("--allowed-hosts=studio.example, mini.example") as service:
        for name, status in (("studio.example", 200), ("mini.example:80", 200), ("evil.example", 403)):
            assert httpx2.get(service.url + "/health/live", headers={"host": name}).status_code == status, name


def test_ten_megabytes(service: Service) -> None:
    body = chat(messages=[{"role": "user", "content": "x" * 10_000_000}])
    response = service.post("/v1/chat/completions", body)
    assert response.status_code == 413
    assert json.loads(response.text)["error"]["message"]
