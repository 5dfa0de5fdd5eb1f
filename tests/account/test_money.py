"""Invoices and payment methods over HTTP, read through from the stand-in, on both databases."""

from __future__ import annotations

import httpx

from tests.account.conftest import Desk, Holder


def test_invoices_are_listed_with_links_that_last(desk: Desk, holder: Holder) -> None:
    """logto#4563: Stripe's links die, ours don't; a listed link opens without a token, a forged one does not."""
    holder.subscribe_to("pro")
    holder.renewal(hours=2)
    page = holder.ask("GET", "/invoices?limit=1")
    (newest,) = page["items"]
    assert (newest["status"], newest["total"], newest["due"], newest["plan"]) == ("paid", 2000, 0, "pro")
    rest = holder.ask("GET", f"/invoices?after={page['next']}")
    assert len(rest["items"]) == 1
    assert rest["next"] is None
    for kind in ("page", "pdf"):
        opened = desk.service.client.get(newest[kind])
        assert opened.status_code == 303
        assert opened.headers["Location"].startswith("http")
        assert httpx.get(opened.headers["Location"]).status_code == 200
    forged = newest["page"].replace("signature=", "signature=0")
    assert desk.service.client.get(forged).status_code == 404
    assert holder.ask("GET", f"/invoices/{newest['id']}/page", headers={"Accept": "application/json"})["url"]
    assert desk.service.client.get(f"/invoices/{newest['id']}/page").status_code == 401


def test_another_users_invoice_is_not_there(desk: Desk, holder: Holder) -> None:
    """Nobody reads, opens or pays what is not theirs."""
    holder.subscribe_to("pro")
    other = Holder(desk, f"{holder.user}_other", wait=False)
    other.subscribe_to("pro")
    (theirs,) = holder.ask("GET", "/invoices")["items"]
    for method, path in (("GET", "page"), ("GET", "pdf"), ("POST", "pay")):
        assert other.refused(method, f"/invoices/{theirs['id']}/{path}") == (404, "not_found")
    assert other.refused("GET", f"/invoices?after={theirs['id']}") == (404, "not_found")
    (card,) = holder.ask("GET", "/payment-methods")["items"]
    assert other.refused("POST", f"/payment-methods/{card['id']}/default") == (404, "not_found")
    assert other.refused("DELETE", f"/payment-methods/{card['id']}") == (404, "not_found")


def test_what_comes_next_is_told(holder: Holder) -> None:
    """fxa#19503: the next invoice is Stripe's own preview, and none comes to who has cancelled."""
    assert holder.call("GET", "/invoices/upcoming").status_code == 204
    holder.subscribe_to("pro")
    assert holder.ask("GET", "/invoices/upcoming")["next"]["amount"] == 2000
    holder.ask("POST", "/subscription/cancel", {})
    assert holder.call("GET", "/invoices/upcoming").status_code == 204


def test_a_failed_invoice_is_paid_with_another_card(holder: Holder) -> None:
    """woocommerce-payments#7037: a new default card pays what is open, and both of Stripe's defaults are it."""
    holder.subscribe_to("pro")
    holder.card("pm_card_chargeCustomerFail")
    holder.renewal()
    holder.until(lambda state: state["state"] == "past_due")
    (open_one,) = [each for each in holder.ask("GET", "/invoices")["items"] if each["status"] == "open"]
    assert open_one["due"] == 2000
    refused = holder.ask("POST", f"/invoices/{open_one['id']}/pay", None, 409)
    assert refused["code"] == "payment_method_required"
    assert refused["url"]
    good = holder.v1.payment_methods.attach("pm_card_mastercard", {"customer": holder.customer}).id
    state = holder.ask("POST", f"/payment-methods/{good}/default")
    assert state["state"] == "active"
    assert holder.sub.default_payment_method == good
    methods = holder.ask("GET", "/payment-methods")["items"]
    assert [method["id"] for method in methods if method["default"]] == [good]
    assert methods[0]["brand"] == "mastercard"


def test_the_last_card_of_a_living_subscription_stays(holder: Holder) -> None:
    """Stripe would let it go, and the next renewal would fail."""
    holder.subscribe_to("pro")
    (card,) = holder.ask("GET", "/payment-methods")["items"]
    assert card["last4"] == "4242"
    assert card["default"]
    assert not card["expires_before_renewal"]
    assert holder.refused("DELETE", f"/payment-methods/{card['id']}") == (409, "in_use")
    second = holder.v1.payment_methods.attach("pm_card_mastercard", {"customer": holder.customer}).id
    holder.ask("DELETE", f"/payment-methods/{second}")
    assert [one["id"] for one in holder.ask("GET", "/payment-methods")["items"]] == [card["id"]]


def test_a_card_is_added_on_a_page_or_in_a_form(holder: Holder) -> None:
    """A page of Stripe's, or the secret for a form of one's own; without a customer there is nothing to add to."""
    assert holder.refused("POST", "/payment-methods") == (409, "no_customer")
    holder.subscribe_to("pro")
    assert holder.ask("POST", "/payment-methods", None, 201)["url"].startswith("http")
    assert "_secret_" in holder.ask("POST", "/payment-methods", {"ui": "embedded"}, 201)["client_secret"]
