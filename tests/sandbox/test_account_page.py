"""What an account page needs of Stripe: cards set up and taken away, invoices paid and shown, a pause, limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from interlock.api.sandbox.core.errors import StripeError
from interlock.api.sandbox.people import checkout
from tests.sandbox.bench import DAY, Bench, S
from tests.sandbox.live import Live
from tests.sandbox.test_meters import meter, send
from tests.sandbox.test_meters import price as metered

Obj = dict[str, Any]


def setup(bench: Bench, customer: Obj | None = None) -> Obj:
    """A Checkout session that only saves a card."""
    given: Obj = {"mode": "setup", "currency": "usd", "success_url": "http://app/ok?s={CHECKOUT_SESSION_ID}"}
    return bench.post("checkout/sessions", given | ({"customer": customer["id"]} if customer else {}))


@pytest.mark.parametrize("guest", [False, True])
def test_setup_mode(bench: Bench, guest: bool) -> None:
    """A card is set up on the page and attached; it becomes no default, and nothing is charged."""
    customer = None if guest else bench.customer(None)
    session = setup(bench, customer)
    bench.news()
    done = bench.world.click(checkout.pay, session["id"], "4242424242424242", "a@example.com")
    assert done["redirect"] == f"http://app/ok?s={session['id']}"
    session = bench.get(f"checkout/sessions/{session['id']}")
    assert (session["status"], session["payment_status"], session["subscription"]) == (
        "complete", "no_payment_required", None)  # fmt: skip
    intent = bench.get(f"setup_intents/{session['setup_intent']}")
    assert (intent["status"], intent["customer"]) == ("succeeded", session["customer"])
    saved = bench.get(f"customers/{session['customer']}/payment_methods")["data"]
    assert [each["id"] for each in saved] == [intent["payment_method"]]
    assert bench.get(f"customers/{session['customer']}")["invoice_settings"]["default_payment_method"] is None
    told = bench.told("payment_method.", "setup_intent.", "checkout.")
    assert told == ["payment_method.attached", "setup_intent.succeeded", "checkout.session.completed"]


def test_setup_mode_with_3ds(bench: Bench) -> None:
    """3-D Secure comes between; the session's intent is canceled by expiring the session alone; declines are 402."""
    session = setup(bench, bench.customer(None))
    assert bench.world.click(checkout.pay, session["id"], "4000002500003155") == {"status": "requires_action"}
    assert bench.world.click(checkout.authenticate, session["id"], True)["status"] == "complete"
    other = setup(bench, bench.customer(None))
    bench.refuse(400, "POST", f"setup_intents/{other['setup_intent']}/cancel")
    for card in ("4000000000000002", ""):
        with pytest.raises(StripeError) as refused:
            bench.world.click(checkout.pay, other["id"], card)
        assert refused.value.status == 402
    assert bench.post(f"checkout/sessions/{other['id']}/expire")["status"] == "expired"


def test_defaults_and_detach(bench: Bench) -> None:
    """The subscription's card goes before the customer's; a card that is detached is nobody's default any more."""
    customer = bench.customer()
    other = bench.post("payment_methods/pm_card_mastercard/attach", {"customer": customer["id"]})["id"]
    sub = bench.subscribe(customer, default_payment_method=other)
    (first, second) = bench.get("payment_methods", {"customer": customer["id"], "type": "card"})["data"]
    assert first["id"] == other
    bench.news()
    gone = bench.post(f"payment_methods/{other}/detach")
    assert (gone["customer"], bench.sub(sub)["default_payment_method"]) == (None, None)
    assert bench.told("payment_method.", S) == [S + "updated", "payment_method.detached"]
    default = bench.get(f"customers/{customer['id']}")["invoice_settings"]["default_payment_method"]
    assert default == second["id"]
    bench.refuse(400, "POST", f"payment_methods/{other}/detach")


def test_paying_an_open_invoice(bench: Bench) -> None:
    """Setting a default pays nothing; another card does; what is paid or void is refused in Stripe's words."""
    sub = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"))
    path = f"invoices/{sub['latest_invoice']}"
    card = bench.post("payment_methods/pm_card_visa/attach", {"customer": sub["customer"]})["id"]
    bench.post(f"customers/{sub['customer']}", {"invoice_settings": {"default_payment_method": card}})
    assert bench.get(path)["status"] == "open"
    assert bench.refuse(402, "POST", f"{path}/pay", {"payment_method": _failing(bench, sub)})["code"] == "card_declined"
    assert bench.post(f"{path}/pay", {"payment_method": card})["status"] == "paid"
    assert bench.refuse(400, "POST", f"{path}/pay")["message"] == "Invoice is already paid"
    other = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"))["latest_invoice"]
    assert bench.post(f"invoices/{other}/void")["status"] == "void"
    error = bench.refuse(400, "POST", f"invoices/{other}/pay")
    assert error["message"] == "You can only pass in open invoices. This invoice isn't open."


def _failing(bench: Bench, sub: Obj) -> str:
    owned = bench.get("payment_methods", {"customer": sub["customer"]})["data"]
    return str(owned[-1]["id"])


def test_pause_and_resume(bench: Bench) -> None:
    """A pause bills what was used and credits the rest; only a paused subscription is resumed (recorded)."""
    of, customer = meter(bench), bench.customer()
    items = [{"price": bench.price["id"]}, {"price": metered(bench, of, unit_amount=10)}]
    sub = bench.post("subscriptions", {"customer": customer["id"], "items": items})
    path = f"subscriptions/{sub['id']}"
    error = bench.refuse(400, "POST", f"{path}/resume")
    assert error["message"] == "You can only resume a subscription if it is `paused`."
    send(bench, customer, "7")
    start, end = (sub["items"]["data"][0][f"current_period_{x}"] for x in ("start", "end"))
    bench.until((start + end) // 2)
    assert bench.post(f"{path}/pause", {"type": "subscription"})["status"] == "paused"
    assert sorted(item["amount"] for item in bench.get("invoiceitems", {"pending": True})["data"]) == [-1000, 70]
    bench.post(f"{path}/resume", {"billing_cycle_anchor": {"type": "now"}})
    assert (bench.status(sub), bench.latest(sub)["total"]) == ("active", 2000 - 1000 + 70)


def test_limits(bench: Bench) -> None:
    """Where the account asks for it: ten invoices a minute, twenty a day, two hundred quantities an hour."""
    bench.world.account["limits"] = True
    sub = bench.subscribe()
    change: Obj = {"items": [{"id": sub["items"]["data"][0]["id"]}], "proration_behavior": "always_invoice"}
    path = f"/v1/subscriptions/{sub['id']}"

    def bump(quantity: int, **more: Any) -> int:
        change["items"][0]["quantity"] = quantity
        answer = bench.world.request("POST", path, change | more)
        if answer.status == 429:
            assert answer.headers["stripe-rate-limited-reason"] == "resource-specific"
        return answer.status

    assert [bump(n) for n in range(2, 13)] == [200] * 10 + [429]
    bench.wait(61)
    assert [bump(n) for n in range(12, 23)] == [200] * 10 + [429]
    bench.wait(DAY)
    assert bump(23) == 200
    assert [bump(n, proration_behavior="none") for n in range(24, 224)] == [200] * 199 + [429]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """A stand-in that really serves."""
    running = Live()
    yield running
    running.close()


def test_pages_of_an_invoice(live: Live) -> None:
    """`hosted_invoice_url` shows a page and `invoice_pdf` a PDF that says what it is for; a draft has neither."""
    v1 = live.stripe.v1
    customer = v1.customers.create({"name": "Ada (née Byron)"}).id
    v1.invoice_items.create({"customer": customer, "amount": 1234, "currency": "usd", "description": "A thing"})
    draft = v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include",
                                "auto_advance": False})  # fmt: skip
    assert (draft.hosted_invoice_url, draft.invoice_pdf) == (None, None)
    made = v1.invoices.finalize_invoice(str(draft.id))
    assert made.hosted_invoice_url is not None
    assert made.invoice_pdf is not None
    assert httpx.get(made.hosted_invoice_url, trust_env=False).status_code == 200
    file = httpx.get(made.invoice_pdf, trust_env=False)
    body = file.content
    assert (file.headers["content-type"], body[:5], body[-6:]) == ("application/pdf", b"%PDF-", b"%%EOF\n")
    text = body.decode("cp1252")
    for said in ("A thing: 12.34 USD", "Amount due: 12.34 USD", r"Ada \(née Byron\)", str(made.number)):
        assert said in text
    places = [int(each) for each in re.findall(rb"(\d{10}) 00000 n", body)]
    assert all(body[place:].startswith(b"%d 0 obj" % n) for n, place in enumerate(places, 1))
    table = re.search(rb"startxref\n(\d+)", body)
    assert table is not None
    assert body[int(table[1]) :].startswith(b"xref")
    assert httpx.get(f"{live.url}/i/in_none/pdf", trust_env=False).status_code == 404
