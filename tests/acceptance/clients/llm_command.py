"""The command `llm` with a model of extra-openai-models.yaml: a shell sees its exit code and its two outputs."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from outcome import Answer, Question, read_question, report


def ask(question: Question, answer: Answer) -> dict[str, Any]:
    """Run `llm` once; a code other than 0 is its way to raise."""
    command = [str(Path(sys.executable).with_name("llm")), "--model", "asked", "--key", question.key, "--no-log"]
    if not question.stream:
        command.append("--no-stream")
    if question.temperature is not None:
        command += ["--option", "temperature", str(question.temperature)]
    with tempfile.TemporaryDirectory() as folder:
        model = f"- model_id: asked\n  model_name: {question.model}\n  api_base: {question.url}/v1\n"
        Path(folder, "extra-openai-models.yaml").write_text(model)
        process = subprocess.Popen(
            [*command, question.prompt],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LLM_USER_PATH": folder},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        while piece := os.read(process.stdout.fileno(), 65_536):
            answer.add(piece.decode())
        said = process.stderr.read().decode()
        code = process.wait()
    answer.text = answer.text.removesuffix("\n")
    if code == 0:
        return {"outcome": "returned"}
    return {"outcome": "raised", "exception": f"exit code {code}", "message": said.strip()}


began_at = time.monotonic()
the_answer = Answer()
report(ask(read_question(), the_answer), the_answer, time.monotonic() - began_at)
