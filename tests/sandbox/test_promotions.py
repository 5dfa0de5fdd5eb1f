"""Promotion codes: what makes one active, whom it is for, and where that is said. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.api.sandbox.core.errors import StripeError
from interlock.api.sandbox.people import checkout as checkout_page
from tests.sandbox.bench import DAY, NOW, Bench

Obj = dict[str, Any]


def code(bench: Bench, coupon: Obj | None = None, **more: Any) -> Obj:
    """A promotion code for a tenth off."""
    made = bench.post("coupons", {"percent_off": 10, **(coupon or {})})
    return bench.post("promotion_codes", {"promotion": {"type": "coupon", "coupon": made["id"]}, **more})


def active(bench: Bench, promotion: Obj) -> bool:
    """What the code says of itself, where it is read and in the list."""
    said = bool(bench.get(f"promotion_codes/{promotion['id']}")["active"])
    listed = bench.get("promotion_codes", {"active": "true"})["data"]
    assert (promotion["id"] in [each["id"] for each in listed]) == said
    return said


@pytest.mark.parametrize(
    ("coupon", "more"),
    [({}, {"expires_at": NOW + DAY}), ({"redeem_by": NOW + DAY}, {})],
)
def test_expires(bench: Bench, coupon: Obj, more: Obj) -> None:
    """A code is active until its own date or its coupon's, and cannot be made active after."""
    promotion = code(bench, coupon, **more)
    bench.wait(DAY - 1)
    assert active(bench, promotion)
    bench.wait(1)
    assert not active(bench, promotion)
    bench.refuse(400, "POST", f"promotion_codes/{promotion['id']}", {"active": True})
    assert bench.get(f"coupons/{promotion['promotion']['coupon']}")["valid"] == (not coupon)


@pytest.mark.parametrize(("coupon", "more"), [({}, {"max_redemptions": 1}), ({"max_redemptions": 1}, {})])
def test_used_up(bench: Bench, coupon: Obj, more: Obj) -> None:
    """A code is active until its last redemption, or its coupon's."""
    promotion = code(bench, coupon, **more)
    given = [{"promotion_code": promotion["id"]}]
    bench.refuse(400, "POST", "subscriptions", {"customer": bench.customer()["id"], "discounts": given,
                                                "items": [{"price": "price_no"}]})  # fmt: skip
    assert active(bench, promotion)
    bench.subscribe(discounts=given)
    assert not active(bench, promotion)


def test_its_coupon_deleted(bench: Bench) -> None:
    """A code without its coupon is not active."""
    promotion = code(bench)
    bench.delete(f"coupons/{promotion['promotion']['coupon']}")
    assert not active(bench, promotion)


@pytest.mark.parametrize(
    ("more", "code_", "word"),
    [({"max_redemptions": 1}, None, "maximum number of times"), ({"expires_at": NOW + DAY}, None, "expired"),
     ({"active": False}, None, "not active"), ({"customer": "other"}, None, "another customer"),
     ({"restrictions": {"minimum_amount": 2001, "minimum_amount_currency": "usd"}}, None, "minimum amount"),
     ({"restrictions": {"minimum_amount": 1, "minimum_amount_currency": "eur"}}, None, "minimum amount"),
     ({"restrictions": {"first_time_transaction": True}}, "promotion_code_customer_not_first_time",
      "prior transactions")],
)  # fmt: skip
def test_refused(bench: Bench, more: Obj, code_: str | None, word: str) -> None:
    """What cannot be redeemed is refused where it is given: a session (with a trial too), a subscription, a change."""
    other, customer = bench.customer(), bench.customer()
    sub = bench.subscribe(customer)
    promotion = code(bench, **more | ({"customer": other["id"]} if "customer" in more else {}))
    given = {"discounts": [{"promotion_code": promotion["id"]}]}
    if "max_redemptions" in more:
        bench.subscribe(other, **given)
    bench.wait(DAY)
    page: Obj = {"mode": "subscription", "success_url": "x", "customer": customer["id"],
                 "line_items": [{"price": bench.price["id"], "quantity": 1}]} | given  # fmt: skip
    for path, params in (
        ("checkout/sessions", page),
        ("checkout/sessions", page | {"subscription_data": {"trial_period_days": 9}}),
        ("subscriptions", given | {"customer": customer["id"], "items": [{"price": bench.price["id"]}]}),
        (f"subscriptions/{sub['id']}", given),
    ):
        error = bench.refuse(400, "POST", path, params)
        assert (error["type"], error["param"]) == ("invalid_request_error", "discounts[0][promotion_code]")
        assert (error.get("code"), word in error["message"]) == (code_, True), error


def test_refused_on_the_page(bench: Bench) -> None:
    """Typed on the page too; what meets the minimum is taken, in a trial as well."""
    code(bench, code="MUCH", restrictions={"minimum_amount": 2001, "minimum_amount_currency": "usd"})
    code(bench, code="ENOUGH", restrictions={"minimum_amount": 2000, "minimum_amount_currency": "usd"})
    for trial in ({}, {"trial_period_days": 9}):
        session = bench.post("checkout/sessions", {
            "mode": "subscription", "success_url": "x", "line_items": [{"price": bench.price["id"], "quantity": 1}],
            "allow_promotion_codes": True, "subscription_data": trial})  # fmt: skip
        with pytest.raises(StripeError):
            bench.world.click(checkout_page.apply_promotion, session["id"], "MUCH")
        bench.world.click(checkout_page.apply_promotion, session["id"], "ENOUGH")
        assert bench.world.click(checkout_page.pay, session["id"], "4242424242424242")["status"] == "complete"


def test_off_an_invoice(bench: Bench) -> None:
    """An invoice of one's own takes discounts when it is made and as a draft, under the same conditions."""
    customer = bench.customer()["id"]
    small = code(bench, restrictions={"minimum_amount": 2000, "minimum_amount_currency": "usd"})["id"]
    bench.post("invoiceitems", {"customer": customer, "amount": 1000, "currency": "usd"})
    made: Obj = {"customer": customer, "pending_invoice_items_behavior": "include"}
    error = bench.refuse(400, "POST", "invoices", made | {"discounts": [{"promotion_code": small}]})
    assert error["param"] == "discounts[0][promotion_code]"
    bench.post("coupons", {"id": "ten", "percent_off": 10})
    bench.post("coupons", {"id": "half", "percent_off": 50})
    draft = bench.post("invoices", made | {"discounts": [{"coupon": "ten"}]})
    assert (draft["total"], len(draft["discounts"])) == (900, 1)
    path = f"invoices/{draft['id']}"
    assert bench.post(path, {"discounts": [{"coupon": "half"}]})["total"] == 500
    assert bench.post(path, {"description": "as before"})["total"] == 500
    assert bench.post(path, {"discounts": ""})["total"] == 1000


def test_an_expired_coupon(bench: Bench) -> None:
    """A coupon past its date is refused by a session as it is by a subscription."""
    bench.post("coupons", {"id": "old", "percent_off": 10, "redeem_by": NOW + DAY})
    bench.wait(DAY)
    page: Obj = {
        "mode": "subscription",
        "success_url": "x",
        "line_items": [{"price": bench.price["id"], "quantity": 1}],
    }
    error = bench.refuse(400, "POST", "checkout/sessions", page | {"discounts": [{"coupon": "old"}]})
    assert (error["code"], error["message"]) == ("coupon_expired", "Coupon expired: old")
