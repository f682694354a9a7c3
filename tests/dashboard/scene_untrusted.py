"""Names and lines that want to be markup stay what they are: text."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.dashboard.browser import Tab
from tests.dashboard.report import Report
from tests.end_to_end.service import PROJECT, scripted_service

EVIL = "<img src=x onerror=alert(document.domain)>"
ESCAPED = "\x1b]0;owned\x07\x1b[31m"


def play_untrusted(report: Report, browser: Browser) -> None:
    """A model, its output and a request are named after an attack."""
    lines = [f"{ESCAPED}{EVIL}", "<script>alert(1)</script>", "\u202etxt.exe"]
    faults = [
        {"action": "print_line", "rank": rank, "at": "warm_up", "line": line} for rank in (0, 1) for line in lines
    ]
    faults.append({"action": "raise", "rank": 1, "at": "step", "step": 6, "message": EVIL})
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / EVIL
        shutil.copytree(PROJECT / "runner" / "models" / "tiny", model)
        with scripted_service(f"--model={model}", "--ranks=2", faults=faults) as daemon:
            daemon.wait_ready()
            tab = Tab(browser.new_context(), daemon.url)
            tab.wait_text("#headline", f"Serving {EVIL}")
            tab.wait_text("#output .log", EVIL)
            body = {"model": EVIL, "messages": [{"role": "user", "content": EVIL}]}
            failed = daemon.post("/v1/chat/completions", body)
            report.check("the request failed, as scripted", failed.status_code == 200)
            tab.wait_text("#incidents", EVIL)
            report.check("no element was made of it", tab.page.locator("img[src=x], main script").count())
            report.check("nothing ran, nothing was refused by the policy", tab.troubles)
            report.check("nothing was asked of anybody else", tab.foreign)
            shown = tab.page.locator("#output .log").inner_text()
            report.check("no escape code and no turned text is shown", any(one in shown for one in "\x1b\x07\u202e"))
