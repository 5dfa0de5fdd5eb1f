"""A real `interlock sandbox`, and a real headless Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.sandbox.command import Sandbox, started

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE: Final = 30_000  # ms; a machine under load is slow, not wrong
ALBUM: Final = pytest.StashKey[Path]()
expect.set_options(timeout=PATIENCE)

# Noted by the browser itself: when the state changed, and what moved on the page meanwhile.
NOTES: Final = """
window.changes = []; window.shifts = [];
new MutationObserver(() => {
  const { state } = document.documentElement.dataset;
  if (state && state !== window.changes.at(-1)?.state) window.changes.push({ state, at: Date.now() / 1000 });
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-state"] });
new PerformanceObserver((list) => {
  for (const { value, sources } of list.getEntries()) {
    const what = sources.map(({ node: n }) => n?.id || n?.className || n?.nodeName);
    window.shifts.push({ value, what: what.join() });
  }
}).observe({ type: "layout-shift", buffered: true });
"""


class Tab:
    """A page, with the gestures and the looks that every test needs."""

    def __init__(self, page: Page, sandbox: Sandbox, album: Path) -> None:
        self.page = page
        self.sandbox = sandbox
        self._album = album
        self.jumps: list[Any] = []

    def open(self, user: str) -> Tab:
        """Go to the demo page as this user."""
        self.page.goto(f"{self.sandbox.url}/?user={user}")
        self.page.wait_for_selector("html[data-state]", state="attached")
        self.page.wait_for_selector("#diagram svg")
        return self

    def see(self, state: str, words: str = "") -> None:
        """Wait, without a reload, until state, diagram and reason say so."""
        self.page.wait_for_selector(f"html[data-state={state}]", state="attached")
        self.page.wait_for_selector(f"#diagram g.state.current[data-state={state}]")
        expect(self.page.locator(".verdict")).to_contain_text(words)

    def click(self, name: str) -> None:
        """Click the button of this name, once the page is done with what was clicked before."""
        self.idle()
        self.page.get_by_role("button", name=name, exact=True).click()

    def idle(self) -> None:
        """Wait until nothing that was clicked is still being done."""
        self.page.wait_for_selector("[aria-busy=true]", state="detached")

    def portal(self, name: str) -> None:
        """Follow one of the user's actions to the portal."""
        self.click(name)
        self.page.wait_for_url("**/p/*")
        self.page.wait_for_selector(".group")

    def checkout(self, plan: str) -> None:
        """Begin a checkout."""
        self.click(f"Subscribe: {plan}")
        self.page.wait_for_url("**/c/*")
        self.page.wait_for_selector("#form:visible")

    def card(self, number: str) -> None:
        """Choose a test card."""
        self.page.locator(f"input[value='{number}']").check()

    def pay(self) -> float:
        """Press the checkout's button; return when the stand-in had answered."""
        with self.page.expect_response("**/pay") as answer:
            self.page.locator("#pay").click()
        assert answer.value.ok
        at = time.time()
        self.page.wait_for_url(f"{self.sandbox.url}/**")
        return at

    def subscribe(self, plan: str) -> None:
        """Do it all, with the card that works."""
        self.checkout(plan)
        self.card("4242424242424242")
        self.pay()

    def next_payment(self, outcome: str) -> None:
        """Pull the lever once the clock stands, and wait until the stand-in knows."""
        self.idle()
        with self.page.expect_response("**/next_payment"):
            self.page.locator(f"#next-payment input[value={outcome}]").check()

    def fits(self) -> None:
        """Nothing is wider than the screen."""
        width, room = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= room, f"{self.page.url} is {width} px wide on a screen of {room}"

    def shot(self, name: str) -> None:
        """Take a picture for human eyes."""
        self.note_jumps()
        self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=self._album / f"{name}.png", full_page=True, animations="disabled")
        # A full-page picture stretches the window, and the page with it: not a jump that anyone sees.
        self.page.wait_for_timeout(50)
        self.page.evaluate("window.shifts.length = 0")

    def note_jumps(self) -> None:
        """Keep what moved on the page since the last look."""
        self.jumps += self.page.evaluate("window.shifts.splice(0)")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path. Where there is none and we may, Debian's is installed."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    apt = shutil.which("apt-get")
    if apt is not None and os.geteuid() == 0:
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            quietly = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run([apt, *command], check=True, env=quietly, stdout=subprocess.DEVNULL)
        if found := shutil.which("chromium"):
            return found
    pytest.fail(f"the page's tests need a browser on PATH: {', '.join(NAMES)}; on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def window(chromium: str) -> Iterator[Browser]:
    """One browser for this module, and no longer: while Playwright is open, the thread counts as running a loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all tests; each has a user of its own."""
    with started(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Where the pictures go; the place is told at the end."""
    folder = tmp_path_factory.mktemp("screenshots")
    request.config.stash[ALBUM] = folder
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where the pictures are."""
    if folder := config.stash.get(ALBUM, None):
        terminalreporter.write_line(f"screenshots of the pages: {folder}")


OpenTab = Callable[..., Tab]


@pytest.fixture
def tab(window: Browser, sandbox: Sandbox, album: Path) -> Iterator[OpenTab]:
    """Open tabs. At the end: no error was logged, and nobody but the two servers was asked for anything."""
    faults: list[str] = []
    strangers: list[str] = []
    contexts: list[Any] = []

    def heard(message: ConsoleMessage) -> None:
        # A declined card is a 402, and Chromium logs each; that one is meant.
        if message.type in ("error", "warning") and "402 (Payment Required)" not in message.text:
            faults.append(f"{message.text} ({message.location.get('url')})")

    def asked(request: Request) -> None:
        if not request.url.startswith((sandbox.url + "/", sandbox.stripe_url + "/", "data:")):
            strangers.append(request.url)

    def open_tab(width: int = 1280, scheme: Any = "light") -> Tab:
        height = 844 if width < 600 else 800
        context = window.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(NOTES)
        contexts.append(context)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", asked)
        return Tab(page, sandbox, album)

    yield open_tab
    for context in contexts:
        context.close()
    assert not faults
    assert not strangers
