"""What the stand-in refuses, and how: types, bounds, what Stripe has and it has not. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.api.sandbox.core.errors import StripeError
from interlock.api.sandbox.people import checkout as checkout_page
from interlock.api.sandbox.people import portal as portal_page
from tests.sandbox.bench import DAY, NOW, Bench

Obj = dict[str, Any]


# -- types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "params", "param"),
    [("customers", {"metadata": "x"}, "metadata"),
     ("products", {"name": "x", "metadata": "x"}, "metadata"),
     ("subscriptions", {"metadata": "x"}, "metadata"),
     ("subscriptions", {"cancel_at": "month"}, "cancel_at"),
     ("subscriptions", {"billing_cycle_anchor": "99999999999999"}, "billing_cycle_anchor"),
     ("subscriptions", {"trial_end": "99999999999999999999"}, "trial_end"),
     ("subscriptions", {"trial_period_days": "1_0"}, "trial_period_days"),
     ("coupons", {"percent_off": "nan"}, "percent_off"),
     ("invoiceitems", {"unit_amount_decimal": "much"}, "unit_amount_decimal"),
     ("invoiceitems", {"period": {"start": "1"}}, "period[end]"),
     ("prices", {"currency": "usd", "unit_amount": "1", "product_data": {"name": "x"},
                 "recurring": {"interval": "month", "interval_count": "0"}}, "recurring[interval_count]"),
     ("test_helpers/test_clocks", {"frozen_time": "99999999999999"}, "frozen_time")],
)  # fmt: skip
def test_types(bench: Bench, path: str, params: Obj, param: str) -> None:
    """A value that is not of its parameter's type, or that is no date, is a 400 that names the parameter."""
    error = bench.refuse(400, "POST", path, params)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_types_where_the_handler_knows_them(bench: Bench) -> None:
    """Charges and legacy sources are checked like everything else; so is an item that is to be deleted."""
    assert bench.refuse(400, "GET", "charges", {"limit": "abc"})["code"] == "parameter_invalid_integer"
    path = f"customers/{bench.customer()['id']}/sources"
    assert bench.refuse(400, "POST", path, {"source": {"a": "b"}})["param"] == "source"
    card = bench.post(path, {"source": "tok_visa"})["id"]
    assert bench.refuse(400, "POST", f"{path}/{card}", {"exp_month": "May"})["param"] == "exp_month"
    assert bench.post(f"{path}/{card}", {"exp_month": "5"})["exp_month"] == 5
    sub = bench.subscribe()
    path = f"subscriptions/{sub['id']}"
    assert bench.refuse(400, "POST", path, {"items": [{"deleted": True}]})["param"] == "items[0][id]"
    item = {"id": sub["items"]["data"][0]["id"], "quantity": -1}
    assert bench.refuse(400, "POST", path, {"items": [item]})["param"] == "items[0][quantity]"


def test_types_of_a_page(bench: Bench) -> None:
    """A page's JSON is checked by what its action takes: text is no number, a truth neither, nor is a fraction."""
    customer = bench.customer()
    sub = bench.subscribe(customer)["id"]
    id_ = bench.post("billing_portal/sessions", {"customer": customer["id"]})["id"]
    for price, quantity in ((None, "2"), (["x"], None), (None, 1.5), (None, True), (None, 1e20), (None, 10**20)):
        with pytest.raises(StripeError) as refused:
            bench.world.click(portal_page.update, id_, sub, price, quantity)
        assert refused.value.status == 400
    with pytest.raises(StripeError) as refused:
        bench.world.click(checkout_page.pay, "cs_test_no", 5)
    assert refused.value.status == 400


# -- what Stripe has and the sandbox has not -----------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "param"),
    [({"default_tax_rates": ["txr_1"]}, "default_tax_rates"),
     ({"transfer_data": {"destination": "acct_1"}}, "transfer_data"),
     ({"billing_thresholds": {"amount_gte": "500"}}, "billing_thresholds"),
     ({"application_fee_percent": "10"}, "application_fee_percent"),
     ({"backdate_start_date": "1790000000"}, "backdate_start_date"),
     ({"on_behalf_of": "acct_1"}, "on_behalf_of"),
     ({"pending_invoice_item_interval": {"interval": "month"}}, "pending_invoice_item_interval"),
     ({"billing_cycle_anchor_config": {"day_of_month": "1"}}, "billing_cycle_anchor_config"),
     ({"billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "itemized"}}},
      "billing_mode[flexible][proration_discounts]"),
     ({"items": [{"price": "price_x", "tax_rates": ["txr_1"]}]}, "items[0][tax_rates]")],
)  # fmt: skip
def test_not_here(bench: Bench, given: Obj, param: str) -> None:
    """A parameter of Stripe's that would be taken and not done is refused by name, in Stripe's shape."""
    sub = bench.subscribe()
    places = {"subscriptions": {"customer": sub["customer"], "items": [{"price": bench.price["id"]}]} | given}
    if not param.startswith(("backdate_start_date", "billing_cycle_anchor_config", "billing_mode")):  # on create alone
        places[f"subscriptions/{sub['id']}"] = given
    for path, params in places.items():
        error = bench.refuse(400, "POST", path, params)
        assert (error["type"], error["param"]) == ("invalid_request_error", param)
        assert "the sandbox does not have" in error["message"]
    assert bench.sub(sub) == sub


def test_not_here_elsewhere(bench: Bench) -> None:
    """So too in a checkout session's subscription, and an invoice."""
    base: Obj = {
        "mode": "subscription",
        "success_url": "x",
        "line_items": [{"price": bench.price["id"], "quantity": 1}],
    }
    connected = base | {"subscription_data": {"transfer_data": {"destination": "acct_1"}}}
    assert bench.refuse(400, "POST", "checkout/sessions", connected)["param"] == "subscription_data[transfer_data]"
    invoice = {"customer": bench.customer()["id"], "default_tax_rates": ["txr_1"]}
    assert bench.refuse(400, "POST", "invoices", invoice)["param"] == "default_tax_rates"


def test_harmless(bench: Bench) -> None:
    """To say no to what is not there, or to unset it, is taken."""
    sub = bench.subscribe(automatic_tax={"enabled": "false"}, default_tax_rates="", pending_invoice_item_interval="")
    bench.post(f"subscriptions/{sub['id']}", {"automatic_tax": {"enabled": False}, "billing_thresholds": ""})


def test_currencies(bench: Bench) -> None:
    """All that one subscription or session bills is of one currency, the one that is asked for."""
    other = bench.post("prices", {"product": bench.price["product"], "currency": "eur", "unit_amount": 5,
                                  "recurring": {"interval": "month"}})["id"]  # fmt: skip
    sub, mine = bench.subscribe(), bench.price["id"]
    owner, page = {"customer": sub["customer"]}, {"mode": "subscription", "success_url": "x"}
    for path, params, param in (
        ("subscriptions", owner | {"items": [{"price": mine}], "currency": "eur"}, "items[0][price]"),
        ("subscriptions", owner | {"items": [{"price": mine}, {"price": other}]}, "items[1][price]"),
        (f"subscriptions/{sub['id']}", {"items": [{"price": other}]}, "items[0][price]"),
        (
            "checkout/sessions",
            page | {"line_items": [{"price": mine, "quantity": 1}], "currency": "eur"},
            "line_items[0][price]",
        ),
        ("invoiceitems", owner | {"pricing": {"price": mine}, "currency": "eur"}, "pricing[price]"),
    ):
        error = bench.refuse(400, "POST", path, params)
        assert (error["param"], "expected currency" in error["message"]) == (param, True), error
    bench.subscribe(currency="usd")


# -- unset by an empty string ------------------------------------------------------------------------


def test_what_is_unset_has_the_shape_of_nothing(bench: Bench) -> None:
    """An empty string unsets: to null, to an empty list, to a field that is not there; a product's name never."""
    product = bench.post("products", {"name": "x", "images": ["https://a.example/a.png"], "description": "x"})
    changed = bench.post(f"products/{product['id']}", {"images": "", "description": ""})
    assert (changed["images"], changed["description"]) == ([], None)
    assert bench.refuse(400, "POST", f"products/{product['id']}", {"name": ""})["param"] == "name"
    customer = bench.post("customers", {"name": "x", "business_name": "x"})
    changed = bench.post(f"customers/{customer['id']}", {"name": "", "business_name": ""})
    assert (changed["name"], "business_name" in changed) == (None, False)


def test_a_portal_feature_keeps_what_is_not_given(bench: Bench) -> None:
    """One field of one feature is changed, and the others stay as they were."""
    cancel = {"enabled": True, "mode": "immediately", "cancellation_reason": {"enabled": True, "options": ["unused"]}}
    made = bench.post("billing_portal/configurations", {"features": {"subscription_cancel": cancel}})
    path = f"billing_portal/configurations/{made['id']}"
    changed = bench.post(path, {"features": {"subscription_cancel": {"cancellation_reason": {"enabled": False}}}})
    assert changed["features"]["subscription_cancel"] == made["features"]["subscription_cancel"] | {
        "cancellation_reason": {"enabled": False, "options": ["unused"]}
    }


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "param"),
    [({"trial_period_days": "-3"}, "trial_period_days"), ({"trial_period_days": "731"}, "trial_period_days"),
     ({"trial_period_days": "99999999999"}, "trial_period_days"),
     ({"trial_end": NOW + 731 * DAY}, "trial_end"), ({"trial_end": NOW}, "trial_end"),
     ({"cancel_at": NOW + 6 * 366 * DAY}, "cancel_at"), ({"cancel_at": NOW - DAY}, "cancel_at"),
     ({"billing_cycle_anchor": NOW + 40 * DAY}, "billing_cycle_anchor"),
     ({"billing_cycle_anchor": NOW - DAY}, "billing_cycle_anchor")],
)  # fmt: skip
def test_bounds(bench: Bench, given: Obj, param: str) -> None:
    """A trial is at most 730 days, a date is in the future and not too far, an anchor within the first period."""
    params = {"customer": bench.customer()["id"], "items": [{"price": bench.price["id"]}]} | given
    assert bench.refuse(400, "POST", "subscriptions", params)["param"] == param
    page: Obj = {
        "mode": "subscription",
        "success_url": "x",
        "line_items": [{"price": bench.price["id"], "quantity": 1}],
    }
    if param != "cancel_at":  # not of a session's subscription
        error = bench.refuse(400, "POST", "checkout/sessions", page | {"subscription_data": given})
        assert error["param"] == f"subscription_data[{param}]"


def test_within_bounds(bench: Bench) -> None:
    """The longest trial, and an anchor on the day that the first period would end."""
    assert bench.subscribe(trial_period_days=730)["trial_end"] == NOW + 730 * DAY
    assert bench.subscribe(trial_period_days=0)["status"] == "active"
    sub = bench.subscribe(billing_cycle_anchor=NOW + 10 * DAY)
    assert sub["items"]["data"][0]["current_period_end"] == NOW + 10 * DAY
    bench.refuse(400, "POST", f"subscriptions/{sub['id']}", {"trial_end": NOW + 731 * DAY})
    bench.refuse(400, "POST", f"subscriptions/{sub['id']}", {"cancel_at": NOW + 6 * 366 * DAY})
