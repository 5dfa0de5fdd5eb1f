"""STRIPE.md's lifecycle table as rows, and every path through them as it is played on a test clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
import stripe

from tests.clocks.stage import DAY, Life

Play = Callable[[Life], None]

NO_CHANGE: Final = "no change of status"
ROWS: Final = (
    ("none", "trialing", "create with trial"),
    ("none", "active", "create; paid, or total 0"),
    ("none", "active", "create, send_invoice"),
    ("none", "active", "create, delayed method"),
    ("none", "incomplete", "first payment fails / 3DS / default_incomplete"),
    ("incomplete", "active", "first invoice paid"),
    ("incomplete", "incomplete_expired", "23 h"),
    ("incomplete", "canceled", "DELETE"),
    ("incomplete", "trialing", "trial + upfront items paid"),
    ("trialing", "active", "trial end or trial_end=now"),
    ("trialing", "past_due", "post-trial charge fails; create_invoice without method"),
    ("trialing", "paused", "trial end, missing_payment_method=pause"),
    ("trialing", "canceled", "trial end / DELETE / cancel date"),
    ("active", "active", "renewal"),
    ("active", "past_due", "renewal fails or needs action; due date passes"),
    ("active", "trialing", "update with future trial_end"),
    ("active", "paused", "/pause"),
    ("past_due", "paused", "/pause"),
    ("unpaid", "paused", "/pause"),
    ("active", "paused", "setting: first renewal failure"),
    ("past_due", "paused", "setting: retries exhausted"),
    ("active", "canceled", "DELETE; cancel date reached; customer deleted"),
    ("past_due", "active", "latest invoice paid or marked uncollectible"),
    ("past_due", "unpaid", "retries exhausted, mark unpaid"),
    ("past_due", "canceled", "retries exhausted / DELETE"),
    ("past_due", "past_due", "retry fails; setting leave"),
    ("unpaid", "active", "pay most recent invoice"),
    ("unpaid", "unpaid", "cycle"),
    ("unpaid", "canceled", "DELETE / cancel date"),
    ("active", "unpaid", "retries off + mark unpaid"),
    ("paused", "active", "resume: no invoice, or invoice paid / uncollectible; auto-resume"),
    ("paused", "past_due", "resume_on_payment_attempt, payment fails"),
    ("paused", "paused", "resumption invoice voided, 23 h, 1 year"),
    ("paused", "canceled", "DELETE"),
    ("active", "active", NO_CHANGE),
    ("trialing", "trialing", NO_CHANGE),
)


class Path(NamedTuple):
    """One way to play a row, under these settings of the account."""

    row: tuple[str, str, str]
    how: str
    play: Play
    account: str

    def __str__(self) -> str:
        return f"{self.row[0]}→{self.row[1]}: {self.how}"


ACCOUNTS: Final[dict[str, dict[str, Any]]] = {
    "cancel": {},
    "unpaid": {"retries_end": "unpaid"},
    "leave": {"retries_end": "past_due"},
    "pause": {"retries_end": "pause"},
    "pause, then resume when paid": {"retries_end": "pause", "auto_resume": True},
    "pause at once": {"first_failure_pause": True},
    "no retries": {"retries": False, "retries_end": "unpaid"},
}
"""What the account does about failed payments, beside Stripe's default: cancel at the end of the retries."""
DEFAULTS: Final[dict[str, Any]] = {
    "retries_end": "cancel", "first_failure_pause": False, "retries": True, "auto_resume": False,
}  # fmt: skip

PATHS: list[Path] = []


def path(source: str, destination: str, how: str, *, row: str = "", account: str = "cancel") -> Callable[[Play], Play]:
    """Name the row that a function plays; `row` where two rows go between the same states."""
    (found,) = [r for r in ROWS if r[:2] == (source, destination) and row in r[2]]

    def keep(play: Play) -> Play:
        PATHS.append(Path(found, how, play, account))
        return play

    return keep


FAILING: Final = "pm_card_chargeCustomerFail"
ASKING: Final = "pm_card_authenticationRequired"
CLASSIC: Final[dict[str, Any]] = {"billing_mode": {"type": "classic"}}
SENT: Final[dict[str, Any]] = {"collection_method": "send_invoice", "days_until_due": 7}
BASIL: Final = {"stripe_version": "2025-03-31.basil"}


def without_method(behavior: str) -> dict[str, Any]:
    return {"trial_settings": {"end_behavior": {"missing_payment_method": behavior}}}


# -- how a life comes to a state -------------------------------------------------------------------


def trialing(life: Life, card: str | None = "pm_card_visa", days: int = 14, **more: Any) -> None:
    life.begin(card)
    life.subscribe(trial_period_days=days, **more)
    life.expect("trialing")


def active(life: Life, **more: Any) -> None:
    life.begin()
    life.subscribe(**more)
    life.expect("active")


def incomplete(life: Life, card: str = FAILING, **more: Any) -> None:
    life.begin(card)
    life.subscribe(**more)
    life.expect("incomplete")


def past_due(life: Life, card: str = FAILING, **more: Any) -> None:
    active(life, **more)
    life.card(card)
    life.renewal()
    life.expect("past_due")


def unpaid(life: Life) -> None:
    past_due(life)
    life.on(days=14)
    life.expect("unpaid")


def paused(life: Life) -> None:
    """Paused at a trial's end for want of a card."""
    trialing(life, None, 7, **without_method("pause"))
    life.on(days=7)
    life.expect("paused")


# -- from nothing ----------------------------------------------------------------------------------


@path("none", "trialing", "with a card")
def _(life: Life) -> None:
    trialing(life)


@path("none", "trialing", "without a card")
def _(life: Life) -> None:
    trialing(life, None)


@path("none", "trialing", "trial_end given, invoices sent")
def _(life: Life) -> None:
    life.begin(None)
    life.subscribe(trial_end=life.now + 5 * DAY, **SENT)
    life.expect("trialing")


@path("none", "trialing", "through checkout, known by the session alone")
def _(life: Life) -> None:
    life.begin(None, user_on_customer=False)
    session = life.checkout(subscription_data={"trial_period_days": 14})
    life.page(f"checkout/{session}/pay", {"card": "4242424242424242"})
    life.found()
    life.expect("trialing")


@path("none", "active", "paid", row="paid")
def _(life: Life) -> None:
    active(life)


@path("none", "active", "nothing to pay", row="paid")
def _(life: Life) -> None:
    life.begin(None)
    coupon = life.v1.coupons.create({"percent_off": 100, "duration": "forever"})
    life.subscribe(discounts=[{"coupon": coupon.id}])
    life.expect("active")


@path("none", "active", "paid in checkout", row="paid")
def _(life: Life) -> None:
    life.begin(None)
    session = life.checkout()
    life.page(f"checkout/{session}/pay", {"card": "4000000000000002"}, 402)
    life.page(f"checkout/{session}/pay", {"card": "4242424242424242"})
    life.found()
    life.expect("active")


@path("none", "active", "invoices are sent, and paid", row="send_invoice")
def _(life: Life) -> None:
    life.begin(None)
    life.subscribe(**SENT)
    life.expect("active")
    life.on(hours=2)
    life.v1.invoices.pay(life.invoice, {"paid_out_of_band": True})
    life.on(days=8)
    life.expect("active")


def delayed(life: Life, account: str) -> None:
    life.begin(account)
    life.subscribe()
    life.expect("active")
    assert life.v1.invoices.retrieve(life.invoice).status == "open"


@path("none", "active", "the debit succeeds", row="delayed")
def _(life: Life) -> None:
    delayed(life, "pm_usBankAccount_success")
    life.on(days=5)
    life.expect("active")
    assert life.v1.invoices.retrieve(life.invoice).status == "paid"


@path("none", "active", "the debit fails, and the invoice is voided", row="delayed")
def _(life: Life) -> None:
    delayed(life, "pm_usBankAccount_debitNotAuthorized")
    life.on(days=5)
    life.expect("active")
    assert life.v1.invoices.retrieve(life.invoice).status == "void"


@path("none", "incomplete", "the first payment fails")
def _(life: Life) -> None:
    incomplete(life)


@path("none", "incomplete", "the first payment needs 3-D Secure")
def _(life: Life) -> None:
    incomplete(life, ASKING)


@path("none", "incomplete", "default_incomplete tries nothing")
def _(life: Life) -> None:
    incomplete(life, "pm_card_visa", payment_behavior="default_incomplete")


@path("none", "incomplete", "checkout waits for 3-D Secure; another customer was refused by error_if_incomplete")
def _(life: Life) -> None:
    life.begin(FAILING)
    with pytest.raises(stripe.CardError):
        life.subscribe(payment_behavior="error_if_incomplete")
    life.expect("none")
    life.page(f"checkout/{life.checkout()}/pay", {"card": "4000002760003184"})
    life.found()
    life.expect("incomplete")


# -- incomplete ------------------------------------------------------------------------------------


@path("incomplete", "active", "another card pays, in the last minute")
def _(life: Life) -> None:
    incomplete(life)
    life.on(hours=22.98)
    life.expect("incomplete")
    life.pay()
    life.expect("active")


@path("incomplete", "active", "3-D Secure is passed on the invoice's page")
def _(life: Life) -> None:
    incomplete(life, ASKING)
    life.page(f"invoice/{life.invoice}/authenticate", {"succeed": False}, 402)
    life.expect("incomplete")
    life.pay_with_challenge()
    life.expect("active")


@path("incomplete", "active", "3-D Secure is passed in checkout")
def _(life: Life) -> None:
    life.begin(None)
    session = life.checkout()
    life.page(f"checkout/{session}/pay", {"card": "4000002760003184"})
    life.found()
    life.expect("incomplete")
    life.page(f"checkout/{session}/authenticate", {"succeed": True})
    life.expect("active")


@path("incomplete", "active", "the prepared intent is confirmed")
def _(life: Life) -> None:
    incomplete(life, "pm_card_visa", payment_behavior="default_incomplete")
    (payment,) = life.v1.invoice_payments.list({"invoice": life.invoice}).data
    life.v1.payment_intents.confirm(payment.payment.payment_intent, {"payment_method": "pm_card_visa"})
    life.expect("active")


@path("incomplete", "incomplete_expired", "after a failed payment")
def _(life: Life) -> None:
    incomplete(life)
    life.on(hours=23)
    life.expect("incomplete_expired")


@path("incomplete", "incomplete_expired", "nobody answered 3-D Secure")
def _(life: Life) -> None:
    incomplete(life, ASKING)
    life.on(days=3)
    life.expect("incomplete_expired")


@path("incomplete", "incomplete_expired", "its invoice is voided")
def _(life: Life) -> None:
    incomplete(life)
    life.v1.invoices.void_invoice(life.invoice)
    life.expect("incomplete_expired")


@path("incomplete", "canceled", "deleted")
def _(life: Life) -> None:
    incomplete(life)
    life.cancel()
    life.expect("canceled")


@path("incomplete", "trialing", "what was due up front is paid")
def _(life: Life) -> None:
    fee = life.v1.prices.create({"product": "prod_pro", "currency": "usd", "unit_amount": 500})
    incomplete(life, trial_period_days=7, add_invoice_items=[{"price": fee.id}])
    life.pay()
    life.expect("trialing")


# -- trialing --------------------------------------------------------------------------------------


@path("trialing", "active", "its end comes, and the draft is paid an hour later")
def _(life: Life) -> None:
    trialing(life)
    life.on(days=14)
    life.expect("active")
    life.on(hours=1)
    life.expect("active")


@path("trialing", "active", "its end comes, and the invoice is sent")
def _(life: Life) -> None:
    trialing(life, None, 7, **SENT)
    life.on(days=7, hours=2)
    life.expect("active")


@path("trialing", "active", "trial_end=now")
def _(life: Life) -> None:
    trialing(life)
    life.update(trial_end="now")
    life.expect("active")


@path("trialing", "active", "a card comes in time")
def _(life: Life) -> None:
    trialing(life, None, 7, **without_method("cancel"))
    life.card("pm_card_mastercard")
    life.on(days=7, hours=1)
    life.expect("active")


@path("trialing", "past_due", "the charge at its end fails")
def _(life: Life) -> None:
    trialing(life, FAILING)
    life.on(days=14, hours=1)
    life.expect("past_due")


@path("trialing", "past_due", "trial_end=now, and the charge fails")
def _(life: Life) -> None:
    trialing(life, FAILING)
    life.update(trial_end="now")
    life.expect("past_due")


@path("trialing", "past_due", "create_invoice without a card")
def _(life: Life) -> None:
    trialing(life, None, **without_method("create_invoice"))
    life.on(days=14, hours=1)
    life.expect("past_due")


@path("trialing", "past_due", "trial_end=now, create_invoice without a card")
def _(life: Life) -> None:
    trialing(life, None, **without_method("create_invoice"))
    life.update(trial_end="now")
    life.expect("past_due")


@path("trialing", "paused", "its end comes")
def _(life: Life) -> None:
    paused(life)


@path("trialing", "paused", "trial_end=now")
def _(life: Life) -> None:
    trialing(life, None, **without_method("pause"))
    life.update(trial_end="now")
    life.expect("paused")


@path("trialing", "canceled", "missing_payment_method=cancel")
def _(life: Life) -> None:
    trialing(life, None, 7, **without_method("cancel"))
    life.on(days=7)
    life.expect("canceled")


@path("trialing", "canceled", "trial_end=now, missing_payment_method=cancel")
def _(life: Life) -> None:
    trialing(life, None, 7, **without_method("cancel"))
    life.update(trial_end="now")
    life.expect("canceled")


@path("trialing", "canceled", "deleted")
def _(life: Life) -> None:
    trialing(life)
    life.cancel()
    life.expect("canceled")


@path("trialing", "canceled", "cancel_at_period_end")
def _(life: Life) -> None:
    trialing(life)
    life.update(cancel_at_period_end=True)
    life.expect("trialing", "ending")
    life.on(days=14)
    life.expect("canceled")


@path("trialing", "canceled", "a date before its end")
def _(life: Life) -> None:
    trialing(life)
    life.update(cancel_at=life.now + 2 * DAY)
    life.expect("trialing", "ending")
    life.on(days=20)
    life.expect("canceled")


# -- active ----------------------------------------------------------------------------------------


@path("active", "active", "once", row="renewal")
def _(life: Life) -> None:
    active(life)
    life.renewal()
    life.expect("active")


@path("active", "active", "while its draft waits", row="renewal")
def _(life: Life) -> None:
    active(life)
    life.to(life.period_end)
    life.expect("active")


@path("active", "active", "three in one advance", row="renewal")
def _(life: Life) -> None:
    active(life)
    life.on(days=95)
    life.expect("active")


@path("active", "past_due", "the card fails")
def _(life: Life) -> None:
    past_due(life)


@path("active", "past_due", "the card fails, in classic mode")
def _(life: Life) -> None:
    past_due(life, **CLASSIC)


@path("active", "past_due", "the grace is over")
def _(life: Life) -> None:
    life.begin(days_ago=43)
    life.subscribe()
    life.expect("active")
    life.card(FAILING)
    life.renewal()
    life.expect("past_due", "payment_failed")


@path("active", "past_due", "the card wants 3-D Secure")
def _(life: Life) -> None:
    past_due(life, ASKING)


@path("active", "past_due", "a debit fails days later")
def _(life: Life) -> None:
    active(life)
    life.card("pm_usBankAccount_insufficientFunds")
    life.renewal()
    life.expect("active")
    life.on(days=4)
    life.expect("past_due")


@path("active", "past_due", "the card was detached")
def _(life: Life) -> None:
    active(life)
    (method,) = life.v1.payment_methods.list({"customer": life.customer}).data
    life.v1.payment_methods.detach(method.id)
    life.renewal()
    life.expect("past_due")


@path("active", "past_due", "the due date passes")
def _(life: Life) -> None:
    life.begin(None)
    life.subscribe(**SENT)
    life.expect("active")
    life.on(days=7, hours=1)
    life.expect("past_due")


@path("active", "past_due", "a change billed at once is not paid")
def _(life: Life) -> None:
    active(life)
    life.card(FAILING)
    life.update(items=[{"id": life.item, "quantity": 4}], proration_behavior="always_invoice")
    life.expect("past_due")


@path("active", "trialing", "a trial is given")
def _(life: Life) -> None:
    active(life)
    life.update(trial_end=life.now + 40 * DAY)
    life.expect("trialing")


@path("active", "paused", "paused", row="/pause")
def _(life: Life) -> None:
    active(life)
    life.pause()
    life.expect("paused")
    life.on(days=90)
    life.expect("paused")


@path("past_due", "paused", "paused", row="/pause")
def _(life: Life) -> None:
    past_due(life)
    life.pause()
    life.expect("paused")
    life.on(days=20)
    life.expect("paused")


@path("unpaid", "paused", "paused", account="unpaid")
def _(life: Life) -> None:
    unpaid(life)
    life.pause()
    life.expect("paused")


@path("active", "paused", "flexible", row="first renewal failure", account="pause at once")
def _(life: Life) -> None:
    active(life)
    life.card(FAILING)
    life.renewal()
    life.expect("paused")


@path("active", "past_due", "the setting to pause, in classic mode", account="pause at once")
def _(life: Life) -> None:
    past_due(life, **CLASSIC)


@path("past_due", "paused", "flexible", row="retries exhausted", account="pause")
def _(life: Life) -> None:
    past_due(life)
    life.on(days=14)
    life.expect("paused")


@path("past_due", "canceled", "the setting to pause, in classic mode", account="pause")
def _(life: Life) -> None:
    past_due(life, **CLASSIC)
    life.on(days=14)
    life.expect("canceled")


@path("active", "canceled", "deleted")
def _(life: Life) -> None:
    active(life)
    life.cancel()
    life.expect("canceled")


@path("active", "canceled", "cancel_at_period_end")
def _(life: Life) -> None:
    active(life)
    life.update(cancel_at_period_end=True)
    life.expect("active", "ending")
    life.to(life.period_end)
    life.expect("canceled")


@path("active", "canceled", "a date")
def _(life: Life) -> None:
    active(life)
    life.update(cancel_at=life.now + 45 * DAY)
    life.expect("active", "ending")
    life.renewal()
    life.expect("active", "ending")
    life.on(days=20)
    life.expect("canceled")


@path("active", "canceled", "its customer is deleted")
def _(life: Life) -> None:
    active(life)
    life.v1.customers.delete(life.customer)
    life.expect("canceled")


# -- past_due, unpaid ------------------------------------------------------------------------------


@path("past_due", "active", "another card pays")
def _(life: Life) -> None:
    past_due(life)
    life.pay()
    life.expect("active")


@path("past_due", "active", "a retry succeeds")
def _(life: Life) -> None:
    past_due(life)
    life.card("pm_card_mastercard")
    life.on(days=1)
    life.expect("active")


@path("past_due", "active", "a new card in the portal")
def _(life: Life) -> None:
    past_due(life)
    session = life.v1.billing_portal.sessions.create({"customer": life.customer})
    life.page(f"portal/{session.id}/payment_method", {"card": "5555555555554444"})
    life.expect("active")


@path("past_due", "active", "3-D Secure is passed")
def _(life: Life) -> None:
    past_due(life, ASKING)
    life.page(f"invoice/{life.invoice}/authenticate", {"succeed": True})
    life.expect("active")


@path("past_due", "active", "paid outside of Stripe, after its due date")
def _(life: Life) -> None:
    life.begin(None)
    life.subscribe(**SENT)
    life.expect("active")
    life.on(days=9)
    life.expect("past_due")
    life.v1.invoices.pay(life.invoice, {"paid_out_of_band": True})
    life.expect("active")


@path("past_due", "active", "marked uncollectible")
def _(life: Life) -> None:
    past_due(life)
    life.v1.invoices.mark_uncollectible(life.invoice)
    life.expect("active")


@path("past_due", "active", "voided: the paid invoice before it counts")
def _(life: Life) -> None:
    past_due(life)
    life.v1.invoices.void_invoice(life.invoice)
    life.expect("active")


@path("past_due", "unpaid", "all retries fail", account="unpaid")
def _(life: Life) -> None:
    unpaid(life)


@path("past_due", "canceled", "all retries fail")
def _(life: Life) -> None:
    past_due(life)
    life.on(days=14)
    life.expect("canceled")


@path("past_due", "canceled", "deleted")
def _(life: Life) -> None:
    past_due(life)
    life.cancel()
    life.expect("canceled")


@path("past_due", "past_due", "retries fail")
def _(life: Life) -> None:
    past_due(life)
    life.on(days=8)
    life.expect("past_due")


@path("past_due", "past_due", "3-D Secure is never sent again by itself")
def _(life: Life) -> None:
    past_due(life, ASKING)
    life.on(days=13)
    life.expect("past_due")


@path("past_due", "past_due", "all retries fail, left so; the next cycle too", account="leave")
def _(life: Life) -> None:
    past_due(life)
    life.on(days=14)
    life.expect("past_due")
    life.renewal()
    life.expect("past_due")


@path("unpaid", "active", "the invoice is paid", account="unpaid")
def _(life: Life) -> None:
    unpaid(life)
    life.pay()
    life.expect("active")


@path("unpaid", "active", "the draft of the latest cycle is paid", account="unpaid")
def _(life: Life) -> None:
    unpaid(life)
    life.on(days=20)
    life.expect("unpaid")
    life.pay()
    life.expect("active")


@path("unpaid", "unpaid", "two cycles, each leaves a draft", account="unpaid")
def _(life: Life) -> None:
    unpaid(life)
    life.on(days=50)
    life.expect("unpaid")


@path("unpaid", "canceled", "deleted", account="unpaid")
def _(life: Life) -> None:
    unpaid(life)
    life.cancel()
    life.expect("canceled")


@path("unpaid", "canceled", "its date comes", account="unpaid")
def _(life: Life) -> None:
    unpaid(life)
    life.update(cancel_at=life.now + DAY)
    life.expect("unpaid")
    life.on(days=1)
    life.expect("canceled")


@path("active", "unpaid", "the first failure is the last", account="no retries")
def _(life: Life) -> None:
    active(life)
    life.card(FAILING)
    life.renewal()
    life.expect("unpaid")


# -- paused ----------------------------------------------------------------------------------------


@path("paused", "active", "its period goes on, nothing is billed")
def _(life: Life) -> None:
    active(life)
    life.pause()
    life.expect("paused")
    life.on(days=3)
    life.resume(billing_cycle_anchor={"type": "unchanged"})
    life.expect("active")


@path("paused", "active", "a new period is paid at once")
def _(life: Life) -> None:
    active(life)
    life.pause()
    life.on(days=60)
    life.expect("paused")
    life.resume()
    life.expect("active")


@path("paused", "active", "after a trial without a card, one comes")
def _(life: Life) -> None:
    paused(life)
    life.card("pm_card_visa")
    life.resume()
    life.expect("active")


@path("paused", "active", "resume_on_payment_success, paid days later")
def _(life: Life) -> None:
    paused(life)
    life.resume("resume_on_payment_success")
    life.expect("paused")
    life.on(days=5)
    life.pay()
    life.expect("active")


@path("paused", "active", "the resumption's invoice is marked uncollectible")
def _(life: Life) -> None:
    paused(life)
    life.resume("resume_on_payment_success")
    life.expect("paused")
    life.v1.invoices.mark_uncollectible(life.invoice)
    life.expect("active")


@path("paused", "active", "by itself, once the failed invoice is paid", account="pause, then resume when paid")
def _(life: Life) -> None:
    past_due(life)
    life.on(days=14)
    life.expect("paused")
    life.pay()
    life.expect("active")


@path("paused", "past_due", "there is no card")
def _(life: Life) -> None:
    paused(life)
    life.resume("resume_on_payment_attempt")
    life.expect("past_due")


@path("paused", "past_due", "the card fails, and is followed by another")
def _(life: Life) -> None:
    active(life)
    life.pause()
    life.expect("paused")
    life.card(FAILING)
    life.on(days=40)
    life.resume()
    life.expect("past_due")
    life.pay()
    life.expect("active")


@path("paused", "paused", "the resumption's invoice is voided")
def _(life: Life) -> None:
    paused(life)
    life.resume("resume_on_payment_success")
    life.v1.invoices.void_invoice(life.invoice)
    life.expect("paused")


@path("paused", "paused", "23 h, by a version before endive")
def _(life: Life) -> None:
    paused(life)
    life.resume(options=BASIL)
    life.expect("paused")
    life.on(hours=23)
    life.expect("paused")


@path("paused", "paused", "a year")
def _(life: Life) -> None:
    paused(life)
    life.resume("resume_on_payment_success")
    life.expect("paused")
    life.on(days=365)
    life.expect("paused")


@path("paused", "canceled", "deleted")
def _(life: Life) -> None:
    paused(life)
    life.cancel()
    life.expect("canceled")


@path("paused", "canceled", "its date comes")
def _(life: Life) -> None:
    active(life)
    life.update(cancel_at=life.now + 10 * DAY)
    life.pause()
    life.expect("paused")
    life.on(days=10)
    life.expect("canceled")


# -- no change of status ---------------------------------------------------------------------------


def _collection(behavior: str) -> None:
    @path("active", "active", f"pause_collection {behavior}, on and off", row=NO_CHANGE)
    def _(life: Life) -> None:
        active(life)
        life.update(pause_collection={"behavior": behavior})
        life.expect("active", "collection_paused")
        life.renewal()
        life.expect("active", "collection_paused")
        life.update(pause_collection="")
        life.expect("active")


for each in ("keep_as_draft", "mark_uncollectible", "void"):
    _collection(each)


@path("active", "active", "pause_collection ends by itself", row=NO_CHANGE)
def _(life: Life) -> None:
    active(life)
    life.update(pause_collection={"behavior": "void", "resumes_at": life.now + 3 * DAY})
    life.expect("active", "collection_paused")
    life.on(days=3)
    life.expect("active")


@path("active", "active", "cancel_at_period_end on and off", row=NO_CHANGE)
def _(life: Life) -> None:
    active(life)
    life.update(cancel_at_period_end=True)
    life.expect("active", "ending")
    life.update(cancel_at_period_end=False)
    life.expect("active")


@path("active", "active", "price, quantity and interval change", row=NO_CHANGE)
def _(life: Life) -> None:
    active(life)
    life.on(days=10)
    life.update(items=[{"id": life.item, "quantity": 3}])
    life.expect("active")
    yearly = life.v1.prices.create({"product": "prod_pro", "currency": "usd", "unit_amount": 20_000,
                                    "recurring": {"interval": "year"}})  # fmt: skip
    life.update(items=[{"id": life.item, "price": yearly.id}])
    life.expect("active")


@path("trialing", "trialing", "three days before its end; then it is longer", row=NO_CHANGE)
def _(life: Life) -> None:
    trialing(life)
    life.on(days=11, hours=1)
    life.expect("trialing")
    life.update(trial_end=life.now + 9 * DAY)
    life.expect("trialing")


@path("trialing", "trialing", "shorter than three days", row=NO_CHANGE)
def _(life: Life) -> None:
    trialing(life, days=2)
    life.on(days=1)
    life.expect("trialing")
