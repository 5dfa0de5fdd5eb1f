"""Stripe's lifecycle table as rows, and every path through them as the steps that play it on a test clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec

from tests.clocks.stage import After, Life

P = ParamSpec("P")
Step = Callable[[Life], None]

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
    steps: tuple[Step, ...]
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


def path(source: str, destination: str, how: str, *steps: Step, row: str = "", account: str = "cancel") -> Path:
    """Name the row that these steps play; `row` where two rows go between the same states."""
    (found,) = [each for each in ROWS if each[:2] == (source, destination) and row in each[2]]
    return Path(found, how, steps, account)


def step(method: Callable[Concatenate[Life, P], None]) -> Callable[P, Step]:
    """A method of a life, to be called later."""

    def given(*args: P.args, **kwargs: P.kwargs) -> Step:
        return lambda life: method(life, *args, **kwargs)

    return given


begin, subscribe, update, resume = step(Life.begin), step(Life.subscribe), step(Life.update), step(Life.resume)
checkout, press, portal = step(Life.checkout), step(Life.press), step(Life.portal)
pay, card, on, renew, expect = step(Life.pay), step(Life.card), step(Life.on), step(Life.renewal), step(Life.expect)
change, authenticate, invoice_is = step(Life.change), step(Life.authenticate), step(Life.invoice_is)
CANCEL, PAUSE, VOID, FORGIVE = Life.cancel, Life.pause, Life.void, Life.forgive
PAY_OUTSIDE, CONFIRM, DETACH, DELETE_CUSTOMER = Life.pay_outside, Life.confirm, Life.detach, Life.delete_customer

NONE, INCOMPLETE, EXPIRED = expect("none"), expect("incomplete"), expect("incomplete_expired")
TRIALING, ACTIVE, PAST_DUE, UNPAID = expect("trialing"), expect("active"), expect("past_due"), expect("unpaid")
PAUSED, CANCELED = expect("paused"), expect("canceled")

FAILING: Final = "pm_card_chargeCustomerFail"
ASKING: Final = "pm_card_authenticationRequired"
CLASSIC: Final[dict[str, Any]] = {"billing_mode": {"type": "classic"}}
SENT: Final[dict[str, Any]] = {"collection_method": "send_invoice", "days_until_due": 7}
BASIL: Final = "2025-03-31.basil"
GOOD, ONCE_MORE, DECLINED, CHALLENGED = (
    {"card": number} for number in ("4242424242424242", "5555555555554444", "4000000000000002", "4000002760003184")
)

# How a life comes to a state.


def trial(card: str | None = "pm_card_visa", days: int = 14, missing: str = "", **more: Any) -> tuple[Step, ...]:
    """A trial; `missing` is what becomes of it where there is no card at its end."""
    if missing:
        more["trial_settings"] = {"end_behavior": {"missing_payment_method": missing}}
    return begin(card), subscribe(trial_period_days=days, **more), TRIALING


def first_try(card: str = FAILING, **more: Any) -> tuple[Step, ...]:
    """A first payment that is not made yet."""
    return begin(card), subscribe(**more), INCOMPLETE


def paying(**more: Any) -> tuple[Step, ...]:
    return begin(), subscribe(**more), ACTIVE


def owing(with_card: str = FAILING, **more: Any) -> tuple[Step, ...]:
    """A renewal that was not paid."""
    return *paying(**more), card(with_card), renew(), PAST_DUE


def invoiced() -> tuple[Step, ...]:
    return begin(None), subscribe(**SENT), ACTIVE


def debited(account: str) -> tuple[Step, ...]:
    """Paid from a bank account, which is heard of later."""
    return begin(f"pm_usBankAccount_{account}"), subscribe(), ACTIVE, invoice_is("open")


GIVEN_UP: Final = (*owing(), on(14), UNPAID)
LET_GO: Final = (*owing(), on(14), PAUSED)
RESTING: Final = (*paying(), PAUSE, PAUSED)
WITHOUT_A_CARD: Final = (*trial(None, 7, "pause"), on(7), PAUSED)
WAITING: Final = (*WITHOUT_A_CARD, resume("resume_on_payment_success"), PAUSED)

PATHS: Final = (
    path("none", "trialing", "with a card", *trial()),
    path("none", "trialing", "without a card", *trial(None)),
    path("none", "trialing", "trial_end given, invoices sent", begin(None), subscribe(trial_end=After(5), **SENT),
         TRIALING),
    path("none", "trialing", "through checkout, known by the session alone", begin(None, user_on_customer=False),
         checkout(subscription_data={"trial_period_days": 14}), press("pay", GOOD), TRIALING),
    path("none", "active", "paid", *paying(), row="paid"),
    path("none", "active", "nothing to pay", begin(None), subscribe(free=True), ACTIVE, row="paid"),
    path("none", "active", "paid in checkout, after a declined card", begin(None), checkout(),
         press("pay", DECLINED, 402), press("pay", GOOD), ACTIVE, row="paid"),
    path("none", "active", "invoices are sent, and paid", *invoiced(), on(hours=2), PAY_OUTSIDE, on(8), ACTIVE,
         row="send_invoice"),
    path("none", "active", "the debit succeeds", *debited("success"), on(5), ACTIVE, invoice_is("paid"), row="delayed"),
    path("none", "active", "the debit fails, and the invoice is voided", *debited("debitNotAuthorized"), on(5),
         expect("active", "payment_failed"), invoice_is("void"), row="delayed"),
    path("none", "incomplete", "the first payment fails", *first_try()),
    path("none", "incomplete", "the first payment needs 3-D Secure", *first_try(ASKING)),
    path("none", "incomplete", "default_incomplete tries nothing",
         *first_try("pm_card_visa", payment_behavior="default_incomplete")),
    path("none", "incomplete", "error_if_incomplete makes nothing, then checkout waits for 3-D Secure", begin(FAILING),
         subscribe(refused=True, payment_behavior="error_if_incomplete"), NONE, checkout(), press("pay", CHALLENGED),
         INCOMPLETE),

    path("incomplete", "active", "another card pays, in the last minute", *first_try(), on(hours=22.98), INCOMPLETE,
         pay(), ACTIVE),
    path("incomplete", "active", "3-D Secure is failed, then passed on the invoice's page", *first_try(ASKING),
         authenticate(False), INCOMPLETE, pay("", refused=True), authenticate(True), ACTIVE),
    path("incomplete", "active", "3-D Secure is passed in checkout", begin(None), checkout(),
         press("pay", CHALLENGED), INCOMPLETE, press("authenticate", {"succeed": True}), ACTIVE),
    path("incomplete", "active", "the prepared intent is confirmed",
         *first_try("pm_card_visa", payment_behavior="default_incomplete"), CONFIRM, ACTIVE),
    path("incomplete", "incomplete_expired", "after a failed payment", *first_try(), on(hours=23), EXPIRED),
    path("incomplete", "incomplete_expired", "nobody answered 3-D Secure", *first_try(ASKING), on(3), EXPIRED),
    path("incomplete", "incomplete_expired", "its invoice is voided", *first_try(), VOID, EXPIRED),
    path("incomplete", "canceled", "deleted", *first_try(), CANCEL, CANCELED),
    path("incomplete", "trialing", "what was due up front is paid", *first_try(trial_period_days=7, fee=500), pay(),
         TRIALING),

    path("trialing", "active", "its end comes, and the draft is paid an hour later", *trial(), on(14), ACTIVE,
         on(hours=1), ACTIVE),
    path("trialing", "active", "its end comes, and the invoice is sent", *trial(None, 7, **SENT), on(7, hours=2),
         ACTIVE),
    path("trialing", "active", "trial_end=now", *trial(), update(trial_end="now"), ACTIVE),
    path("trialing", "active", "a card comes in time", *trial(None, 7, "cancel"), card("pm_card_mastercard"),
         on(7, hours=1), ACTIVE),
    path("trialing", "past_due", "the charge at its end fails", *trial(FAILING), on(14, hours=1), PAST_DUE),
    path("trialing", "past_due", "trial_end=now, the charge fails", *trial(FAILING), update(trial_end="now"), PAST_DUE),
    path("trialing", "past_due", "create_invoice without a card", *trial(None, 14, "create_invoice"), on(14, hours=1),
         PAST_DUE),
    path("trialing", "past_due", "trial_end=now, create_invoice without a card", *trial(None, 14, "create_invoice"),
         update(trial_end="now"), PAST_DUE),
    path("trialing", "paused", "its end comes", *WITHOUT_A_CARD),
    path("trialing", "paused", "trial_end=now", *trial(None, 14, "pause"), update(trial_end="now"), PAUSED),
    path("trialing", "canceled", "its end comes without a card", *trial(None, 7, "cancel"), on(7), CANCELED),
    path("trialing", "canceled", "trial_end=now without a card", *trial(None, 7, "cancel"), update(trial_end="now"),
         CANCELED),
    path("trialing", "canceled", "deleted", *trial(), CANCEL, CANCELED),
    path("trialing", "canceled", "cancel_at_period_end", *trial(), update(cancel_at_period_end=True),
         expect("trialing", "ending"), on(14), CANCELED),
    path("trialing", "canceled", "a date before its end", *trial(), update(cancel_at=After(2)),
         expect("trialing", "ending"), on(20), CANCELED),

    path("active", "active", "once", *paying(), renew(), ACTIVE, row="renewal"),
    path("active", "active", "while its draft waits", *paying(), renew(hours=0), ACTIVE, row="renewal"),
    path("active", "active", "three in one advance", *paying(), on(95), ACTIVE, row="renewal"),
    path("active", "past_due", "the card fails", *owing()),
    path("active", "past_due", "the card fails, in classic mode", *owing(**CLASSIC)),
    path("active", "past_due", "the grace is over", begin(days_ago=43), subscribe(), ACTIVE, card(FAILING), renew(),
         expect("past_due", "payment_failed")),
    path("active", "past_due", "the card wants 3-D Secure", *owing(ASKING)),
    path("active", "past_due", "a debit fails days later", *paying(), card("pm_usBankAccount_insufficientFunds"),
         renew(), ACTIVE, on(4), PAST_DUE),
    path("active", "past_due", "the card was detached", *paying(), DETACH, renew(), PAST_DUE),
    path("active", "past_due", "the due date passes", *invoiced(), on(7, hours=1), PAST_DUE),
    path("active", "past_due", "a change billed at once is not paid", *paying(), card(FAILING),
         change(quantity=4, proration_behavior="always_invoice"), PAST_DUE),
    path("active", "past_due", "the setting to pause, in classic mode", *owing(**CLASSIC), account="pause at once"),
    path("active", "trialing", "a trial is given", *paying(), update(trial_end=After(40)), TRIALING),
    path("active", "paused", "paused, and nothing happens for months", *RESTING, on(90), PAUSED, row="/pause"),
    path("past_due", "paused", "paused, and no retry comes", *owing(), PAUSE, PAUSED, on(20), PAUSED, row="/pause"),
    path("unpaid", "paused", "paused", *GIVEN_UP, PAUSE, PAUSED, account="unpaid"),
    path("active", "paused", "flexible", *paying(), card(FAILING), renew(), PAUSED, row="first renewal failure",
         account="pause at once"),
    path("past_due", "paused", "flexible", *LET_GO, row="retries exhausted", account="pause"),
    path("active", "canceled", "deleted", *paying(), CANCEL, CANCELED),
    path("active", "canceled", "cancel_at_period_end", *paying(), update(cancel_at_period_end=True),
         expect("active", "ending"), renew(hours=0), CANCELED),
    path("active", "canceled", "a date", *paying(), update(cancel_at=After(45)), expect("active", "ending"), renew(),
         expect("active", "ending"), on(20), CANCELED),
    path("active", "canceled", "its customer is deleted", *paying(), DELETE_CUSTOMER, CANCELED),

    path("past_due", "active", "another card pays", *owing(), pay(), ACTIVE),
    path("past_due", "active", "a retry succeeds", *owing(), card("pm_card_mastercard"), on(1), ACTIVE),
    path("past_due", "active", "a new card in the portal", *owing(), portal("payment_method", ONCE_MORE), ACTIVE),
    path("past_due", "active", "3-D Secure is passed", *owing(ASKING), authenticate(True), ACTIVE),
    path("past_due", "active", "paid outside of Stripe, after its due date", *invoiced(), on(9), PAST_DUE, PAY_OUTSIDE,
         ACTIVE),
    path("past_due", "active", "marked uncollectible", *owing(), FORGIVE, ACTIVE),
    path("past_due", "active", "voided: the paid invoice before it counts", *owing(), VOID, ACTIVE),
    path("past_due", "unpaid", "all retries fail", *GIVEN_UP, account="unpaid"),
    path("past_due", "canceled", "all retries fail", *owing(), on(14), CANCELED),
    path("past_due", "canceled", "deleted", *owing(), CANCEL, CANCELED),
    path("past_due", "canceled", "the setting to pause, in classic mode", *owing(**CLASSIC), on(14), CANCELED,
         account="pause"),
    path("past_due", "past_due", "retries fail", *owing(), on(8), PAST_DUE),
    path("past_due", "past_due", "3-D Secure is never sent again by itself", *owing(ASKING), on(13), PAST_DUE),
    path("past_due", "past_due", "all retries fail, left so; the next cycle too", *owing(), on(14), PAST_DUE, renew(),
         PAST_DUE, account="leave"),
    path("unpaid", "active", "the invoice is paid", *GIVEN_UP, pay(), ACTIVE, account="unpaid"),
    path("unpaid", "active", "the draft of the latest cycle is paid", *GIVEN_UP, on(20), UNPAID, pay(), ACTIVE,
         account="unpaid"),
    path("unpaid", "unpaid", "two cycles, each leaves a draft", *GIVEN_UP, on(50), UNPAID, account="unpaid"),
    path("unpaid", "canceled", "deleted", *GIVEN_UP, CANCEL, CANCELED, account="unpaid"),
    path("unpaid", "canceled", "its date comes", *GIVEN_UP, update(cancel_at=After(1)), UNPAID, on(1), CANCELED,
         account="unpaid"),
    path("active", "unpaid", "the first failure is the last", *paying(), card(FAILING), renew(), UNPAID,
         account="no retries"),

    path("paused", "active", "its period goes on, nothing is billed", *RESTING, on(3),
         resume(billing_cycle_anchor={"type": "unchanged"}), ACTIVE),
    path("paused", "active", "a new period is paid at once", *RESTING, on(60), PAUSED, resume(), ACTIVE),
    path("paused", "active", "after a trial without a card, one comes", *WITHOUT_A_CARD, card("pm_card_visa"),
         resume(), ACTIVE),
    path("paused", "active", "resume_on_payment_success, paid days later", *WAITING, on(5), pay(), ACTIVE),
    path("paused", "active", "the resumption's invoice is marked uncollectible", *WAITING, FORGIVE, ACTIVE),
    path("paused", "active", "by itself, once the failed invoice is paid", *LET_GO, pay(), ACTIVE,
         account="pause, then resume when paid"),
    path("paused", "past_due", "there is no card", *WITHOUT_A_CARD, resume("resume_on_payment_attempt"), PAST_DUE),
    path("paused", "past_due", "the card fails, and is followed by another", *RESTING, card(FAILING), on(40), resume(),
         PAST_DUE, pay(), ACTIVE),
    path("paused", "paused", "the resumption's invoice is voided", *WAITING, VOID, PAUSED),
    path("paused", "paused", "23 h, by a version before endive", *WITHOUT_A_CARD, resume(version=BASIL), PAUSED,
         on(hours=23), PAUSED),
    path("paused", "paused", "a year", *WAITING, on(365), PAUSED),
    path("paused", "canceled", "deleted", *WITHOUT_A_CARD, CANCEL, CANCELED),
    path("paused", "canceled", "its date comes", *paying(), update(cancel_at=After(10)), PAUSE, PAUSED, on(10),
         CANCELED),

    *(path("active", "active", f"pause_collection {behavior}, on and off, and what was paid for is over",
           begin(days_ago=45), subscribe(), ACTIVE, update(pause_collection={"behavior": behavior}),
           expect("active", "collection_paused"), renew(), expect("active", "collection_paused"),
           update(pause_collection=""), ACTIVE, row=NO_CHANGE)
      for behavior in ("keep_as_draft", "mark_uncollectible", "void")),
    path("active", "active", "pause_collection, and what was paid for goes on", *paying(),
         update(pause_collection={"behavior": "void"}), ACTIVE, renew(), ACTIVE, row=NO_CHANGE),
    path("active", "active", "pause_collection ends by itself", *paying(),
         update(pause_collection={"behavior": "void", "resumes_at": After(3)}), ACTIVE, on(3), ACTIVE, row=NO_CHANGE),
    path("active", "active", "cancel_at_period_end on and off", *paying(), update(cancel_at_period_end=True),
         expect("active", "ending"), update(cancel_at_period_end=False), ACTIVE, row=NO_CHANGE),
    path("active", "active", "price, quantity and interval change", *paying(), on(10), change(quantity=3), ACTIVE,
         change(yearly=20_000), ACTIVE, row=NO_CHANGE),
    path("trialing", "trialing", "three days before its end; then it is longer", *trial(), on(11, hours=1), TRIALING,
         update(trial_end=After(9)), TRIALING, row=NO_CHANGE),
    path("trialing", "trialing", "shorter than three days", *trial(days=2), on(1), TRIALING, row=NO_CHANGE),
)  # fmt: skip
