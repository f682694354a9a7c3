"""One client as a process: started, watched for its first piece, read to its one line of outcome."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

DEADLINE_S = 150.0
# Nothing of ours may change what a client does: no proxy between it and the daemon, no keys, no settings of a person.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class ClientProcess:
    """A running client, started by `command`. Whatever it does, it is gone after `DEADLINE_S`."""

    def __init__(self, command: Sequence[str], url: str, mode: str, prompt: str, extra: Sequence[str] = ()) -> None:
        asked = ["--url", url, "--mode", mode, "--prompt", prompt, *extra]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # litellm would fetch a list of prices.
        environment["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `outcome` or `kill`
        self._process = subprocess.Popen(
            [*command, *asked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._watch = threading.Timer(DEADLINE_S, self._end)
        self._watch.start()
        self._lines: list[str] = []

    def until_begun(self) -> None:
        """Return when the first piece of a stream has arrived, or the client is done."""
        while not self._lines and self._read_line():
            pass

    def outcome(self) -> dict[str, Any]:
        """Wait for the client and return its line, or what became of it instead."""
        while self._read_line():
            pass
        code = self._process.wait()
        self._watch.cancel()
        self._errors.seek(0)
        said = self._errors.read()
        self._errors.close()
        if code != 0 or not self._lines or self._lines[-1] == "begun":
            hung = code == -signal.SIGKILL
            what = f"hung for {DEADLINE_S:.0f} s" if hung else f"ended with {code}: {said[-1500:]}"
            return {"outcome": what, "seconds": DEADLINE_S if hung else 0.0}
        return json.loads(self._lines[-1])

    def kill(self) -> None:
        """End it as a closed laptop would."""
        self._watch.cancel()
        self._end()
        self._process.wait()
        self._errors.close()

    def _end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _read_line(self) -> bool:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        # Some SDKs print advice of their own to the same output.
        if line.startswith(("begun", "{")):
            self._lines.append(line.strip())
        return bool(line)
