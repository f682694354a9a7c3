"""What a person does with the page: by keyboard, with a key, over a restart, with little motion."""

import os
from contextlib import ExitStack
from http import HTTPStatus
from unittest.mock import patch

import httpx2
from playwright.sync_api import Browser, Page, expect

from supervisor.ports import free_ports
from tests.dashboard.browser import Tab
from tests.dashboard.load import load
from tests.dashboard.report import Report
from tests.end_to_end.service import scripted_service

KEY = "a-key-of-this-test"
_FOCUS = """() => {
  const at = document.activeElement;
  if (at === document.body) return null;
  const style = getComputedStyle(at);
  return {name: (at.getAttribute('aria-label') || at.textContent || at.id).trim().slice(0, 60),
          seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2};
}"""


def play_keyboard(report: Report, browser: Browser) -> None:
    """Everything that can be clicked can be reached and used without a mouse."""
    with scripted_service("--ranks=2", script={"answer_tokens": 100_000, "token_interval_s": 0.05}) as daemon:
        daemon.wait_ready()
        tab = Tab(browser.new_context(), daemon.url)
        with load(daemon.url, clients=1, tokens=3000):
            tab.wait_text("#requests", "Cancel")
            reached = _walk(tab.page)
            report.check("the focus is always visible", [one["name"] for one in reached if not one["seen"]])
            names = [one["name"] for one in reached]
            wanted = ("To the content", "Cancel request", "All ranks", "Rank 1", "Pause")
            report.check("everything is reached", [w for w in wanted if not any(name.startswith(w) for name in names)])
            tab.page.get_by_role("button", name="Pause").focus()
            tab.page.keyboard.press("Enter")
            report.check("Pause holds the lines", tab.page.locator("#output button[aria-pressed=true]").count() < 2)
            button = tab.page.locator("#requests button").first
            name = button.get_attribute("aria-label") or ""
            button.focus()
            tab.page.keyboard.press("Space")
            tab.wait_text("#requests .ended", "cancelled")
            tab.wait_text("#requests .ended", name.removeprefix("Cancel request "))
        report.check("nothing was printed to the console", tab.troubles)


def play_motion(report: Report, browser: Browser) -> None:
    """Who wants little motion gets none, and misses nothing."""
    faults = [{"action": "sigkill", "rank": 1, "at": "step", "step": 60}]
    script = {"answer_tokens": 100_000, "token_interval_s": 0.05}
    with scripted_service("--ranks=2", faults=faults, script=script) as daemon:
        daemon.wait_ready()
        tab = Tab(browser.new_context(reduced_motion="reduce"), daemon.url)
        with load(daemon.url, clients=1, tokens=3000):
            tab.wait_text("#detail", "running")
            report.check("nothing moves", tab.page.evaluate("document.getAnimations().length"))
            tab.wait_text(".dominoes", "Rank 1")
            report.check("a failure is not played", tab.page.locator(".dominoes button").count())
            expect(tab.page.locator(".fall.fallen")).to_have_count(2)


def play_restart(report: Report, browser: Browser) -> None:
    """The page outlives the daemon, says so, and comes back without being loaded again."""
    port = f"--port={free_ports(1)[0]}"
    with scripted_service(port, "--ranks=2") as daemon:
        daemon.wait_ready()
        tab = Tab(browser.new_context(), daemon.url)
        tab.wait_text("#link", "live")
        tab.page.evaluate("window.kept = true")
    tab.wait_text("#headline", "Ringwarden does not answer.")
    report.check("it says that it is disconnected", tab.text("#link") != "disconnected" and tab.text("#link"))
    with scripted_service(port, "--ranks=2") as daemon:
        daemon.wait_ready()
        tab.wait_text("#link", "live")
        tab.wait_text("#headline", "Serving")
        report.check("the page was not loaded again", not tab.page.evaluate("window.kept === true"))
        # What a browser prints of a connection that is refused is no fault of the page.
        troubles = [one for one in tab.troubles if "net::ERR_" not in one]
        report.check("nothing else was printed to the console", troubles)


def play_full(report: Report, browser: Browser) -> None:
    """A service that too many listen to already is told from one that is gone."""
    with scripted_service("--ranks=1") as daemon, ExitStack() as others:
        daemon.wait_ready()
        client = others.enter_context(httpx2.Client(base_url=daemon.url, limits=httpx2.Limits(max_connections=None)))
        while others.enter_context(client.stream("GET", "/events?types=RankDied")).status_code == HTTPStatus.OK:
            pass
        tab = Tab(browser.new_context(), daemon.url)
        tab.wait_text("#headline", "Too many")
        tab.wait_text("#countdown", "next try in")
        others.close()
        tab.wait_text("#link", "live")
        report.check("it says nothing else", [one for one in tab.troubles if "429" not in one])


def play_key(report: Report, browser: Browser) -> None:
    """A service with a key asks for it, and it stays in the tab."""
    with patch.dict(os.environ, {"RINGWARDEN_API_KEY": KEY}), scripted_service("--ranks=2") as daemon:
        context = browser.new_context()
        tab = Tab(context, daemon.url)
        tab.wait_text("#headline", "asks for its API key")
        report.check("nothing is shown without it", tab.page.locator("#ranks li").count())
        report.check("the form is accessible", tab.axe())
        for attempt in ("wrong", "\u201cpasted\u201d", KEY):
            tab.page.get_by_label("API key").fill(attempt)
            tab.page.keyboard.press("Enter")
            if attempt != KEY:
                tab.wait_text("#detail", "not the right one")
        tab.wait_text("#link", "live")
        tab.wait_text("#headline", "2 ranks")
        kept = tab.page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
        report.check("the key is kept nowhere else", KEY in kept)
        report.check("another tab has to ask again", KEY in _storage_of(Tab(context, daemon.url).page))


def _storage_of(page: Page) -> str:
    page.get_by_label("API key").wait_for()
    return page.evaluate("JSON.stringify(sessionStorage)")


def _walk(page: Page) -> list[dict[str, object]]:
    page.evaluate("document.activeElement.blur()")
    reached: list[dict[str, object]] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        at = page.evaluate(_FOCUS)
        if at is None:
            continue
        if reached and at["name"] == reached[0]["name"]:
            break
        reached.append(at)
    return reached
