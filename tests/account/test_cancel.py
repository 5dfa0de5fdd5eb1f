"""Cancel, resume and pause over HTTP, against the stand-in, on both databases."""

from __future__ import annotations

from tests.account.conftest import Holder

CANCEL, RESUME, PAUSE = "/subscription/cancel", "/subscription/resume", "/subscription/pause"


def test_a_cancellation_ends_with_the_period_and_is_undone(holder: Holder) -> None:
    """Access lasts to the end of what is paid; the reason goes to Stripe in the same call (better-auth#9321)."""
    holder.subscribe_to("pro")
    preview = holder.ask("POST", "/subscription/cancel/preview", {})
    assert preview["at"] == preview["access_until"] == holder.state["current_period_end"]
    assert not preview["stops_collection"]
    assert preview["outstanding"] == 0
    state = holder.ask("POST", CANCEL, {"reason": "too_expensive", "comment": "maybe later"})
    assert state["access"] == {"granted": True, "reason": "ending", "until": preview["at"]}
    assert state["cancellation"] == {"at": preview["at"], "reason": "too_expensive", "comment": "maybe later"}
    assert holder.ask("POST", CANCEL, {})["cancel_at"] == preview["at"]  # it is so already
    resumed = holder.ask("POST", RESUME)
    assert resumed["cancel_at"] is None
    assert resumed["access"]["reason"] == "paid"
    assert holder.ask("POST", RESUME)["cancel_at"] is None  # it is so already


def test_a_cancellation_now_ends_now(holder: Holder) -> None:
    """Where the policy allows it, a user ends at once; the same call again finds it done."""
    holder.subscribe_to("pro")
    assert holder.refused("POST", CANCEL, {"reason": "bored"}) == (422, "unknown_reason")
    state = holder.ask("POST", CANCEL, {"when": "now"})
    assert (state["state"], state["access"]["granted"], state["features"]) == ("canceled", False, [])
    assert holder.ask("POST", CANCEL, {"when": "now"})["state"] == "canceled"
    assert holder.refused("POST", RESUME) == (409, "no_subscription")


def test_a_cancellation_while_overdue_stops_the_money(holder: Holder) -> None:
    """polar#13125: who cancels while a payment fails is not charged afterwards; it is said before."""
    holder.subscribe_to("pro")
    holder.card("pm_card_chargeCustomerFail")
    holder.renewal()
    holder.until(lambda state: state["state"] == "past_due")
    preview = holder.ask("POST", "/subscription/cancel/preview", {})
    assert preview["stops_collection"]
    assert preview["outstanding"] == 2000
    assert preview["currency"] == "usd"
    invoice = holder.sub.latest_invoice
    assert holder.ask("POST", CANCEL, {})["state"] == "canceled"
    assert holder.v1.invoices.retrieve(invoice).status == "void"


def test_nothing_goes_on_where_nothing_could_be_charged(holder: Holder) -> None:
    """Polar asks for a card before a resume, and so does this."""
    holder.subscribe_to("pro")
    holder.ask("POST", CANCEL, {})
    holder.detach()
    assert holder.refused("POST", RESUME) == (409, "payment_method_required")


def test_a_pause_and_a_resume(holder: Holder) -> None:
    """Stripe's own pause, where the policy allows it."""
    holder.subscribe_to("pro")
    assert "pause" in holder.state["available_actions"]
    paused = holder.ask("POST", PAUSE)
    assert (paused["state"], paused["access"]["reason"]) == ("paused", "paused")
    assert holder.ask("POST", PAUSE)["state"] == "paused"  # it is so already
    assert holder.ask("POST", RESUME)["state"] == "active"


def test_paused_collection_is_taken_up_again(holder: Holder) -> None:
    """The fourth kind of standing still: `pause_collection`, set in the dashboard."""
    holder.subscribe_to("pro")
    holder.update(pause_collection={"behavior": "void"})
    holder.until(lambda state: state["collection_paused"])
    assert not holder.ask("POST", RESUME)["collection_paused"]


def test_who_has_nothing_is_told_so(holder: Holder) -> None:
    """A stranger's verbs are refused by one code, and nothing is asked of Stripe."""
    assert holder.refused("POST", CANCEL, {}) == (409, "no_subscription")
    assert holder.refused("POST", RESUME) == (409, "no_subscription")
    assert holder.refused("POST", PAUSE) == (409, "no_subscription")
    assert holder.refused("POST", "/subscription/change", {"plan": "pro"}) == (409, "no_subscription")
    assert holder.refused("DELETE", "/subscription/change") == (409, "no_subscription")
