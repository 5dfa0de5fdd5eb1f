"""`create_preview`: the invoice that a change would make, and what it leaves behind, which is nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.sandbox.bench import DAY, HOUR, Bench
from tests.sandbox.test_prorations import daily, left, subscribed

Obj = dict[str, Any]
ALL_ALIKE = ("amount", "description", "period", "quantity", "pricing", "discount_amounts")


def preview(bench: Bench, sub: Obj, details: Obj | None = None, **more: Any) -> Obj:
    """The preview; nothing may have happened for it."""
    before = _kept(bench)
    bench.news()
    shown = bench.post("invoices/create_preview", {"subscription": sub["id"]} | more
                       | ({"subscription_details": details} if details else {}))  # fmt: skip
    assert (bench.news(), _kept(bench)) == ([], before)
    assert shown["id"].startswith("upcoming_in_")
    assert (shown["status"], shown["billing_reason"], shown["number"]) == ("draft", "upcoming", None)
    return shown


def _kept(bench: Bench) -> Obj:
    """All that the stand-in knows."""
    state = copy.deepcopy(bench.world.dump())
    return {"tables": {kind: table for kind, table in state["tables"].items() if table}, "notes": state["notes"]}


def money(invoice: Obj) -> Obj:
    """What a preview and its invoice have in common."""
    lines = [{name: line[name] for name in ALL_ALIKE} for line in invoice["lines"]["data"]]
    names = ("total", "subtotal", "amount_due", "starting_balance", "ending_balance", "period_start", "period_end")
    return {name: invoice[name] for name in names} | {"lines": lines}


@pytest.mark.parametrize("mode", ["classic", "flexible"])
@pytest.mark.parametrize(
    "more",
    [{"proration_behavior": "always_invoice"}, {"billing_cycle_anchor": {"type": "now"}}, {"trial_end": "in 3 days"}],
    ids=lambda more: next(iter(more)),
)  # fmt: skip
def test_what_is_due_now(bench: Bench, mode: str, more: Obj) -> None:
    """A preview of what bills at once is its invoice to the cent: prorations, discounts, balance and all."""
    bench.post("coupons", {"id": "third", "percent_off": 33.3, "duration": "forever"})
    sub = subscribed(bench, 999, quantity=3, mode=mode, discounts=[{"coupon": "third"}])
    bench.post(f"customers/{sub['customer']}", {"balance": -100})
    left(bench, 0.37)
    more = {key: bench.world.time + 3 * DAY if key == "trial_end" else value for key, value in more.items()}
    change = {"items": [{"id": sub["items"]["data"][0]["id"], "price": daily(bench, 1777), "quantity": 2}]} | more
    shown = preview(bench, sub, change)
    details = shown["parent"]["subscription_details"]
    assert (details["subscription"], details["subscription_proration_date"]) == (sub["id"], bench.world.time)
    bench.post(f"subscriptions/{sub['id']}", change)
    assert money(bench.latest(sub)) == money(shown)


def test_what_is_due_next(bench: Bench) -> None:
    """`create_prorations` shows the next renewal with the prorations on it, and the renewal is that."""
    sub = subscribed(bench, 1000)
    left(bench, 0.5)
    change = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 2}]}
    shown = preview(bench, sub, change)
    assert [line["amount"] for line in shown["lines"]["data"]] == [-500, 1000, 2000]
    bench.post(f"subscriptions/{sub['id']}", change)
    assert money(preview(bench, sub)) == money(shown)
    bench.wait(DAY // 2 + HOUR)
    renewal = bench.latest(sub)
    assert money(renewal) == money(shown)
    assert shown["next_payment_attempt"] == renewal["created"] + HOUR


def test_quoted_a_while_ago(bench: Bench) -> None:
    """With one `proration_date` the preview and the change agree, however late the change comes."""
    sub = subscribed(bench, 1000)
    left(bench, 0.5)
    change = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 3}], "proration_behavior": "always_invoice",
              "proration_date": bench.world.time}  # fmt: skip
    shown = preview(bench, sub, change)
    bench.wait(1234)
    bench.post(f"subscriptions/{sub['id']}", change)
    assert (bench.latest(sub)["total"], shown["total"]) == (1000, 1000)


def test_nothing_due_now(bench: Bench) -> None:
    """What bills nothing at once is previewed as an invoice of nothing, not as the renewal."""
    sub = subscribed(bench, 1000)
    item = sub["items"]["data"][0]
    details = {"items": [{"id": item["id"], "price": item["price"]["id"], "quantity": 1}]}
    shown = preview(bench, sub, details | {"proration_behavior": "always_invoice"})
    assert (shown["total"], shown["lines"]["data"]) == (0, [])


def test_other_acts(bench: Bench) -> None:
    """Cancellation now, a pause and a resumption are previewed as they would be billed."""
    sub = bench.subscribe()
    start, end = (sub["items"]["data"][0][f"current_period_{x}"] for x in ("start", "end"))
    bench.until((start + end) // 2)
    pause = {"invoicing_behavior": "invoice", "type": "subscription"}
    assert preview(bench, sub, {"pause": pause})["total"] == -1000
    bench.refuse(400, "POST", "invoices/create_preview",
                 {"subscription": sub["id"], "subscription_details": {"pause": {"type": "subscription"}}})  # fmt: skip
    bench.post(f"subscriptions/{sub['id']}/pause", {"type": "subscription"})
    shown = preview(bench, sub, {"resume_at": "now"})
    assert [line["amount"] for line in shown["lines"]["data"]] == [-1000, 2000]


def test_discounts_and_items_of_the_preview(bench: Bench) -> None:
    """Codes are tried without being redeemed, an empty string shows the price without; extra items are added."""
    bench.post("coupons", {"id": "half", "percent_off": 50, "duration": "forever", "max_redemptions": 1})
    sub = bench.subscribe()
    assert preview(bench, sub, discounts=[{"coupon": "half"}])["total"] == 1000
    bench.post(f"subscriptions/{sub['id']}", {"discounts": [{"coupon": "half"}]})
    assert [preview(bench, sub)["total"], preview(bench, sub, discounts="")["total"]] == [1000, 2000]
    shown = preview(bench, sub, invoice_items=[{"amount": 300, "currency": "usd"}])
    assert (shown["subtotal"], preview(bench, sub, preview_mode="recurring")["total"]) == (2300, 1000)


def test_of_a_subscription_to_be_made(bench: Bench) -> None:
    """Items without a subscription show its first invoice, for a customer or for a guest."""
    details = {"items": [{"price": bench.price["id"], "quantity": 2}]}
    for owner in ({"customer": bench.customer(None)["id"]}, {}):
        shown = bench.post("invoices/create_preview", owner | {"subscription_details": details})
        assert (shown["total"], shown["lines"]["data"][0]["quantity"]) == (4000, 2)
    assert bench.world.all("subscription") == []


def test_nothing_upcoming(bench: Bench) -> None:
    """Nothing is upcoming of a subscription that ends with its period, nor of a customer without one."""
    sub = bench.subscribe()
    assert bench.post("invoices/create_preview", {"customer": sub["customer"]})["total"] == 2000
    bench.post(f"subscriptions/{sub['id']}", {"cancel_at_period_end": True})
    for given in ({"subscription": sub["id"]}, {"customer": bench.customer()["id"]}):
        assert bench.refuse(404, "POST", "invoices/create_preview", given)["code"] == "invoice_upcoming_none"


def test_refusals(bench: Bench) -> None:
    """A proration date needs something to prorate; what an update refuses its preview refuses."""
    sub = bench.subscribe()
    date: Obj = {"proration_date": bench.world.time}
    item = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 2}]}
    for details in (date, date | item | {"proration_behavior": "none"}, {"items": [{"price": bench.price["id"]}]}):
        bench.refuse(
            400, "POST", "invoices/create_preview", {"subscription": sub["id"], "subscription_details": details}
        )
    bench.refuse(400, "POST", "invoices/create_preview", {"subscription_details": date | item})
    both = {"subscription_details": item, "schedule_details": {"end_behavior": "release"}}
    bench.refuse(400, "POST", "invoices/create_preview", both)
    other = {"customer": bench.customer()["id"], "subscription": sub["id"]}
    bench.refuse(400, "POST", "invoices/create_preview", other)
