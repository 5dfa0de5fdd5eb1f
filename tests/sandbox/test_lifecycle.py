"""The lifecycle table, row by row: from, to, the events and their order. Pure: no HTTP, no clock."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.api.sandbox.core.errors import StripeError
from interlock.api.sandbox.people import hosted_invoice
from tests.sandbox.bench import DAY, FAILED, HOUR, MADE, PAID, Bench, S

Obj = dict[str, Any]


def changed_status(bench: Bench) -> list[tuple[str, str]]:
    """Each status change that the events tell: (before, after)."""
    return [
        (e["data"]["previous_attributes"]["status"], e["data"]["object"]["status"])
        for e in bench.news(S + "updated")
        if "status" in e["data"]["previous_attributes"]
    ]


# -- from nothing ----------------------------------------------------------------------------------


def test_create_with_trial(bench: Bench) -> None:
    """A trial begins trialing, with an invoice of nothing that is paid."""
    sub = bench.subscribe(bench.customer(None), trial_period_days=14)
    assert sub["status"] == "trialing"
    assert sub["trial_end"] == sub["created"] + 14 * DAY == sub["items"]["data"][0]["current_period_end"]
    assert bench.told() == [S + "created", *MADE, *PAID]
    invoice = bench.latest(sub)
    assert (invoice["status"], invoice["total"], invoice["billing_reason"]) == ("paid", 0, "subscription_create")


def test_create_and_pay(bench: Bench) -> None:
    """A card that pays makes it active, and `created` says so."""
    sub = bench.subscribe()
    assert sub["status"] == "active"
    news = bench.news("customer.subscription", "invoice.")
    assert [e["type"] for e in news] == [S + "created", *MADE, *PAID]
    assert news[0]["data"]["object"]["status"] == "active"
    invoice = bench.latest(sub)
    assert invoice["parent"]["subscription_details"]["subscription"] == sub["id"]
    assert (invoice["status"], invoice["amount_paid"], invoice["attempt_count"]) == ("paid", 2000, 1)


def test_create_for_nothing(bench: Bench) -> None:
    """A total of zero needs no card."""
    bench.post("coupons", {"id": "free", "percent_off": 100})
    sub = bench.subscribe(bench.customer(None), discounts=[{"coupon": "free"}])
    assert sub["status"] == "active"
    assert bench.latest(sub)["total"] == 0


def test_send_invoice(bench: Bench) -> None:
    """`send_invoice` is active at once; the draft is sent an hour later, and overdue makes past_due."""
    sub = bench.subscribe(bench.customer(None), collection_method="send_invoice", days_until_due=7)
    assert sub["status"] == "active"
    assert bench.told() == [S + "created", "invoice.created"]
    bench.wait(HOUR)
    assert bench.told() == ["invoice.finalized", "invoice.sent"]
    bench.wait(7 * DAY)
    assert bench.told() == [S + "updated", "invoice.overdue"]
    assert bench.status(sub) == "past_due"
    bench.post(f"invoices/{sub['latest_invoice']}/pay", {"paid_out_of_band": True})
    assert bench.status(sub) == "active"
    assert bench.told() == [S + "updated", "invoice.updated", "invoice.paid"]


@pytest.mark.parametrize(
    ("card", "last"),
    [("pm_card_chargeCustomerFail", "invoice.payment_failed"),
     ("pm_card_authenticationRequired", "invoice.payment_action_required")],
)  # fmt: skip
def test_create_incomplete(bench: Bench, card: str, last: str) -> None:
    """A first payment that fails or must be authenticated leaves it incomplete."""
    sub = bench.subscribe(bench.customer(card))
    assert sub["status"] == "incomplete"
    assert bench.told() == [S + "created", *MADE, "invoice.updated", last]
    assert bench.latest(sub)["next_payment_attempt"] is None


def test_default_incomplete(bench: Bench) -> None:
    """`default_incomplete` tries nothing; the intent waits, and paying makes it active."""
    customer = bench.customer()
    sub = bench.subscribe(customer, payment_behavior="default_incomplete", expand=["latest_invoice.payments"])
    assert sub["status"] == "incomplete"
    intent = sub["latest_invoice"]["payments"]["data"][0]["payment"]["payment_intent"]
    bench.news()
    method = customer["invoice_settings"]["default_payment_method"]
    bench.post(f"payment_intents/{intent}/confirm", {"payment_method": method})
    assert bench.told() == ["invoice_payment.paid", S + "updated", *PAID][1:]
    assert bench.status(sub) == "active"


def bank(bench: Bench, token: str, **more: Any) -> Obj:
    """A subscription that is paid from a bank account."""
    sub = bench.subscribe(bench.customer(f"pm_usBankAccount_{token}"), **more)
    assert sub["status"] == "active"
    return sub


def test_delayed_method(bench: Bench) -> None:
    """A bank account: active while the payment is processed, and its invoice is paid four days later."""
    sub = bank(bench, "success", payment_behavior="error_if_incomplete")
    assert bench.told() == [S + "created", *MADE, "invoice.updated"]
    invoice = bench.latest(sub)
    assert (invoice["status"], invoice["attempt_count"], invoice["next_payment_attempt"]) == ("open", 1, None)
    (intent,) = bench.get("payment_intents")["data"]
    assert (intent["status"], bench.get(f"charges/{intent['latest_charge']}")["status"]) == ("processing", "pending")
    bench.refuse(400, "POST", f"invoices/{invoice['id']}/pay")
    bench.refuse(400, "POST", f"payment_intents/{intent['id']}/confirm")
    bench.wait(4 * DAY)
    assert bench.told() == PAID
    assert bench.latest(sub)["attempt_count"] == 1
    assert bench.told("payment_intent", "charge") == []
    assert bench.get(f"payment_intents/{intent['id']}")["status"] == "succeeded"


@pytest.mark.parametrize("token", ["accountClosed", "noAccount", "insufficientFunds", "debitNotAuthorized"])
def test_delayed_method_fails(bench: Bench, token: str) -> None:
    """A first debit that fails later: the invoice is voided, the subscription stays active."""
    sub = bank(bench, token)
    bench.news()
    bench.wait(4 * DAY)
    told = bench.told("customer.subscription", "invoice.", "payment_intent", "charge")
    assert told == ["charge.failed", "payment_intent.payment_failed", "payment_intent.canceled",
                    "invoice.updated", "invoice.voided"]  # fmt: skip
    assert (bench.status(sub), bench.latest(sub)["status"]) == ("active", "void")


def test_delayed_renewal_fails(bench: Bench) -> None:
    """A later debit that fails is a failed renewal: past_due once it is heard of, and tried again."""
    sub = bank(bench, "insufficientFunds")
    bench.until(sub["items"]["data"][0]["current_period_end"] + HOUR)
    assert bench.status(sub) == "active"
    bench.news()
    bench.wait(4 * DAY)
    assert bench.told() == [S + "updated", *FAILED]
    invoice = bench.latest(sub)
    assert (bench.status(sub), invoice["attempt_count"]) == ("past_due", 1)
    bench.until(invoice["next_payment_attempt"])
    assert (bench.status(sub), bench.latest(sub)["attempt_count"]) == ("past_due", 2)


def test_bank_account_by_number(bench: Bench) -> None:
    """A payment method from a test account's number; an unknown one is refused."""
    given: Obj = {"account_number": "000123456789", "routing_number": "110000000", "account_holder_type": "individual"}
    made = bench.post("payment_methods", {"type": "us_bank_account", "us_bank_account": given})
    assert made["us_bank_account"]["last4"] == "6789"
    given["account_number"] = "1"
    bench.refuse(402, "POST", "payment_methods", {"type": "us_bank_account", "us_bank_account": given})
    bench.refuse(400, "POST", "payment_methods", {"type": "sepa_debit"})
    assert bench.get("payment_methods/pm_usBankAccount")["type"] == "us_bank_account"


def test_error_if_incomplete(bench: Bench) -> None:
    """`error_if_incomplete` answers 402 and creates nothing."""
    customer = bench.customer("pm_card_chargeCustomerFail")
    bench.news()
    error = bench.refuse(402, "POST", "subscriptions", {
        "customer": customer["id"], "items": [{"price": bench.price["id"]}],
        "payment_behavior": "error_if_incomplete"})  # fmt: skip
    assert (error["type"], error["code"]) == ("card_error", "card_declined")
    assert bench.news() == []
    assert bench.get("subscriptions", {"customer": customer["id"], "status": "all"})["data"] == []
    assert bench.get("invoices", {"customer": customer["id"]})["data"] == []


# -- incomplete ------------------------------------------------------------------------------------


def test_incomplete_paid(bench: Bench) -> None:
    """incomplete → active when the first invoice is paid within 23 hours."""
    sub = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"))
    bench.news()
    bench.post(f"invoices/{sub['latest_invoice']}/pay", {"payment_method": "pm_card_visa"})
    assert bench.told() == [S + "updated", *PAID]
    assert bench.status(sub) == "active"


def test_incomplete_expires(bench: Bench) -> None:
    """incomplete → incomplete_expired after 23 hours; the invoice is void."""
    sub = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"))
    bench.wait(23 * HOUR - 1)
    assert bench.status(sub) == "incomplete"
    bench.news()
    bench.wait(1)
    assert bench.told() == [S + "updated", "invoice.updated", "invoice.voided"]
    assert bench.status(sub) == "incomplete_expired"
    bench.refuse(404, "DELETE", f"subscriptions/{sub['id']}")


def test_incomplete_canceled(bench: Bench) -> None:
    """incomplete → canceled by DELETE."""
    sub = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"))
    bench.news()
    assert bench.delete(f"subscriptions/{sub['id']}")["status"] == "canceled"
    assert bench.told()[0] == S + "deleted"


def test_incomplete_then_trialing(bench: Bench) -> None:
    """A trial with something to pay up front begins when that is paid."""
    fee = bench.post("prices", {"product": bench.price["product"], "currency": "usd", "unit_amount": 500})
    sub = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"), trial_period_days=7,
                          add_invoice_items=[{"price": fee["id"]}])  # fmt: skip
    assert sub["status"] == "incomplete"
    bench.post(f"invoices/{sub['latest_invoice']}/pay", {"payment_method": "pm_card_visa"})
    assert changed_status(bench) == [("incomplete", "trialing")]


# -- trialing --------------------------------------------------------------------------------------


def test_trial_ends_and_is_paid(bench: Bench) -> None:
    """trialing → active at the trial's end; the draft waits an hour, then is paid."""
    sub = bench.subscribe(trial_period_days=14)
    bench.news()
    bench.until(sub["trial_end"] - 3 * DAY)
    assert bench.told() == [S + "trial_will_end"]
    bench.until(sub["trial_end"])
    assert bench.told() == [S + "updated", "invoice.created"]
    assert bench.status(sub) == "active"
    bench.wait(HOUR)
    assert bench.told() == ["invoice.finalized", *PAID]
    assert bench.latest(sub)["billing_reason"] == "subscription_cycle"


def test_short_trial_warns_at_once(bench: Bench) -> None:
    """A trial shorter than three days is announced to end when it begins, and once."""
    sub = bench.subscribe(trial_period_days=2)
    assert bench.told()[-1] == S + "trial_will_end"
    bench.until(sub["trial_end"])
    assert S + "trial_will_end" not in bench.told()


def test_trial_ended_now(bench: Bench) -> None:
    """`trial_end=now`: `subscription_update` is billed at once."""
    sub = bench.subscribe(trial_period_days=14)
    bench.news()
    assert bench.post(f"subscriptions/{sub['id']}", {"trial_end": "now"})["status"] == "active"
    assert bench.told() == [S + "trial_will_end", *MADE, S + "updated", *PAID]
    assert bench.latest(sub)["billing_reason"] == "subscription_update"


def test_trial_ended_now_unpaid(bench: Bench) -> None:
    """trialing → past_due when the charge after the trial fails."""
    sub = bench.subscribe(bench.customer("pm_card_chargeCustomerFail"), trial_period_days=14)
    bench.news()
    bench.post(f"subscriptions/{sub['id']}", {"trial_end": "now"})
    assert changed_status(bench) == [("trialing", "past_due")]


def test_trial_without_method_creates_invoice(bench: Bench) -> None:
    """`create_invoice` without a method: active for the draft's hour, then past_due."""
    sub = bench.subscribe(bench.customer(None), trial_period_days=7)
    bench.until(sub["trial_end"])
    assert bench.status(sub) == "active"
    bench.wait(HOUR)
    assert bench.status(sub) == "past_due"
    assert changed_status(bench) == [("trialing", "active"), ("active", "past_due")]


@pytest.mark.parametrize(
    ("behavior", "status", "events"),
    [("pause", "paused", [S + "paused", S + "updated"]), ("cancel", "canceled", [S + "deleted"])],
)
def test_trial_without_method(bench: Bench, behavior: str, status: str, events: list[str]) -> None:
    """`missing_payment_method` pauses or cancels at the trial's end."""
    sub = bench.subscribe(bench.customer(None), trial_period_days=7,
                          trial_settings={"end_behavior": {"missing_payment_method": behavior}})  # fmt: skip
    bench.until(sub["trial_end"] - 1)
    bench.news()
    bench.wait(1)
    assert bench.told() == events
    now = bench.sub(sub)
    assert now["status"] == status
    if status == "paused":
        assert now["status_details"]["paused"]["subscription"]["type"] == "trial_end_without_payment_method"


# -- active ----------------------------------------------------------------------------------------


def test_renewal(bench: Bench) -> None:
    """active → active: the items' period moves, a draft waits an hour, and is paid."""
    sub = bench.subscribe()
    old = sub["items"]["data"][0]
    bench.news()
    bench.until(old["current_period_end"])
    first, second = bench.news("customer.subscription", "invoice.")
    assert (first["type"], second["type"]) == (S + "updated", "invoice.created")
    previous = first["data"]["previous_attributes"]
    assert set(previous) == {"items", "latest_invoice"}
    assert previous["items"] == {"data": [old]}
    assert first["created"] == old["current_period_end"]
    new = first["data"]["object"]["items"]["data"][0]
    assert new["current_period_start"] == old["current_period_end"]
    bench.wait(HOUR - 1)
    assert bench.latest(sub)["status"] == "draft"
    bench.wait(1)
    assert bench.told() == ["invoice.finalized", *PAID]


def test_renewal_keeps_the_day(bench: Bench) -> None:
    """A subscription of the 31st renews on the last day of shorter months and comes back to the 31st."""
    import datetime as dt

    bench.until(int(dt.datetime(2028, 1, 31, 12, tzinfo=dt.UTC).timestamp()))
    sub = bench.subscribe()
    days: list[tuple[int, int]] = []
    for _ in range(3):
        end = bench.sub(sub)["items"]["data"][0]["current_period_end"]
        at = dt.datetime.fromtimestamp(end, dt.UTC)
        days.append((at.month, at.day))
        bench.until(end)
    assert days == [(2, 29), (3, 31), (4, 30)]


def past_due(bench: Bench, **more: Any) -> Obj:
    """A subscription whose renewal has just failed."""
    sub = bench.subscribe(**more)
    bench.switch("generic_decline")
    bench.news()
    bench.until(sub["items"]["data"][0]["current_period_end"] + HOUR)
    return bench.sub(sub)


def test_renewal_fails(bench: Bench) -> None:
    """active → past_due, and a retry is planned."""
    sub = past_due(bench)
    assert sub["status"] == "past_due"
    assert bench.told() == [S + "updated", *MADE, S + "updated", *FAILED]
    invoice = bench.latest(sub)
    assert (invoice["status"], invoice["attempt_count"], invoice["attempted"]) == ("open", 1, True)
    assert invoice["next_payment_attempt"] > bench.world.time


def test_renewal_needs_action(bench: Bench) -> None:
    """A renewal that must be authenticated tells `payment_action_required`; passing it makes it active."""
    sub = bench.subscribe()
    bench.switch("authenticate")
    bench.news()
    bench.until(sub["items"]["data"][0]["current_period_end"] + HOUR)
    assert bench.told()[-3:] == [S + "updated", "invoice.updated", "invoice.payment_action_required"]
    assert bench.status(sub) == "past_due"
    invoice = bench.sub(sub)["latest_invoice"]
    with pytest.raises(StripeError):
        bench.world.click(hosted_invoice.authenticate_hosted, invoice, False)
    error = bench.refuse(402, "POST", f"invoices/{invoice}/pay")
    assert error["code"] == "invoice_payment_intent_requires_action"
    assert bench.world.click(hosted_invoice.authenticate_hosted, invoice, True)["status"] == "paid"
    assert bench.status(sub) == "active"


def test_active_to_trialing(bench: Bench) -> None:
    """A trial end in the future makes an active one trialing."""
    sub = bench.subscribe()
    bench.news()
    bench.post(f"subscriptions/{sub['id']}", {"trial_end": bench.world.time + 40 * DAY})
    assert changed_status(bench) == [("active", "trialing")]


def test_pause_and_resume(bench: Bench) -> None:
    """active → paused by request, and back: a new period begins and is billed."""
    sub = bench.subscribe()
    bench.news()
    paused = bench.post(f"subscriptions/{sub['id']}/pause", {"type": "subscription"})
    assert paused["status"] == "paused"
    assert paused["status_details"]["paused"]["subscription"]["type"] == "pause_requested"
    assert bench.told() == [S + "paused", S + "updated"]
    bench.wait(90 * DAY)
    assert bench.told() == []
    assert bench.post(f"subscriptions/{sub['id']}/resume", {})["status"] == "active"
    assert bench.told() == [*MADE, S + "resumed", S + "updated", *PAID]


@pytest.mark.parametrize(
    "more",
    [{"trial_period_days": 7}, {"billing_mode": {"type": "classic"}},
     {"collection_method": "send_invoice", "days_until_due": 1}],
)  # fmt: skip
def test_cannot_pause(bench: Bench, more: Obj) -> None:
    """No pause in a trial, in classic mode, or with sent invoices."""
    sub = bench.subscribe(**more)
    bench.refuse(400, "POST", f"subscriptions/{sub['id']}/pause")


def test_cancel_now(bench: Bench) -> None:
    """active → canceled by DELETE; it cannot be changed or canceled again."""
    sub = bench.subscribe()
    bench.news()
    ended = bench.delete(f"subscriptions/{sub['id']}", {"cancellation_details": {"comment": "bye"}})
    assert ended["status"] == "canceled"
    assert ended["ended_at"] == ended["canceled_at"] == bench.world.time
    assert ended["cancellation_details"]["reason"] == "cancellation_requested"
    assert bench.told() == [S + "deleted"]
    bench.refuse(404, "DELETE", f"subscriptions/{sub['id']}")
    bench.refuse(404, "POST", f"subscriptions/{sub['id']}/resume")
    bench.refuse(400, "POST", f"subscriptions/{sub['id']}", {"cancel_at_period_end": True})
    bench.post(f"subscriptions/{sub['id']}", {"metadata": {"why": "left"}})


def test_cancel_at_period_end(bench: Bench) -> None:
    """Planned, taken back, planned again; at the end it is deleted and nothing is billed."""
    sub = bench.subscribe()
    path = f"subscriptions/{sub['id']}"
    planned = bench.post(path, {"cancel_at_period_end": True})
    end = sub["items"]["data"][0]["current_period_end"]
    assert (planned["cancel_at"], planned["canceled_at"]) == (end, bench.world.time)
    kept = bench.post(path, {"cancel_at_period_end": False})
    assert (kept["cancel_at"], kept["canceled_at"], kept["cancellation_details"]["reason"]) == (None, None, None)
    bench.post(path, {"cancel_at_period_end": True})
    bench.news()
    bench.until(end)
    assert bench.told() == [S + "deleted"]
    assert bench.status(sub) == "canceled"


def test_cancel_at_a_date(bench: Bench) -> None:
    """`cancel_at` a date, unset by an empty string."""
    sub = bench.subscribe()
    path = f"subscriptions/{sub['id']}"
    bench.post(path, {"cancel_at": bench.world.time + 5 * DAY})
    assert bench.post(path, {"cancel_at": ""})["cancel_at"] is None
    bench.post(path, {"cancel_at": bench.world.time + 5 * DAY})
    bench.wait(5 * DAY)
    assert bench.status(sub) == "canceled"
    ends = bench.post(f"subscriptions/{bench.subscribe()['id']}", {"cancel_at": "min_period_end"})
    assert ends["cancel_at"] == ends["items"]["data"][0]["current_period_end"]


def test_customer_deleted(bench: Bench) -> None:
    """Deleting the customer cancels."""
    customer = bench.customer()
    sub = bench.subscribe(customer)
    bench.news()
    bench.delete(f"customers/{customer['id']}")
    assert bench.told("customer.") == [S + "deleted", "customer.deleted"]
    assert bench.status(sub) == "canceled"


# -- past_due, unpaid ------------------------------------------------------------------------------


def test_past_due_paid(bench: Bench) -> None:
    """past_due → active when the latest invoice is paid."""
    sub = past_due(bench)
    bench.news()
    bench.post(f"invoices/{sub['latest_invoice']}/pay", {"payment_method": "pm_card_mastercard"})
    assert bench.told() == [S + "updated", *PAID]
    assert bench.status(sub) == "active"


def test_past_due_recovers_by_retry(bench: Bench) -> None:
    """A retry that succeeds makes it active without anyone's doing."""
    sub = past_due(bench)
    bench.switch("ok")
    bench.news()
    bench.wait(DAY)
    assert changed_status(bench) == [("past_due", "active")]
    assert bench.latest(sub)["attempt_count"] == 2


def test_uncollectible_makes_active(bench: Bench) -> None:
    """past_due → active when the invoice is marked uncollectible; it never becomes unpaid by that."""
    sub = past_due(bench)
    bench.news()
    bench.post(f"invoices/{sub['latest_invoice']}/mark_uncollectible")
    assert bench.told() == [S + "updated", "invoice.updated", "invoice.marked_uncollectible"]
    assert bench.status(sub) == "active"
    assert bench.latest(sub)["status_details"]["uncollectible"]["reason"] == "user_forgiven"


def test_void_follows_the_invoice_before(bench: Bench) -> None:
    """A voided invoice is ignored: the paid one before it decides."""
    sub = past_due(bench)
    bench.post(f"invoices/{sub['latest_invoice']}/void")
    assert bench.status(sub) == "active"


@pytest.mark.parametrize(
    ("setting", "status", "last"),
    [("cancel", "canceled", S + "deleted"), ("unpaid", "unpaid", S + "updated"),
     ("past_due", "past_due", None), ("pause", "paused", S + "paused")],
)  # fmt: skip
def test_retries_end(bench: Bench, setting: str, status: str, last: str | None) -> None:
    """Eight retries within two weeks; then what the account says."""
    bench.world.account["retries_end"] = setting
    sub = past_due(bench)
    started = bench.world.time
    bench.news()
    bench.until(started + 14 * DAY - 1)
    assert bench.status(sub) == "past_due"
    assert bench.told("invoice.payment_failed") == ["invoice.payment_failed"] * 7
    bench.wait(1)
    news = bench.told()
    assert news[-1] == "invoice.payment_failed"
    assert last is None or last in news
    now = bench.sub(sub)
    assert now["status"] == status
    invoice = bench.latest(sub)
    assert (invoice["attempt_count"], invoice["next_payment_attempt"]) == (9, None)
    if status == "canceled":
        assert now["cancellation_details"]["reason"] == "payment_failed"
    if status == "paused":
        assert now["status_details"]["paused"]["subscription"]["type"] == "final_payment_failure"


def test_retries_end_pause_needs_flexible(bench: Bench) -> None:
    """In classic mode the pause setting cancels at the end of the retries."""
    bench.world.account["retries_end"] = "pause"
    sub = past_due(bench, billing_mode={"type": "classic"})
    bench.wait(15 * DAY)
    assert bench.status(sub) == "canceled"


@pytest.mark.parametrize(("auto_resume", "status"), [(True, "active"), (False, "paused")])
def test_paying_ends_a_pause(bench: Bench, auto_resume: bool, status: str) -> None:
    """Paused for failed payments: paying the invoice resumes where the account says so."""
    bench.world.account |= {"retries_end": "pause", "auto_resume": auto_resume}
    sub = past_due(bench)
    bench.wait(14 * DAY)
    assert bench.status(sub) == "paused"
    bench.post(f"invoices/{sub['latest_invoice']}/pay", {"payment_method": "pm_card_visa"})
    assert bench.status(sub) == status
    assert (S + "resumed" in bench.told()) is auto_resume


@pytest.mark.parametrize(("mode", "status"), [("flexible", "paused"), ("classic", "past_due")])
def test_first_failure_pauses(bench: Bench, mode: str, status: str) -> None:
    """The account may pause at the first failed renewal, in flexible mode."""
    bench.world.account["first_failure_pause"] = True
    sub = past_due(bench, billing_mode={"type": mode})
    assert sub["status"] == status


def test_hard_decline_is_not_sent_again(bench: Bench) -> None:
    """After a hard decline retries wait for another card: planned, but nothing is charged."""
    sub = bench.subscribe()
    bench.switch("stolen_card")
    bench.until(sub["items"]["data"][0]["current_period_end"] + HOUR)
    charges = len(list(bench.world.all("charge")))
    bench.wait(6 * DAY)
    assert len(list(bench.world.all("charge"))) == charges
    assert bench.latest(sub)["attempt_count"] == 1


def test_retries_off(bench: Bench) -> None:
    """Without retries the first failure is the last: active → unpaid."""
    bench.world.account |= {"retries": False, "retries_end": "unpaid"}
    sub = past_due(bench)
    assert sub["status"] == "unpaid"


def test_unpaid_keeps_drafts(bench: Bench) -> None:
    """unpaid → unpaid: each cycle leaves a draft that nobody attempts; only paying the newest one revives."""
    bench.world.account["retries_end"] = "unpaid"
    sub = past_due(bench)
    unpaid = sub["latest_invoice"]
    bench.wait(15 * DAY)
    bench.news()
    bench.wait(31 * DAY)
    assert bench.told() == [S + "updated", "invoice.created"]
    latest = bench.latest(sub)
    assert (latest["status"], latest["auto_advance"], latest["attempted"]) == ("draft", False, False)
    bench.post(f"invoices/{unpaid}/pay", {"payment_method": "pm_card_visa"})
    assert bench.status(sub) == "unpaid"
    bench.post(f"invoices/{latest['id']}/pay", {"payment_method": "pm_card_visa"})
    assert bench.status(sub) == "active"


def test_unpaid_canceled(bench: Bench) -> None:
    """unpaid → canceled by DELETE."""
    bench.world.account["retries_end"] = "unpaid"
    sub = past_due(bench)
    bench.wait(15 * DAY)
    assert bench.delete(f"subscriptions/{sub['id']}")["status"] == "canceled"


def test_past_due_pauses(bench: Bench) -> None:
    """past_due → paused by request; the retries stop."""
    sub = past_due(bench)
    bench.post(f"subscriptions/{sub['id']}/pause")
    bench.news()
    bench.wait(20 * DAY)
    assert bench.told() == []


# -- paused ----------------------------------------------------------------------------------------


def paused(bench: Bench) -> Obj:
    """Paused at a trial's end, for want of a card."""
    sub = bench.subscribe(bench.customer(None), trial_period_days=7,
                          trial_settings={"end_behavior": {"missing_payment_method": "pause"}})  # fmt: skip
    bench.until(sub["trial_end"])
    bench.news()
    return sub


def test_resume_fails(bench: Bench) -> None:
    """paused → past_due when the payment of the resumption fails; it never goes back to paused."""
    sub = paused(bench)
    assert bench.post(f"subscriptions/{sub['id']}/resume")["status"] == "past_due"
    assert changed_status(bench) == [("paused", "past_due")]
    bench.wait(2 * DAY)
    assert bench.status(sub) == "past_due"


def test_resume_on_success_waits(bench: Bench) -> None:
    """`resume_on_payment_success` stays paused until its invoice is paid, then applies the update."""
    sub = paused(bench)
    path = f"subscriptions/{sub['id']}/resume"
    waiting = bench.post(path, {"payment_behavior": "resume_on_payment_success"})
    assert waiting["status"] == "paused"
    assert waiting["pending_update"]["expires_at"] == bench.world.time + 365 * DAY
    bench.news()
    bench.post(f"invoices/{waiting['latest_invoice']}/pay", {"payment_method": "pm_card_visa"})
    assert bench.told() == [S + "pending_update_applied", S + "resumed", S + "updated", *PAID]
    assert bench.status(sub) == "active"


def test_resume_uncollectible(bench: Bench) -> None:
    """Marking the resumption's invoice uncollectible resumes too."""
    sub = paused(bench)
    waiting = bench.post(f"subscriptions/{sub['id']}/resume", {"payment_behavior": "resume_on_payment_success"})
    bench.post(f"invoices/{waiting['latest_invoice']}/mark_uncollectible")
    assert bench.status(sub) == "active"


def test_resume_lapses(bench: Bench) -> None:
    """By a version before endive the resumption lapses after 23 hours; it stays paused."""
    sub = paused(bench)
    waiting = bench.post(f"subscriptions/{sub['id']}/resume", version="2025-03-31.basil")
    assert waiting["status"] == "paused"
    bench.news()
    bench.wait(23 * HOUR)
    assert S + "pending_update_expired" in bench.told()
    assert bench.status(sub) == "paused"
    assert bench.latest(sub)["status"] == "void"


def test_resume_voided(bench: Bench) -> None:
    """Voiding the resumption's invoice leaves it paused."""
    sub = paused(bench)
    waiting = bench.post(f"subscriptions/{sub['id']}/resume", {"payment_behavior": "resume_on_payment_success"})
    bench.post(f"invoices/{waiting['latest_invoice']}/void")
    assert bench.status(sub) == "paused"
    assert bench.sub(sub)["pending_update"] is None


def test_paused_canceled(bench: Bench) -> None:
    """paused → canceled by DELETE."""
    sub = paused(bench)
    assert bench.delete(f"subscriptions/{sub['id']}")["status"] == "canceled"


# -- no change of status ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behavior", "status"), [("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible"), ("void", "void")]
)
def test_pause_collection(bench: Bench, behavior: str, status: str) -> None:
    """`pause_collection` leaves the status active and does with the invoices as it says."""
    sub = bench.subscribe()
    path = f"subscriptions/{sub['id']}"
    bench.news()
    bench.post(path, {"pause_collection": {"behavior": behavior}})
    assert bench.news(S)[0]["data"]["previous_attributes"] == {"pause_collection": None}
    bench.until(sub["items"]["data"][0]["current_period_end"] + 2 * HOUR)
    assert (bench.status(sub), bench.latest(sub)["status"]) == ("active", status)
    bench.post(path, {"pause_collection": ""})
    assert bench.sub(sub)["pause_collection"] is None


def test_pause_collection_resumes(bench: Bench) -> None:
    """`resumes_at` ends it by itself."""
    sub = bench.subscribe()
    until = bench.world.time + 3 * DAY
    bench.post(f"subscriptions/{sub['id']}", {"pause_collection": {"behavior": "void", "resumes_at": until}})
    bench.wait(3 * DAY)
    assert bench.sub(sub)["pause_collection"] is None


def test_change_of_price(bench: Bench) -> None:
    """Another price in mid-period: a credit and a charge wait for the next invoice."""
    more = bench.post("prices", {"product": bench.price["product"], "currency": "usd", "unit_amount": 4000,
                                 "recurring": {"interval": "month"}})  # fmt: skip
    sub = bench.subscribe()
    start, end = (sub["items"]["data"][0][f"current_period_{x}"] for x in ("start", "end"))
    bench.until((start + end) // 2)
    bench.post(f"subscriptions/{sub['id']}",
               {"items": [{"id": sub["items"]["data"][0]["id"], "price": more["id"], "quantity": 2}]})  # fmt: skip
    pending = bench.get("invoiceitems", {"pending": True})["data"]
    assert sorted(item["amount"] for item in pending) == [-1000, 4000]
    bench.until(end + HOUR)
    assert bench.latest(sub)["total"] == 8000 - 1000 + 4000


def test_change_billed_at_once(bench: Bench) -> None:
    """`always_invoice` bills the difference now; a change without proration bills nothing."""
    sub = bench.subscribe()
    item = sub["items"]["data"][0]["id"]
    path = f"subscriptions/{sub['id']}"
    bench.post(path, {"items": [{"id": item, "quantity": 3}], "proration_behavior": "always_invoice"})
    assert bench.latest(sub)["amount_paid"] == 4000
    before = bench.sub(sub)["latest_invoice"]
    bench.post(path, {"items": [{"id": item, "quantity": 1}], "proration_behavior": "none"})
    assert bench.sub(sub)["latest_invoice"] == before


@pytest.mark.parametrize(
    ("mode", "anchor", "anew"),
    [("classic", None, True), ("flexible", {"type": "now"}, True), ("flexible", None, False)],
)
def test_change_of_interval(bench: Bench, mode: str, anchor: Obj | None, anew: bool) -> None:
    """Another interval begins a new cycle now, and is billed now, in classic mode; in flexible where it is said."""
    yearly = bench.post("prices", {"product": bench.price["product"], "currency": "usd", "unit_amount": 20000,
                                   "recurring": {"interval": "year"}})  # fmt: skip
    sub = bench.subscribe(billing_mode={"type": mode})
    bench.wait(DAY)
    change: Obj = {"items": [{"id": sub["items"]["data"][0]["id"], "price": yearly["id"]}]}
    now = bench.post(f"subscriptions/{sub['id']}", change | ({"billing_cycle_anchor": anchor} if anchor else {}))
    begun = bench.world.time if anew else sub["billing_cycle_anchor"]
    assert (now["billing_cycle_anchor"], now["items"]["data"][0]["current_period_start"]) == (begun, begun)
    assert (now["latest_invoice"] != sub["latest_invoice"]) == anew


def test_discount(bench: Bench) -> None:
    """A coupon for good takes its part of every invoice; one for once of the first only."""
    bench.post("coupons", {"id": "half", "percent_off": 50, "duration": "forever"})
    bench.post("coupons", {"id": "once", "amount_off": 500, "currency": "usd", "duration": "once"})
    forever = bench.subscribe(discounts=[{"coupon": "half"}])
    once = bench.subscribe(discounts=[{"coupon": "once"}])
    assert [bench.latest(s)["total"] for s in (forever, once)] == [1000, 1500]
    bench.until(forever["items"]["data"][0]["current_period_end"] + HOUR)
    assert [bench.latest(s)["total"] for s in (forever, once)] == [1000, 2000]


def test_discount_of_the_customer(bench: Bench) -> None:
    """A customer's coupon counts where the subscription has none; changed, and given up."""
    for id_, percent in (("half", 50), ("tenth", 10)):
        bench.post("coupons", {"id": id_, "percent_off": percent, "duration": "forever"})
    customer = bench.customer(coupon="half")
    assert bench.latest(bench.subscribe(customer))["total"] == 1000
    path = f"customers/{customer['id']}"
    assert bench.post(path, {"coupon": "tenth"})["discount"]["source"]["coupon"] == "tenth"
    assert bench.post(path, {"coupon": ""})["discount"] is None
    kinds = ["created", "updated", "deleted"]
    assert bench.told("customer.discount") == [f"customer.discount.{kind}" for kind in kinds]
    assert bench.latest(bench.subscribe(customer))["total"] == 2000


def test_metered(bench: Bench) -> None:
    """A metered price bills what the meter counted in the period."""
    meter = bench.post("billing/meters", {"display_name": "Calls", "event_name": "call",
                                          "default_aggregation": {"formula": "sum"}})  # fmt: skip
    price = bench.post("prices", {
        "product": bench.price["product"], "currency": "usd", "unit_amount": 3,
        "recurring": {"interval": "month", "usage_type": "metered", "meter": meter["id"]}})  # fmt: skip
    customer = bench.customer()
    sub = bench.post("subscriptions", {"customer": customer["id"], "items": [{"price": price["id"]}]})
    assert sub["status"] == "active"
    for value in ("5", "7"):
        payload = {"stripe_customer_id": customer["id"], "value": value}
        bench.post("billing/meter_events", {"event_name": "call", "payload": payload})
    bench.until(sub["items"]["data"][0]["current_period_end"] + HOUR)
    assert bench.latest(sub)["total"] == 36


@pytest.mark.parametrize("path", ["subscriptions/{sub}", "subscription_items/{item}"])
def test_change_unpaid_is_refused(bench: Bench, path: str) -> None:
    """`error_if_incomplete`: a change whose invoice cannot be paid is a 402, and nothing has changed."""
    sub = bench.subscribe()
    item = sub["items"]["data"][0]["id"]
    big = bench.post("prices", {"product": bench.price["product"], "currency": "usd", "unit_amount": 9000,
                                "recurring": {"interval": "month"}})["id"]  # fmt: skip
    change: Obj = {"price": big} if path.startswith("subscription_items") else {"items": [{"id": item, "price": big}]}
    bench.switch("generic_decline")
    bench.news()
    error = bench.refuse(402, "POST", path.format(sub=sub["id"], item=item), change | {
        "proration_behavior": "always_invoice", "payment_behavior": "error_if_incomplete"})  # fmt: skip
    assert (error["type"], error["code"]) == ("card_error", "card_declined")
    assert (bench.sub(sub), bench.news()) == (sub, [])


def test_trial_ended_unpaid_is_refused(bench: Bench) -> None:
    """So too a trial that is to end now; without any payment method it is a 400."""
    paying, none = bench.subscribe(trial_period_days=9), bench.subscribe(bench.customer(None), trial_period_days=9)
    bench.switch("generic_decline")
    now = {"trial_end": "now", "payment_behavior": "error_if_incomplete"}
    bench.refuse(402, "POST", f"subscriptions/{paying['id']}", now)
    assert bench.refuse(400, "POST", f"subscriptions/{none['id']}", now)["code"] == "resource_missing"
    assert (bench.sub(paying), bench.sub(none)) == (paying, none)
