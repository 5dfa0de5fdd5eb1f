"""What a change of plan costs: the figures of recordings of the real API, and of Stripe's documentation.

A day has 86,400 seconds, so a daily price has any share that a figure needs.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.bench import DAY, Bench

Obj = dict[str, Any]


def daily(bench: Bench, amount: int, **more: Any) -> str:
    """A price a day."""
    return str(bench.post("prices", {"product": bench.price["product"], "currency": "usd", "unit_amount": amount,
                                     "recurring": {"interval": "day"}} | more)["id"])  # fmt: skip


def subscribed(bench: Bench, *amounts: int, quantity: int = 1, mode: str = "flexible", **more: Any) -> Obj:
    """A subscription to daily prices."""
    items = [{"price": daily(bench, amount), "quantity": quantity} for amount in amounts]
    return bench.post("subscriptions", {"customer": bench.customer()["id"], "items": items,
                                        "billing_mode": {"type": mode}} | more)  # fmt: skip


def left(bench: Bench, share: float) -> None:
    """Let time pass until so much of the day is left."""
    bench.wait(DAY - int(DAY * share))


def change(bench: Bench, sub: Obj, amount: int, **more: Any) -> Obj:
    """The first item to another daily price."""
    item: Obj = {"id": sub["items"]["data"][0]["id"], "price": daily(bench, amount)}
    item |= {"quantity": more.pop("quantity")} if "quantity" in more else {}
    return bench.post(f"subscriptions/{sub['id']}", {"items": [item]} | more)


def lines(bench: Bench, sub: Obj) -> list[int]:
    """The amounts of the latest invoice's lines."""
    return [line["amount"] for line in bench.latest(sub)["lines"]["data"]]


@pytest.mark.parametrize(
    ("old", "quantity", "new", "many", "share", "amounts"),
    [(1000, 1, 1800, 1, 1 / 400, [-3, 4]),  # -2.5 and +4.5: each is floored
     (500, 2, 1000, 3, 1 / 400, [-3, 7]),  # the whole quantity, never the one that was added
     (2000, 1, 1000, 1, 1 / 3, [-667, 333])],
)  # fmt: skip
def test_recorded_lines(
    bench: Bench, old: int, quantity: int, new: int, many: int, share: float, amounts: list[int]
) -> None:
    """Recorded: each line is the floor of its exact share of the period, the credit first, the total their sum."""
    sub = subscribed(bench, old, quantity=quantity)
    left(bench, share)
    change(bench, sub, new, quantity=many, proration_behavior="always_invoice")
    invoice = bench.latest(sub)
    assert [line["amount"] for line in invoice["lines"]["data"]] == amounts
    assert (invoice["total"], invoice["billing_reason"]) == (sum(amounts), "subscription_update")
    start = sub["items"]["data"][0]["current_period_start"]
    assert (invoice["period_start"], invoice["period_end"]) == (start, bench.world.time)  # recorded


def test_recorded_words(bench: Bench) -> None:
    """Recorded: what a credit and a debit say, how many only above one, the day of the change; and what is credited."""
    sub = subscribed(bench, 2000)
    first = bench.latest(sub)
    left(bench, 0.5)
    change(bench, sub, 1000, quantity=3)
    credit, debit = bench.get("invoiceitems", {"pending": True})["data"]
    assert credit["description"] == "Unused time on Pro after 15 Jan 2027"
    assert debit["description"] == "Remaining time on 3 × Pro after 15 Jan 2027"
    assert (credit["amount"], debit["amount"], debit["quantity"], credit["discountable"]) == (-1000, 1500, 3, False)
    assert credit["period"] == debit["period"] == {"start": bench.world.time, "end": first["created"] + DAY}
    assert credit["proration_details"]["credited_items"] == {
        "type": "invoice_line_items", "invoice_item": None,
        "invoice_line_item_details": {"invoice": first["id"], "invoice_line_items": [first["lines"]["data"][0]["id"]]},
    }  # fmt: skip


def test_zero_lines_are_listed(bench: Bench) -> None:
    """A line of nothing is written too."""
    sub = subscribed(bench, 0)
    left(bench, 0.5)
    change(bench, sub, 1000)
    assert [item["amount"] for item in bench.get("invoiceitems", {"pending": True})["data"]] == [0, 500]


@pytest.mark.parametrize(("mode", "credit"), [("classic", -1000), ("flexible", -500)])
def test_credit_after_a_change_without_proration(bench: Bench, mode: str, credit: int) -> None:
    """After 10 → 20 unprorated, going back credits the present 20 in classic, the billed 10 in flexible."""
    sub = subscribed(bench, 1000, mode=mode)
    left(bench, 0.5)
    change(bench, sub, 2000, proration_behavior="none")
    change(bench, sub, 1000, proration_behavior="always_invoice")
    assert lines(bench, sub) == [credit, 500]


def test_one_credit_a_debit(bench: Bench) -> None:
    """Flexible credits each debit once: what an earlier change has taken back is not taken back again."""
    sub = subscribed(bench, 1000)
    left(bench, 0.5)
    change(bench, sub, 2000, proration_behavior="always_invoice")
    assert lines(bench, sub) == [-500, 1000]
    bench.wait(DAY // 4)
    change(bench, sub, 4000, proration_behavior="always_invoice")
    assert lines(bench, sub) == [-500, 1000]
    credited = bench.latest(sub)["lines"]["data"][0]["parent"]["subscription_item_details"]["proration_details"]
    before = bench.get("invoices", {"subscription": sub["id"]})["data"][1]
    assert credited["credited_items"]["invoice"] == before["id"]


def test_pending_debit_is_credited(bench: Bench) -> None:
    """A debit that waits for its invoice is credited too, and named as an invoice item."""
    sub = subscribed(bench, 1000)
    left(bench, 0.5)
    change(bench, sub, 2000)
    bench.wait(DAY // 4)
    change(bench, sub, 4000)
    newest, debit, *_ = bench.get("invoiceitems", {"pending": True})["data"]
    assert (newest["amount"], debit["amount"]) == (-500, 1000)
    assert newest["proration_details"]["credited_items"]["type"] == "invoice_item"


def test_added_item_rides_the_period(bench: Bench) -> None:
    """Recorded: an item that is added is charged for the rest of the subscription's period."""
    sub = subscribed(bench, 1000)
    left(bench, 0.25)
    bench.post(f"subscriptions/{sub['id']}", {"items": [{"price": daily(bench, 800)}]})
    (debit,) = bench.get("invoiceitems", {"pending": True})["data"]
    assert debit["amount"] == 200
    added = bench.sub(sub)["items"]["data"][1]
    assert added["current_period_end"] == sub["items"]["data"][0]["current_period_end"]


@pytest.mark.parametrize(("mode", "credit"), [("classic", -2250), ("flexible", -2083)])
def test_amount_off_is_shared(bench: Bench, mode: str, credit: int) -> None:
    """500 off items of 500 and 2500: the second bears 250 in classic, 417 in flexible (Stripe's documentation)."""
    bench.post("coupons", {"id": "five", "amount_off": 500, "currency": "usd", "duration": "forever"})
    sub = subscribed(bench, 500, 2500, mode=mode, discounts=[{"coupon": "five"}])
    item = sub["items"]["data"][1]["id"]
    bench.post(f"subscriptions/{sub['id']}", {"items": [{"id": item, "deleted": True}]})
    (unused,) = bench.get("invoiceitems", {"pending": True})["data"]
    assert unused["amount"] == credit


def test_amount_off_of_an_invoice(bench: Bench) -> None:
    """Recorded: shares are floored, the rest is the last line's: 500 off 1000 and 2000 is [166, 334]."""
    bench.post("coupons", {"id": "five", "amount_off": 500, "currency": "usd"})
    invoice = bench.latest(subscribed(bench, 1000, 2000, discounts=[{"coupon": "five"}]))
    assert [line["discount_amounts"][0]["amount"] for line in invoice["lines"]["data"]] == [166, 334]


def test_discount_is_inside(bench: Bench) -> None:
    """A percentage is inside both lines; one that comes with the change is inside the debit alone."""
    for id_, percent in (("half", 50), ("tenth", 10)):
        bench.post("coupons", {"id": id_, "percent_off": percent, "duration": "forever"})
    sub = subscribed(bench, 1000, discounts=[{"coupon": "half"}])
    left(bench, 0.5)
    change(bench, sub, 2000, proration_behavior="always_invoice")
    assert lines(bench, sub) == [-250, 500]
    change(bench, sub, 4000, proration_behavior="always_invoice", discounts=[{"coupon": "tenth"}])
    assert lines(bench, sub) == [-500, 1800]
    assert bench.latest(sub)["total_discount_amounts"][0]["amount"] == 0


def test_a_discount_alone_bills_nothing(bench: Bench) -> None:
    """A code on a running subscription is taken off the next invoice; one for once is gone then."""
    bench.post("coupons", {"id": "once", "percent_off": 50})
    sub = subscribed(bench, 1000)
    held = bench.post(f"subscriptions/{sub['id']}", {"discounts": [{"coupon": "once"}]})
    assert (len(held["discounts"]), held["latest_invoice"]) == (1, sub["latest_invoice"])
    assert bench.post(f"subscriptions/{sub['id']}", {"discounts": []})["discounts"] == held["discounts"]
    bench.wait(DAY + 3600)
    assert (bench.latest(sub)["total"], bench.sub(sub)["discounts"]) == (500, [])
    bench.wait(DAY)
    assert bench.latest(sub)["total"] == 1000


def test_once_is_for_the_first_paid_invoice(bench: Bench) -> None:
    """Recorded: a coupon for once is gone after a first paid invoice; a trial's, which pays nothing, leaves it."""
    bench.post("coupons", {"id": "once", "percent_off": 50})
    given = [{"coupon": "once"}]
    assert subscribed(bench, 1000, discounts=given)["discounts"] == []
    sub = subscribed(bench, 1000, trial_period_days=1, discounts=given)
    assert len(sub["discounts"]) == 1
    bench.wait(DAY + 3600)
    assert (bench.latest(sub)["total"], bench.sub(sub)["discounts"]) == (500, [])


def test_price_without_quantity_is_one(bench: Bench) -> None:
    """Another price without a quantity sets it to 1; a quantity alone leaves the price."""
    sub = subscribed(bench, 1000, quantity=5)
    assert change(bench, sub, 2000)["items"]["data"][0]["quantity"] == 1
    item = {"id": sub["items"]["data"][0]["id"], "quantity": 7}
    now = bench.post(f"subscriptions/{sub['id']}", {"items": [item]})["items"]["data"][0]
    assert (now["quantity"], now["price"]["unit_amount"]) == (7, 2000)


def test_refusals(bench: Bench) -> None:
    """Recorded: a price twice, another currency, an incomplete and a canceled subscription are refused, and how."""
    sub = subscribed(bench, 1000)
    path, held = f"subscriptions/{sub['id']}", sub["items"]["data"][0]
    error = bench.refuse(400, "POST", path, {"items": [{"price": held["price"]["id"]}]})
    assert error["param"] == "plan"
    assert error["message"].startswith(
        f"A new item with Price {held['price']['id']} can't be added to this Subscription because an existing "
        f"Subscription Item {held['id']} is already using that Price.")  # fmt: skip
    euro = daily(bench, 1000, currency="eur")
    error = bench.refuse(400, "POST", path, {"items": [{"id": held["id"], "price": euro}]})
    assert error["param"] == "items[0][price]"
    unpaid = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"))
    change = {"items": [{"id": unpaid["items"]["data"][0]["id"], "quantity": 2}]}
    error = bench.refuse(400, "POST", f"subscriptions/{unpaid['id']}", change)
    assert (error["code"], error["param"]) == ("status_transition_invalid", "items")
    assert bench.post(f"subscriptions/{unpaid['id']}", {"metadata": {"a": "b"}})["metadata"] == {"a": "b"}
    bench.delete(path)
    error = bench.refuse(400, "POST", path, {"items": [{"id": held["id"], "quantity": 2}]})
    assert error["code"] == "invalid_canceled_subscription_fields"
    assert bench.call("DELETE", path).status == 404


def test_classic_has_one_interval(bench: Bench) -> None:
    """Classic refuses prices of different intervals on one subscription; flexible lets each have its own period."""
    month = {"items": [{"price": bench.price["id"]}]}
    bench.refuse(400, "POST", f"subscriptions/{subscribed(bench, 1000, mode='classic')['id']}", month)
    mixed = bench.post(f"subscriptions/{subscribed(bench, 1000)['id']}", month)["items"]["data"]
    assert mixed[1]["current_period_end"] - mixed[0]["current_period_end"] == 30 * DAY


@pytest.mark.parametrize(
    ("given", "words"),
    [({"at": -1}, "period"), ({"at": DAY}, "period"), ({"at": 5, "proration_behavior": "none"}, "none"),
     ({"at": 5, "billing_cycle_anchor": {"type": "now"}},
      "You cannot specify `proration_date` when `billing_cycle_anchor=now`")],
)  # fmt: skip
def test_proration_date(bench: Bench, given: Obj, words: str) -> None:
    """It lies in the current period, and means something."""
    sub = subscribed(bench, 1000)
    left(bench, 0.5)
    given = dict(given)
    date = sub["items"]["data"][0]["current_period_start"] + given.pop("at")
    item = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 2}]}
    error = bench.refuse(400, "POST", f"subscriptions/{sub['id']}", item | given | {"proration_date": date})
    assert error["param"] == "proration_date"
    assert words in error["message"]


def test_anchor_now(bench: Bench) -> None:
    """`billing_cycle_anchor: now` begins a period now: the rest credited, the whole charged, at once."""
    sub = subscribed(bench, 1000)
    left(bench, 0.25)
    change(bench, sub, 2000, billing_cycle_anchor={"type": "now"})
    assert (lines(bench, sub), bench.latest(sub)["amount_paid"]) == ([-250, 2000], 1750)
    assert bench.sub(sub)["billing_cycle_anchor"] == bench.world.time
    bench.post(f"subscriptions/{sub['id']}", {"billing_cycle_anchor": {"type": "now"}, "proration_behavior": "none"})
    assert lines(bench, sub) == [2000]


@pytest.mark.parametrize(("mode", "anew"), [("classic", True), ("flexible", False)])
def test_from_free_to_paid(bench: Bench, mode: str, anew: bool) -> None:
    """From nothing to a price begins a period in classic mode alone."""
    sub = subscribed(bench, 0, mode=mode)
    left(bench, 0.5)
    change(bench, sub, 1000)
    assert (bench.sub(sub)["billing_cycle_anchor"] == bench.world.time) == anew


def test_trial_of_a_paying_subscription(bench: Bench) -> None:
    """Recorded: a trial on an active one credits the rest, beside a line of nothing; the cycle begins at its end."""
    sub = subscribed(bench, 1000)
    left(bench, 0.5)
    end = bench.world.time + 3 * DAY
    now = bench.post(f"subscriptions/{sub['id']}", {"trial_end": end})
    invoice = bench.latest(sub)
    assert (now["status"], now["billing_cycle_anchor"], now["trial_start"]) == ("trialing", end, bench.world.time)
    assert (lines(bench, sub), invoice["status"], invoice["attempt_count"]) == ([-500, 0], "paid", 0)
    assert bench.get(f"customers/{sub['customer']}")["balance"] == -500
    error = bench.refuse(400, "POST", f"subscriptions/{sub['id']}", {"trial_end": bench.world.time - 1})
    assert error["param"] == "trial_end"
