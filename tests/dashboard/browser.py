"""One Chromium with several tabs on the dashboard, and everything that went wrong in any of them."""

import io
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

DEADLINE_MS = 60_000
MAX_SCREENSHOT_BYTES = 300_000
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light", "is_mobile": True},
}
_RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}


class Tab:
    """One page in a context of its own, so that nothing is shared but the daemon."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.troubles: list[str] = []
        self.foreign: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(DEADLINE_MS)
        self.page.on("console", lambda message: self._console(message.type, message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(f"exception: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._request)
        self.page.goto(url + "/")

    def text(self, selector: str) -> str:
        """What an element says."""
        return self.page.locator(selector).first.inner_text()

    def wait_text(self, selector: str, wanted: str) -> None:
        """Wait until an element says something that contains `wanted`."""
        expect(self.page.locator(selector).first).to_contain_text(wanted, timeout=DEADLINE_MS)

    def axe(self) -> list[str]:
        """What a rule of accessibility is broken by."""
        found = Axe().run(self.page, options=_RULES)
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found.response["violations"]]

    def screenshot(self, path: Path) -> int:
        """Keep the whole page as a small PNG; return its size in bytes."""
        raw = self.page.screenshot(full_page=True, animations="disabled")
        picture = Image.open(io.BytesIO(raw)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        picture.save(path, optimize=True)
        return path.stat().st_size

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.troubles.append(f"{kind}: {text}")

    def _dialog(self, dialog: Any) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.url + "/", "data:")):
            self.foreign.append(request.url)


@contextmanager
def browser(executable: str) -> Generator[Browser]:
    """A headless Chromium; it ends with the block."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs rights that a container does not give; the pages are ours.
        started = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()
