"""What held and what did not, as it is found out."""

import time
import traceback
from collections.abc import Callable


class Report:
    """Prints each check and remembers those that failed."""

    def __init__(self) -> None:
        self.held = 0
        self.failed: list[str] = []

    def check(self, what: str, problem: object) -> None:
        """Note a check; it held when `problem` is nothing."""
        if problem:
            self.failed.append(what)
            print(f"  FAILED  {what}: {problem}", flush=True)
        else:
            self.held += 1
            print(f"  ok      {what}", flush=True)

    def scene(self, name: str, play: Callable[["Report"], None]) -> None:
        """Play one scene; whatever ends it early is a failure of its own."""
        print(f"{name}", flush=True)
        began = time.monotonic()
        try:
            play(self)
        except Exception:  # noqa: BLE001 - the other scenes are worth seeing, too
            self.check(f"{name} comes to its end", traceback.format_exc(limit=6))
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
