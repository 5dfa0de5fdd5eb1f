"""What the stand-in refuses, and how: types, bounds, what Stripe has and it has not. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from api.sandbox import paying, portal
from api.sandbox.errors import StripeError
from tests.sandbox.bench import Bench

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
            bench.world.click(portal.update, id_, sub, price, quantity)
        assert refused.value.status == 400
    with pytest.raises(StripeError) as refused:
        bench.world.click(paying.pay, "cs_test_no", 5)
    assert refused.value.status == 400
