"""Change of plan, interval and quantity over HTTP, against the stand-in, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from tests.account.conftest import Desk, Holder

PREVIEW, CHANGE = "/subscription/change/preview", "/subscription/change"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def test_an_upgrade_costs_what_was_previewed_and_agreed(holder: Holder) -> None:
    """polar#12526, pay#138: the preview binds; what is due is Stripe's amount, and the invoice says the same."""
    holder.subscribe_to("starter")
    preview = holder.ask("POST", PREVIEW, {"plan": "pro"})
    assert preview["applies"] == "now"
    assert preview["waits"]
    assert preview["plan"] == {"key": "pro", "quantity": 1, "interval": "month"}
    assert preview["due_now"] == 1000
    assert preview["credit"] == 1000
    assert preview["next"]["amount"] == 2000
    state = holder.ask("POST", CHANGE, {"plan": "pro", "agreed": preview["agreed"]})
    assert state["plan"]["key"] == "pro"
    assert state["features"] == ["basic", "export"]
    invoice = holder.v1.invoices.retrieve(holder.sub.latest_invoice)
    assert (invoice.status, invoice.total) == ("paid", preview["due_now"])


def test_what_was_agreed_to_does_not_hold_for_another_amount(holder: Holder) -> None:
    """A change whose money moved since the preview is refused, with the new preview."""
    holder.subscribe_to("starter")
    preview = holder.ask("POST", PREVIEW, {"plan": "pro"})
    other = preview["agreed"] | {"due_now": 1}
    answer = holder.ask("POST", CHANGE, {"plan": "pro", "agreed": other}, 409)
    assert answer["code"] == "price_changed"
    assert answer["preview"]["due_now"] == preview["due_now"]
    old = {"due_now": preview["due_now"], "at": "2020-01-01T00:00:00Z"}
    assert holder.ask("POST", CHANGE, {"plan": "pro", "agreed": old}, 409)["code"] == "price_changed"
    assert holder.state["plan"]["key"] == "starter"


def test_nobody_gains_by_an_upgrade_that_is_not_paid(holder: Holder) -> None:
    """cashier#1817, polar#5608: a declined upgrade waits; plan and access stay, and the state says where to pay."""
    holder.subscribe_to("starter")
    holder.card("pm_card_chargeCustomerFail")
    state = holder.ask("POST", CHANGE, {"plan": "pro"})
    assert state["plan"]["key"] == "starter"
    assert state["access"]["granted"]
    assert state["state"] == "active"
    pending = state["pending_change"]
    assert (pending["plan"], pending["reason"]) == ("pro", "payment")
    assert pending["url"]
    assert pending["expires_at"]
    assert "undo_change" in state["available_actions"]
    assert "change_plan" not in state["available_actions"]
    assert holder.refused("POST", CHANGE, {"plan": "team", "quantity": 2}) == (409, "change_pending")
    state = holder.ask("DELETE", CHANGE)
    assert state["pending_change"] is None
    assert state["plan"]["key"] == "starter"
    assert holder.ask("DELETE", CHANGE)["plan"]["key"] == "starter"  # it is so already


def test_a_downgrade_waits_for_the_end_of_the_period(holder: Holder) -> None:
    """polar#6880: what was paid for is kept to its end; the coming change is shown and can be undone."""
    holder.subscribe_to("pro")
    preview = holder.ask("POST", PREVIEW, {"plan": "starter"})
    assert (preview["applies"], preview["due_now"], preview["next"]["amount"]) == ("period_end", 0, 1000)
    state = holder.ask("POST", CHANGE, {"plan": "starter"})
    assert state["plan"]["key"] == "pro"
    assert state["pending_change"]["plan"] == "starter"
    assert state["pending_change"]["reason"] == "scheduled"
    assert at(state["pending_change"]["at"]) == at(state["current_period_end"])
    kept = holder.ask("DELETE", CHANGE)
    assert kept["pending_change"] is None
    assert holder.sub.schedule is None
    holder.ask("POST", CHANGE, {"plan": "starter"})
    holder.renewal()
    switched = holder.until(lambda state: state["plan"]["key"] == "starter")
    assert switched["pending_change"] is None
    assert switched["features"] == ["basic"]
    cancelled = holder.ask("POST", "/subscription/cancel", {})  # dust#32051: our schedule never stands in the way
    assert cancelled["cancel_at"] is not None


def test_discount_metadata_and_payment_method_survive_both_ways(holder: Holder) -> None:
    """bitwarden#8078, autumn#742: a change never rebuilds a subscription from nothing."""
    coupon = holder.v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
    holder.subscribe_to("starter", discounts=[{"coupon": coupon}], metadata={"note": "kept"})
    own = holder.v1.payment_methods.attach("pm_card_mastercard", {"customer": holder.customer}).id
    holder.update(default_payment_method=own)
    (discount,) = holder.sub.discounts
    holder.ask("POST", CHANGE, {"plan": "pro"})
    holder.ask("POST", CHANGE, {"plan": "starter"})
    holder.renewal()
    holder.until(lambda state: state["plan"]["key"] == "starter")
    sub = holder.sub
    assert (sub.discounts, sub.metadata["note"], sub.default_payment_method) == ([discount], "kept", own)


def test_an_interval_is_chosen_by_its_name(holder: Holder) -> None:
    """A yearly price of the same plan is billed at once, and the billing date moves with it."""
    holder.subscribe_to("pro")
    preview = holder.ask("POST", PREVIEW, {"interval": "year"})
    assert preview["plan"] == {"key": "pro", "quantity": 1, "interval": "year"}
    assert preview["agreed"]["at"] is None
    state = holder.ask("POST", CHANGE, {"interval": "year", "agreed": preview["agreed"]})
    assert state["plan"]["interval"] == "year"
    assert at(state["current_period_end"]) > holder.now + 360 * 86_400


def test_seats_are_counted_and_bounded(holder: Holder) -> None:
    """openwork#3463: a seat more is put on the next invoice; what the plan does not sell is refused."""
    holder.subscribe_to("team", quantity=2)
    invoices = len(holder.v1.invoices.list({"customer": holder.customer}).data)
    assert holder.refused("POST", CHANGE, {"quantity": 1}) == (422, "quantity")
    assert holder.refused("POST", CHANGE, {"quantity": 51}) == (422, "quantity")
    assert holder.ask("POST", CHANGE, {"quantity": 5})["plan"]["quantity"] == 5
    assert len(holder.v1.invoices.list({"customer": holder.customer}).data) == invoices


def test_a_trial_stays_whatever_is_changed(holder: Holder) -> None:
    """A change in a trial costs nothing now and leaves the trial's end."""
    holder.subscribe_to("starter", trial_period_days=14)
    end = holder.state["trial_end"]
    preview = holder.ask("POST", PREVIEW, {"plan": "pro"})
    assert (preview["applies"], preview["due_now"]) == ("now", 0)
    state = holder.ask("POST", CHANGE, {"plan": "pro"})
    assert (state["plan"]["key"], state["trial_end"], state["state"]) == ("pro", end, "trialing")


def test_a_planned_end_is_never_undone_silently(holder: Holder) -> None:
    """onetimesecret#2926: a change while ending is refused, unless the caller says that it goes on."""
    holder.subscribe_to("starter")
    holder.ask("POST", "/subscription/cancel", {})
    assert holder.refused("POST", CHANGE, {"plan": "pro"}) == (409, "ending")
    state = holder.ask("POST", CHANGE, {"plan": "pro", "resume": True})
    assert state["cancel_at"] is None
    assert state["plan"]["key"] == "pro"


def test_a_retired_plan_is_left_but_never_entered(holder: Holder) -> None:
    """An old price is held and not sold; its holder may change to what is."""
    holder.subscribe_to("starter")
    assert holder.refused("POST", CHANGE, {"plan": "legacy"}) == (409, "not_sold")
    assert holder.refused("POST", CHANGE, {"plan": "nothing"}) == (422, "unknown_plan")
    assert holder.refused("POST", CHANGE, {"plan": "pro", "interval": "week"}) == (422, "unknown_interval")
    assert holder.refused("POST", PREVIEW, {"plan": "starter"}) == (422, "same_plan")
    assert holder.refused("POST", CHANGE, {"plan": "pro", "promotion_code": "NONE"}) == (422, "unknown_promotion_code")
    assert holder.refused("POST", PREVIEW, {"plan": "pro", "when": "period_end", "color": 1}) == (400, "bad_body")
    assert holder.ask("POST", CHANGE, {"plan": "starter"})["plan"]["key"] == "starter"  # it is so already


def test_the_policy_decides_when_a_downgrade_applies(holder: Holder) -> None:
    """Under `downgrade = "period_end"` nobody takes back what was paid for by `when: now`."""
    holder.subscribe_to("pro")
    assert holder.refused("POST", CHANGE, {"plan": "starter", "when": "now"}) == (403, "not_offered")


def test_somebody_elses_schedule_is_refused_by_name(holder: Holder) -> None:
    """alga-psa#1802: what another made is never released; who wants to leave still can."""
    holder.subscribe_to("pro")
    schedule = holder.v1.subscription_schedules.create({"from_subscription": holder.id})
    holder.v1.subscription_schedules.update(schedule.id, {"metadata": {"by": "another"}})
    holder.until(lambda state: "change_plan" not in state["available_actions"])
    assert holder.refused("POST", CHANGE, {"plan": "starter"}) == (409, "foreign_schedule")
    assert holder.sub.schedule == schedule.id
    assert holder.ask("POST", "/subscription/cancel", {"when": "now"})["state"] == "canceled"


def test_a_schedule_that_ends_the_subscription_is_nobodys_copy(holder: Holder) -> None:
    """One phase and no mark is ours only as Stripe makes it: one that ends by cancelling was set by another."""
    holder.subscribe_to("pro")
    schedule = holder.v1.subscription_schedules.create({"from_subscription": holder.id})
    holder.v1.subscription_schedules.update(schedule.id, {"end_behavior": "cancel"})
    holder.until(lambda state: "change_plan" not in state["available_actions"])
    assert holder.refused("POST", CHANGE, {"plan": "starter"}) == (409, "foreign_schedule")
    holder.ask("POST", "/subscription/cancel", {"when": "now"})
    assert holder.v1.subscription_schedules.retrieve(schedule.id).status != "released"


def test_what_a_crash_left_of_our_schedule_is_finished(holder: Holder) -> None:
    """autumn, better-auth #8069: a copy that nobody marked is ours; the next verb releases it and goes on."""
    holder.subscribe_to("pro")
    holder.v1.subscription_schedules.create({"from_subscription": holder.id})
    state = holder.ask("POST", CHANGE, {"plan": "starter"})
    assert state["pending_change"]["plan"] == "starter"


@pytest.mark.parametrize(
    ("verb", "body"),
    [(CHANGE, {"plan": "pro"}), ("/subscription/cancel", {}), (CHANGE, {"plan": "starter", "when": "period_end"})],
)
def test_fifty_clicks_are_one_effect(desk: Desk, holder: Holder, verb: str, body: dict[str, Any]) -> None:
    """akash#3449: fifty identical clicks at once make one change at Stripe; others are busy or find it done."""
    holder.subscribe_to("pro" if body.get("plan") == "starter" else "starter")
    before = len(holder.v1.invoices.list({"customer": holder.customer}).data)
    with ThreadPoolExecutor(50) as pool:
        clicks = [pool.submit(holder.call, "POST", verb, body) for _ in range(50)]
        answers = [click.result() for click in clicks]
    assert {answer.status_code for answer in answers} <= {200, 409}, {answer.text for answer in answers}
    assert any(answer.status_code == 200 for answer in answers)
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"busy"}
    invoices = len(holder.v1.invoices.list({"customer": holder.customer}).data)
    assert invoices - before == (1 if body.get("plan") == "pro" else 0)


def test_a_key_of_the_callers_is_one_intent(holder: Holder) -> None:
    """The same Idempotency-Key again does nothing more; with another body it is refused."""
    holder.subscribe_to("starter")
    key = {"Idempotency-Key": "click-1"}
    holder.ask("POST", CHANGE, {"plan": "pro"}, headers=key)
    invoice = holder.sub.latest_invoice
    holder.ask("POST", CHANGE, {"plan": "pro"}, headers=key)
    assert holder.sub.latest_invoice == invoice
    assert holder.ask("POST", CHANGE, {"plan": "team", "quantity": 3}, 422, key)["code"] == "key_reused"
