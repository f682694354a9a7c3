"""A rank of a real group dies mid-stream, and the page says so: before, during and after, in three looks."""

import os
import signal
from pathlib import Path
from unittest.mock import patch

from playwright.sync_api import Browser, expect

from tests.dashboard.browser import LOOKS, MAX_SCREENSHOT_BYTES, Tab
from tests.dashboard.load import load
from tests.dashboard.report import Report
from tests.end_to_end.service import Service, service, wait_until

ACCUSED = 1


def play_death(report: Report, browser: Browser, pictures: Path) -> None:
    """Run the scene and keep its screenshots."""
    # Long enough to be looked at while it is down.
    with patch.dict(os.environ, {"RINGWARDEN_BACKOFF_FIRST_S": "8"}), service("--model=tiny", "--ranks=2") as daemon:
        daemon.wait_ready()
        tabs = {look: Tab(browser.new_context(**settings), daemon.url) for look, settings in LOOKS.items()}
        with load(daemon.url, clients=3):
            _before(report, tabs)
            _keep(report, tabs, pictures, "before")
            os.kill(daemon.pids()[ACCUSED], signal.SIGSEGV)
            _during(report, tabs)
            _keep(report, tabs, pictures, "during")
            _after(report, daemon, tabs)
            _keep(report, tabs, pictures, "after")
        for look, tab in tabs.items():
            report.check(f"{look}: nothing was printed to the console", tab.troubles)
            report.check(f"{look}: nothing was asked of anybody else", tab.foreign)


def _before(report: Report, tabs: dict[str, Tab]) -> None:
    for tab in tabs.values():
        tab.wait_text("#headline", "Serving tiny on 2 ranks.")
        tab.wait_text("#detail", "3 requests running")
        wait_until(lambda tab=tab: float(tab.text("#tiles .value")) > 0, "tokens flow")
    # Enough for a curve that can be seen.
    tabs["light"].page.wait_for_timeout(8_000)
    for look, tab in tabs.items():
        report.check(f"{look}: before, accessible", tab.axe())
        report.check(f"{look}: tokens move around the ring", not tab.page.locator(".flow").count())
        wide = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        report.check(f"{look}: nothing is wider than the screen", max(0, wide))


def _during(report: Report, tabs: dict[str, Tab]) -> None:
    for look, tab in tabs.items():
        tab.wait_text("#headline", f"Restarting. Rank {ACCUSED} ")
        tab.wait_text(".incident .sentence", f"Rank {ACCUSED} ")
        accused = tab.page.locator('.ranks li[data-tone="bad"] .badge').all_inner_texts()
        report.check(f"{look}: the rank that fell is marked, and no other", accused != [str(ACCUSED)] and accused)
        expect(tab.page.locator(".fall.fallen")).to_have_count(2)
        first = tab.text(".dominoes ol.hidden li")
        report.check(f"{look}: it is told who fell first", not first.startswith(f"Rank {ACCUSED} fell first") and first)


def _after(report: Report, daemon: Service, tabs: dict[str, Tab]) -> None:
    daemon.wait_ready(2)
    for look, tab in tabs.items():
        tab.wait_text("#headline", "Serving tiny on 2 ranks.")
        tab.wait_text("#detail", "Back after")
        tab.wait_text("#detail", "3 requests running")
        tab.wait_text(".incident .chips", "recovered")
        tab.wait_text("#requests .ended", "failed")
        tab.page.wait_for_timeout(3_000)
        report.check(f"{look}: after, accessible", tab.axe())
    page = tabs["light"].page
    page.locator(".dominoes button").click()
    stands = page.locator(".fall.fallen").count() < page.locator(".fall").count()
    report.check("a replay begins with tiles that stand", not stands)
    expect(page.locator(".fall:not(.fallen)")).to_have_count(0)
    page.locator(".certificates summary").click()
    report.check("each rank has a certificate", page.locator(".certificates tbody tr").count() != 2)
    page.locator(".certificates summary").click()


def _keep(report: Report, tabs: dict[str, Tab], pictures: Path, moment: str) -> None:
    sizes = {look: tab.screenshot(pictures / f"{moment}-{look}.png") for look, tab in tabs.items()}
    large = {look: size for look, size in sizes.items() if size > MAX_SCREENSHOT_BYTES}
    report.check(f"screenshots {moment} are small", large)
