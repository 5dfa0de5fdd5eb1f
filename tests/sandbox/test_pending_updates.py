"""Changes whose payment fails: parked, refused, or left past due."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.bench import DAY, FAILED, HOUR, Bench, S

Obj = dict[str, Any]
PENDING = {"payment_behavior": "pending_if_incomplete", "proration_behavior": "always_invoice"}


def parked(bench: Bench, outcome: str = "generic_decline", **more: Any) -> Obj:
    """A subscription of which a change waits for its payment; what it was before is beside it."""
    sub = bench.subscribe(**more)
    bench.wait(DAY)
    bench.switch(outcome)
    bench.news()
    held = bench.post(f"subscriptions/{sub['id']}", PENDING | {"items": [
        {"id": sub["items"]["data"][0]["id"], "quantity": 3}]})  # fmt: skip
    assert held["status"] == "active"
    assert held["items"] == sub["items"]
    return held


def test_paid_at_once(bench: Bench) -> None:
    """What is paid at once is changed at once, as if it had not been asked to wait."""
    sub = bench.subscribe()
    bench.news()
    now = bench.post(f"subscriptions/{sub['id']}", PENDING | {"items": [
        {"id": sub["items"]["data"][0]["id"], "quantity": 3}]})  # fmt: skip
    assert (now["items"]["data"][0]["quantity"], now["pending_update"]) == (3, None)
    assert S + "pending_update_applied" not in bench.told()


@pytest.mark.parametrize("outcome", ["generic_decline", "authenticate"])
def test_parked_and_paid(bench: Bench, outcome: str) -> None:
    """A declined change is shown in `pending_update` and changes nothing; paying its invoice applies it."""
    sub = parked(bench, outcome)
    waits = sub["pending_update"]
    assert waits["subscription_items"][0]["quantity"] == 3
    assert waits["expires_at"] == bench.world.time + 23 * HOUR
    told = bench.told()
    assert told[-1] == S + "updated"
    assert ("invoice.payment_failed" if outcome == "generic_decline" else "invoice.payment_action_required") in told
    invoice = bench.latest(sub)
    assert (invoice["status"], invoice["next_payment_attempt"]) == ("open", None)
    bench.refuse(402, "POST", f"invoices/{invoice['id']}/pay")
    assert bench.sub(sub)["pending_update"] == waits
    bench.switch("ok")
    bench.news()
    bench.post(f"invoices/{invoice['id']}/pay", {"payment_method": "pm_card_visa"})
    now = bench.sub(sub)
    assert (now["items"]["data"][0]["quantity"], now["pending_update"], now["status"]) == (3, None, "active")
    assert bench.told()[:2] == [S + "pending_update_applied", S + "updated"]


def test_expires(bench: Bench) -> None:
    """After 23 hours the invoice is void, the change is gone, and no proration of it is left."""
    sub = parked(bench)
    bench.news()
    bench.wait(23 * HOUR)
    now = bench.sub(sub)
    assert (now["pending_update"], now["items"], bench.latest(sub)["status"]) == (None, sub["items"], "void")
    assert bench.told() == [S + "pending_update_expired", S + "updated", "invoice.updated", "invoice.voided"]
    bench.switch("ok")
    item = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 2}]}
    bench.post(f"subscriptions/{sub['id']}", item | {"proration_behavior": "always_invoice"})
    credit, debit = bench.latest(sub)["lines"]["data"]
    assert (credit["quantity"], debit["quantity"]) == (1, 2)


def test_expires_with_the_period(bench: Bench) -> None:
    """Sooner, where the period ends sooner; the renewal is of what is had."""
    sub = bench.subscribe()
    end = sub["items"]["data"][0]["current_period_end"]
    bench.until(end - HOUR)
    bench.switch("generic_decline")
    change = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 30}]}
    held = bench.post(f"subscriptions/{sub['id']}", PENDING | change)
    assert held["pending_update"]["expires_at"] == end
    bench.switch("ok")
    bench.until(end + HOUR)
    assert (bench.latest(sub)["total"], bench.latest(sub)["billing_reason"]) == (2000, "subscription_cycle")


def test_void_cancels_and_another_takes_its_place(bench: Bench) -> None:
    """Voiding the invoice gives the change up; a new request voids the old one's invoice."""
    sub = parked(bench)
    first = bench.latest(sub)["id"]
    item = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 5}]}
    again = bench.post(f"subscriptions/{sub['id']}", PENDING | item)
    assert bench.get(f"invoices/{first}")["status"] == "void"
    assert again["pending_update"]["subscription_items"][0]["quantity"] == 5
    bench.post(f"invoices/{again['latest_invoice']}/void")
    assert bench.sub(sub)["pending_update"] is None


def test_trial_ended_now(bench: Bench) -> None:
    """The end of a trial waits too: still trialing until it is paid."""
    sub = bench.subscribe(trial_period_days=9)
    bench.switch("generic_decline")
    path = f"subscriptions/{sub['id']}"
    held = bench.post(path, {"payment_behavior": "pending_if_incomplete", "trial_end": "now"})
    assert (held["status"], held["trial_end"]) == ("trialing", sub["trial_end"])
    assert held["pending_update"]["trial_end"] == bench.world.time
    bench.switch("ok")
    bench.post(f"invoices/{held['latest_invoice']}/pay")
    assert (bench.status(sub), bench.sub(sub)["trial_end"]) == ("active", held["pending_update"]["trial_end"])


def test_cancellation_drops_it(bench: Bench) -> None:
    """A canceled subscription waits for nothing, and paying the old invoice changes nothing."""
    sub = parked(bench)
    assert bench.delete(f"subscriptions/{sub['id']}")["pending_update"] is None
    bench.switch("ok")
    bench.post(f"invoices/{sub['latest_invoice']}/pay")
    assert (bench.status(sub), bench.sub(sub)["items"]) == ("canceled", sub["items"])


@pytest.mark.parametrize(
    ("given", "since"),
    [({"metadata": {"a": "b"}}, "2026-05-27.dahlia"), ({"discounts": [{"coupon": "half"}]}, "2026-05-27.dahlia"),
     ({"cancel_at_period_end": True}, "2026-09-30.endive"), ({"description": "x"}, None),
     ({"items": [{"id": "si_x", "quantity": 2, "metadata": {"a": "b"}}]}, None)],
)  # fmt: skip
def test_what_can_wait(bench: Bench, given: Obj, since: str | None) -> None:
    """Only what controls prorations or bills can wait; metadata, discounts and a planned end since newer versions,
    and these are shown, and applied with the payment."""
    bench.post("coupons", {"id": "half", "percent_off": 50, "duration": "forever"})
    sub = bench.subscribe()
    bench.switch("generic_decline")
    change = PENDING | {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 3}]} | given
    path = f"/v1/subscriptions/{sub['id']}"
    assert bench.world.request("POST", path, change, version="2026-03-25.dahlia").status == 400
    if since is None:
        assert bench.world.request("POST", path, change).status == 400
        return
    held = bench.world.request("POST", path, change, version=since).body
    (name,) = given
    assert held[name] == sub[name]
    assert held["pending_update"][name]
    bench.switch("ok")
    bench.post(f"invoices/{held['latest_invoice']}/pay")
    assert bench.sub(sub)[name] == held["pending_update"][name]


def test_not_for_bank_debits_and_sent_invoices(bench: Bench) -> None:
    """Nor can a change wait for a bank, or for an invoice that is sent."""
    bank = bench.subscribe(bench.customer("pm_usBankAccount_success"))
    sent = bench.subscribe(bench.customer(None), collection_method="send_invoice", days_until_due=7)
    for sub in (bank, sent):
        item = {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 2}]}
        assert bench.refuse(400, "POST", f"subscriptions/{sub['id']}", PENDING | item)["param"] == "payment_behavior"


def test_error_if_incomplete(bench: Bench) -> None:
    """Recorded: where 3-D Secure is asked for, the refusal says what to do, and nothing was."""
    sub = bench.subscribe()
    bench.switch("authenticate")
    bench.news()
    error = bench.refuse(402, "POST", f"subscriptions/{sub['id']}", {
        "items": [{"id": sub["items"]["data"][0]["id"], "quantity": 2}], "proration_behavior": "always_invoice",
        "payment_behavior": "error_if_incomplete"})  # fmt: skip
    assert (error["type"], error["code"]) == ("card_error", "subscription_payment_intent_requires_action")
    assert (bench.sub(sub), bench.news()) == (sub, [])


def test_default_incomplete(bench: Bench) -> None:
    """`default_incomplete` tries nothing: changed, past due, and active once the intent is confirmed."""
    sub = bench.subscribe()
    now = bench.post(f"subscriptions/{sub['id']}", {
        "items": [{"id": sub["items"]["data"][0]["id"], "quantity": 2}], "proration_behavior": "always_invoice",
        "payment_behavior": "default_incomplete", "expand": ["latest_invoice.payments"]})  # fmt: skip
    assert (now["status"], now["items"]["data"][0]["quantity"]) == ("past_due", 2)
    intent = now["latest_invoice"]["payments"]["data"][0]["payment"]["payment_intent"]
    bench.post(f"payment_intents/{intent}/confirm", {"payment_method": "pm_card_visa"})
    assert bench.status(sub) == "active"


def test_by_default_the_change_stays(bench: Bench) -> None:
    """Without a word about it a change whose invoice fails is made, and the subscription past due."""
    sub = bench.subscribe()
    bench.switch("generic_decline")
    bench.news()
    now = bench.post(f"subscriptions/{sub['id']}", {"items": [{"id": sub["items"]["data"][0]["id"], "quantity": 2}],
                                                   "proration_behavior": "always_invoice"})  # fmt: skip
    assert (now["status"], now["items"]["data"][0]["quantity"]) == ("past_due", 2)
    assert bench.told()[-2:] == FAILED
