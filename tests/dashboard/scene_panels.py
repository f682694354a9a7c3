"""Parts of the page alone, in the browser: what would take a flood or many requests to see on the whole page."""

from typing import Any

from playwright.sync_api import Browser

from tests.dashboard.browser import Tab
from tests.dashboard.report import Report
from tests.end_to_end.service import scripted_service

_KEEP = """async () => {
  const { el, keep } = await import("/dashboard/dom.js");
  const list = document.body.appendChild(el("div"));
  const shown = (keys) => {
    keep(list, keys.map((key) => ({ key })), ({ key }) => key, ({ key }) => el("button", {}, key), () => {});
    return [...list.children].map((node) => node.textContent).join("");
  };
  const orders = [shown(["a", "b", "c", "d"])];
  list.children[2].focus();
  orders.push(shown(["b", "c", "d", "e"]), shown(["c", "d"]));
  const focused = document.activeElement.textContent;
  for (let time = 0; time < 5; time += 1) orders.push(shown(["x", "x", "y"]));
  list.remove();
  return { orders, focused };
}"""
_PAUSE = """async () => {
  const { OutputPanel } = await import("/dashboard/output.js");
  const { emptyState, apply } = await import("/dashboard/state.js");
  const holder = document.body.appendChild(document.createElement("div"));
  const [panel, state] = [new OutputPanel(holder), emptyState()];
  const write = (text) => apply(state, { name: "OutputLine",
    data: { at: 1, rank: 0, stream: "stderr", text, tasks: [], attribution: "none" } });
  const text = () => holder.querySelector(".log").textContent;
  write("before");
  panel.draw(state);
  const pause = [...holder.querySelectorAll("button")].find((one) => one.textContent === "Pause");
  pause.click();
  for (let number = 0; number < 5000; number += 1) write(`later ${number}`);
  panel.draw(state);
  const [held, button] = [text(), pause.textContent];
  pause.click();
  const released = text();
  holder.remove();
  return { held: held.includes("before") && !held.includes("later"), button,
    released: released.includes("later 4999") && !released.includes("before") };
}"""
_CLOCK = """async () => (await import("/dashboard/words.js")).clock(new Date(2026, 0, 1, 0, 5, 3).getTime() / 1000)"""


def play_panels(report: Report, browser: Browser) -> None:
    """Lists keep the focus, Pause holds its lines whatever comes, and midnight is no 24 o'clock."""
    with scripted_service("--ranks=1") as daemon:
        daemon.wait_ready()
        tab = Tab(browser.new_context(locale="en-US"), daemon.url)
        kept: dict[str, Any] = tab.page.evaluate(_KEEP)
        orders = ["abcd", "bcde", "cd", *["xxy"] * 5]
        report.check("a list shows its items once, in order", kept["orders"] != orders and kept["orders"])
        report.check("what stays keeps the focus", kept["focused"] != "c" and kept["focused"])
        paused: dict[str, Any] = tab.page.evaluate(_PAUSE)
        expected = {"held": True, "button": "Go on (5000 new)", "released": True}
        report.check("Pause holds the lines in a flood", paused != expected and paused)
        clock = tab.page.evaluate(_CLOCK)
        report.check("a clock after midnight begins with 00", clock != "00:05:03" and clock)
