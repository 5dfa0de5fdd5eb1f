"""The demo page and the stand-in's pages, by a real browser: what a newcomer does, and what they must see.

All tests share one sandbox and its clock.  Those that let months pass come first: each later month would also
bring the renewals of every user of the tests before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from interlock.api.sandbox.core.outbox import KINDS
from tests.kit.settings import ROOT
from tests.pages.conftest import OpenTab, Tab
from tests.sandbox.command import Sandbox

WORKS: Final = "4242424242424242"
DECLINED: Final = "4000000000000002"
NO_FUNDS: Final = "4000000000009995"
ASKS_THE_BANK: Final = "4000002760003184"
PAGES: Final = (ROOT / "api" / "demo" / "page", ROOT / "api" / "sandbox" / "http" / "pages")


def test_a_whole_life_moves_the_page_without_reload(tab: OpenTab) -> None:
    """From trial to canceled, each step is seen within a second of its cause, and nothing on the page jumps."""
    seen, hands = tab(), tab()
    seen.open("life").see("none", "Access: no.")
    hands.open("life")
    seen.page.evaluate("window.unloaded = 'never'")
    seen.shot("1 nothing yet")

    hands.checkout("Pro")
    hands.shot("2 checkout")
    hands.card(WORKS)
    paid_at = hands.pay()
    seen.see("trialing", "The trial is running.")
    moved_at = seen.page.evaluate("window.changes.at(-1).at")
    assert moved_at - paid_at < 1, "the state must move within a second of the payment"
    expect(seen.page.locator("#ledger")).to_contain_text("start_trial none → trialing")
    seen.shot("3 trialing")

    seen.click("To trial end")
    seen.see("active", "The current period is paid.")
    seen.shot("4 active")

    seen.next_payment("fail")
    seen.click("To period end")
    seen.see("past_due", "Access: yes. A payment failed, and the grace period is running.")
    seen.page.wait_for_selector("#diagram g.edge.taken[data-trigger=fail_payment]")
    seen.shot("5 past due")

    hands.portal("Update card")
    hands.shot("6 update card")
    hands.card(WORKS)
    hands.click("Save card")
    seen.see("active", "The current period is paid.")
    hands.page.wait_for_url(f"{hands.sandbox.url}/**")

    hands.portal("Cancel")
    hands.shot("7 cancel")
    hands.click("Cancel subscription")
    seen.see("active", "It will end, and is paid until then.")
    expect(seen.page.locator("#fact-cancel")).not_to_have_text("–")
    seen.shot("8 ending")
    hands.page.wait_for_url(f"{hands.sandbox.url}/**")

    hands.portal("Resume")
    hands.click("Don’t cancel")
    seen.see("active", "The current period is paid.")
    hands.shot("9 resumed in the portal")
    hands.page.get_by_role("link", name="Back").click()

    hands.portal("Cancel")
    hands.page.get_by_label("Now, for good").check()
    hands.click("Cancel subscription")
    seen.see("canceled", "Access: no. The subscription has ended.")
    expect(seen.page.get_by_role("button", name="Subscribe: Pro")).to_be_enabled()
    seen.shot("10 canceled")

    assert seen.page.evaluate("window.unloaded") == "never"
    states = [change["state"] for change in seen.page.evaluate("window.changes")]
    assert states == ["none", "trialing", "active", "past_due", "active", "canceled"]
    seen.note_jumps()
    assert sum(jump["value"] for jump in seen.jumps) < 0.02, f"the page jumped: {seen.jumps}"


def test_the_invoice_page_pays_what_is_open(tab: OpenTab) -> None:
    """A bill that failed can be paid on its hosted page, and the machine recovers."""
    one = tab()
    one.open("bill").subscribe("Starter")
    one.see("active")
    one.next_payment("fail")
    one.click("To period end")
    one.see("past_due")
    one.portal("Billing portal")
    one.page.get_by_role("link", name="View").first.click()
    one.page.wait_for_url("**/i/*")
    one.card(DECLINED)
    one.page.locator("#pay").click()
    expect(one.page.locator("#error")).to_contain_text("Your card was declined.")
    one.shot("invoice declined")
    one.card(WORKS)
    one.page.locator("#pay").click()
    expect(one.page.get_by_role("heading", name="Paid")).to_be_visible()
    one.open("bill").see("active", "The current period is paid.")


@pytest.fixture
def mischief(sandbox: Sandbox) -> Iterator[tuple[str, ...]]:
    """The kinds of mischief to switch on; all are off again afterwards, whatever came of it."""
    yield ("Duplicate", "Twin", "Reorder", "Delay")
    sandbox.panel("mischief", dict.fromkeys(KINDS, 0))
    left = sandbox.panel("state")["mischief"]
    assert not any(left[kind] for kind in KINDS), left


def test_mischief_leaves_the_state_right(tab: OpenTab, sandbox: Sandbox, mischief: tuple[str, ...]) -> None:
    """With webhooks doubled, twinned, reordered and delayed, the page ends at what the stand-in says is true."""
    one = tab()
    one.open("storm").subscribe("Starter")
    one.see("active")
    for kind in mischief:
        one.page.get_by_label(kind).check()
    one.click("To period end")
    one.next_payment("fail")
    one.click("To period end")
    one.click("+1 day")
    one.click("Send the last event again")
    assert sandbox.truth("storm") == "past_due"
    one.see("past_due")
    one.shot("mischief")
    one.next_payment("succeed")
    one.click("+1 week")
    one.click("+1 day")
    assert sandbox.truth("storm") == "active"
    one.see("active")
    expect(one.page.locator("#tally")).to_contain_text("duplicates recognised")
    told = str(one.page.locator("#tally").text_content())
    events, deliveries, duplicates = map(int, re.findall(r"\d+", told))
    assert duplicates >= deliveries - events > 0, told


def test_duplicates_are_counted_beneath_the_decisions(tab: OpenTab) -> None:
    """A duplicate is no decision, yet it is seen: how often webhooks came, how many were recognised; nothing jumps."""
    one = tab()
    one.open("twice").subscribe("Starter")
    one.see("active")
    tally = one.page.locator("#tally")
    expect(tally).to_have_text(re.compile(r"^(\d+) events in \1 deliveries: each came once\.$"))
    boxes = "[...document.querySelectorAll('.ledger, #tally')].map((each) => [each.offsetTop, each.offsetHeight])"
    before = one.page.evaluate(boxes)
    one.click("Send the last event again")
    expect(tally).to_have_text(re.compile(r"^\d+ events in \d+ deliveries: 1 duplicate recognised\.$"))
    assert one.page.evaluate(boxes) == before
    one.page.locator("#user").select_option("bob")
    expect(tally).to_have_text("Each event is decided once, however often it comes.")


def test_the_checkout_says_what_went_wrong(tab: OpenTab) -> None:
    """Declined cards and a bank that says no are told in words, buy nothing, and leave the way open."""
    one = tab()
    one.open("cards").see("none")
    one.checkout("Starter")
    address = one.page.url
    for card, words in ((DECLINED, "Your card was declined."), (NO_FUNDS, "Your card has insufficient funds.")):
        one.card(card)
        one.page.locator("#pay").click()
        expect(one.page.locator("#error")).to_contain_text(words)
    one.shot("checkout declined")
    one.card(ASKS_THE_BANK)
    one.page.locator("#pay").click()
    expect(one.page.get_by_role("dialog", name="3-D Secure")).to_be_visible()
    one.shot("checkout 3-D Secure")
    one.click("Fail authentication")
    expect(one.page.locator("#error")).to_contain_text("unable to authenticate")
    one.page.locator("#pay").click()
    one.click("Complete authentication")
    one.page.wait_for_url(f"{one.sandbox.url}/**")
    one.see("active", "Access: yes.")

    one.page.goto(address)
    expect(one.page.get_by_role("heading", name="This checkout is done")).to_be_visible()
    one.shot("checkout done")


def test_an_old_checkout_says_so(tab: OpenTab, sandbox: Sandbox) -> None:
    """A session that expired has words for it and a way back, and no button to pay."""
    one = tab()
    one.open("late").checkout("Pro")
    sandbox.panel("clock/advance", {"seconds": 2 * 86_400})
    one.page.reload()
    expect(one.page.get_by_role("heading", name="This checkout has expired")).to_be_visible()
    expect(one.page.locator("#pay")).to_be_hidden()
    one.page.get_by_role("link", name="Go back").click()
    one.see("none")


def test_each_user_sees_only_their_own(tab: OpenTab) -> None:
    """Another user's page is empty, and after the switch no click acts for the one before."""
    one = tab()
    one.open("alice").subscribe("Starter")
    one.see("active")
    one.page.locator("#user").select_option("bob")
    one.see("none", "There is no subscription yet.")
    expect(one.page.locator("#ledger tr")).to_have_count(0)
    one.page.locator("#user").select_option("alice")
    one.click("Cancel")
    one.page.wait_for_url("**/p/*")


def test_a_keyboard_is_enough(tab: OpenTab) -> None:
    """From the first Tab to a running trial without a mouse."""
    one = tab()
    one.open("keys").see("none")
    _tab_to(one, "Subscribe: Pro")
    outline = one.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus must be seen"
    one.page.keyboard.press("Enter")
    one.page.wait_for_selector("#form:visible")
    _tab_to(one, "4242 4242 4242 4242")
    one.page.keyboard.press("ArrowDown")
    one.page.keyboard.press("ArrowUp")
    _tab_to(one, "Start trial")
    one.page.keyboard.press("Enter")
    one.page.wait_for_url(f"{one.sandbox.url}/**")
    one.see("trialing")


def _tab_to(one: Tab, name: str) -> None:
    """Press Tab until the focus is on what has this name."""
    for _ in range(30):
        one.page.keyboard.press("Tab")
        focused = one.page.evaluate(
            "(({ ariaLabel, labels, textContent }) => ariaLabel ?? labels?.[0]?.textContent ?? textContent)"
            "(document.activeElement)"
        )
        if str(focused).startswith(name):
            return
    pytest.fail(f"no Tab leads to {name!r}")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "dark")])
def test_every_page_fits(tab: OpenTab, width: int, scheme: str) -> None:
    """On a phone and on a desk, by day and by night, nothing needs scrolling sideways; pictures are taken."""
    user = f"fits-{scheme}-{width}"
    one = tab(width, scheme)
    one.open(user)
    _fits(one, f"{user} none")
    one.checkout("Pro")
    _fits(one, f"{user} checkout")
    one.card(WORKS)
    one.pay()
    one.see("trialing")
    _fits(one, f"{user} trialing")
    one.portal("Billing portal")
    _fits(one, f"{user} portal")
    one.click("Update card")
    _fits(one, f"{user} portal card")
    one.click("Not now")
    one.page.get_by_role("link", name="View").first.click()
    one.page.wait_for_url("**/i/*")
    expect(one.page.get_by_role("heading", name="Paid")).to_be_visible()
    _fits(one, f"{user} invoice")


def _fits(one: Tab, name: str) -> None:
    one.fits()
    one.shot(name)


def test_only_listed_files_are_served(sandbox: Sandbox, tab: OpenTab) -> None:
    """The page's files are a closed list, and its policy lets it run and call only what it must."""
    one = tab()
    for name in ("demo.html", "__init__.py", "..%2f__init__.py", "nothing.js"):
        assert one.page.request.get(f"{sandbox.url}/assets/{name}").status == 404
    policy = one.page.request.get(f"{sandbox.url}/").headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert f"connect-src 'self' {sandbox.stripe_url};" in policy


@pytest.mark.parametrize("path", ["diagrams", "schema"])
def test_the_pages_for_developers_ask_for_nothing_more(tab: OpenTab, sandbox: Sandbox, path: str) -> None:
    """Nothing is asked for but the page, no icon either, and the icon that it brings is a picture its policy allows."""
    one = tab()
    asked: list[str] = []
    one.page.on("request", lambda request: asked.append(request.url))
    one.page.goto(f"{sandbox.url}/{path}", wait_until="networkidle")
    assert [url for url in asked if not url.startswith("data:")] == [f"{sandbox.url}/{path}"]
    width = one.page.evaluate(
        "(async () => { const icon = new Image(); icon.src = document.querySelector('link[rel=icon]').href; "
        "await icon.decode(); return icon.width; })()"
    )
    assert width > 0
    one.shot(path)


@pytest.mark.parametrize("path", [path for folder in PAGES for path in sorted(folder.iterdir())], ids=lambda p: p.name)
def test_a_file_stays_small_and_safe(path: Path) -> None:
    """No file grows beyond reading, writes data as HTML, carries inline script or style, or names another host."""
    if path.suffix not in (".html", ".css", ".js"):
        return
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 300
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", text) or path.suffix != ".html"
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
