"""Getting an invoice paid, and what its outcome does to the subscription it belongs to.

The rules are tables: `AFTER_PAID`, `AFTER_FAILED`, `RETRY_DAYS`. A subscription's status follows its
most recent invoice that is not void.
"""

from __future__ import annotations

from interlock.api.sandbox.core.cards import AUTHENTICATE, HARD_DECLINES, OK, PROCESSING
from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY
from interlock.api.sandbox.objects import (
    discounts,
    invoice_document,
    payments,
    pending_updates,
    standing,
)

# Smart retries: days after the first failure; eight within two weeks.
RETRY_DAYS = (1, 3, 5, 7, 9, 11, 13, 14)

AFTER_PAID = {"incomplete": "active", "past_due": "active", "unpaid": "active"}
AFTER_PROCESSING = {"incomplete": "active"}
AFTER_UNCOLLECTIBLE = {"past_due": "active"}
PAUSED_BY_FAILURE = ("first_payment_failure", "final_payment_failure")
AFTER_FAILED = {"active": "past_due", "trialing": "past_due", "past_due": "past_due"}
# Invoices whose failure is retried by itself; the first one of a subscription never is.
RETRIED = ("subscription_cycle", "subscription_update", "subscription", "manual", "subscription_threshold")


def subscription_of(w: Ledger, invoice: Obj) -> Obj | None:
    """The subscription an invoice bills."""
    details = (invoice.get("parent") or NOTHING).get("subscription_details") or NOTHING
    return w.find("subscription", details.get("subscription"))


def deciding_invoice(w: Ledger, sub: Obj) -> Obj | None:
    """The most recent invoice that is not void. A draft is still to come, but for `unpaid`: there it stays one."""
    ignored = ("void",) if sub["status"] == "unpaid" else ("void", "draft")
    for invoice in reversed(standing.invoices_of(w, sub)):
        if invoice["status"] not in ignored and not pending_updates.held(w, sub, invoice):
            return invoice
    return None


def method_for(w: Ledger, invoice: Obj) -> str | None:
    """The payment method that would be charged: the invoice's, else the one that the subscription is paid with."""
    own: str | None = invoice["default_payment_method"]
    return own or method_of(w, subscription_of(w, invoice) or {"customer": invoice["customer"]})


def method_of(w: Ledger, sub: Obj) -> str | None:
    """The payment method of a subscription: its own, else its customer's."""
    customer = w.get("customer", sub["customer"])
    for owner, field in (
        (sub, "default_payment_method"), (sub, "default_source"),
        (customer.get("invoice_settings") or NOTHING, "default_payment_method"), (customer, "default_source"),
    ):  # fmt: skip
        if owner.get(field):
            return str(owner[field])
    return None


def collect(
    w: Ledger, invoice: Obj, *, on_session: bool = False, method: str | None = None, manual: bool = False
) -> str:
    """Try to get an open invoice paid and let the subscription follow; returns the outcome."""
    if invoice["amount_remaining"] == 0:
        mark_paid(w, invoice)
        return OK
    if invoice["collection_method"] == "send_invoice" and not manual:
        w.emit("invoice.sent", invoice)
        return OK
    method = method or method_for(w, invoice)
    if method is None:
        return failed(w, invoice, payments.NO_METHOD, manual)
    if (invoice_document.intent_of(w, invoice) or NOTHING).get("status") == "processing":
        if manual:
            raise invalid("This invoice's payment is being processed.", code="payment_intent_unexpected_state")
        return PROCESSING
    if not manual and _blocked(w, invoice, method):
        return failed(w, invoice, str(w.notes[invoice["id"]]["declined"]), manual, charged=False)
    outcome = payments.confirm(w, _intent_for(w, invoice), method, on_session=on_session)
    return conclude(w, invoice, outcome, method, manual)


def conclude(w: Ledger, invoice: Obj, outcome: str, method: str | None, manual: bool) -> str:
    """What one attempt came to."""
    if outcome == OK:
        # the first attempt counts, and every one that Stripe makes by itself
        if not manual or not invoice["attempted"]:
            w.touch(invoice)["attempt_count"] += 1
        mark_paid(w, invoice)
        return OK
    note = w.note(invoice["id"])
    if outcome == PROCESSING:
        _wait(w, invoice, note)
        return PROCESSING
    note |= {"declined": outcome, "declined_method": method}
    return failed(w, invoice, outcome, manual)


def _wait(w: Ledger, invoice: Obj, note: Obj) -> None:
    """The payment is pending: a first one counts as made, and no other is tried until it ends."""
    w.touch(invoice)
    invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1, "next_payment_attempt": None}
    note["counted"] = True
    sub = subscription_of(w, invoice)
    if sub is not None and not (w.notes.get(sub["id"], NOTHING).get("resuming") or NOTHING).get("later"):
        _follow(w, sub, invoice, AFTER_PROCESSING)
    w.emit("invoice.updated", invoice)


def _blocked(w: Ledger, invoice: Obj, method: str) -> bool:
    """A hard decline is not sent again until there is another payment method."""
    note = w.notes.get(invoice["id"], {})
    return note.get("declined") in (*HARD_DECLINES, AUTHENTICATE) and note.get("declined_method") == method


def _intent_for(w: Ledger, invoice: Obj) -> Obj:
    intent = invoice_document.intent_of(w, invoice)
    if intent is None or intent["status"] == "canceled":
        intent = payments.new_intent(
            w, invoice["amount_remaining"], invoice["currency"], invoice["customer"],
            description=f"Invoice {invoice['number']}",
        )  # fmt: skip
        invoice_document.add_payment(w, invoice, intent)
    return intent


def prepare(w: Ledger, invoice: Obj) -> None:
    """An open invoice gets its payment intent without an attempt (`default_incomplete`)."""
    if invoice["amount_remaining"] > 0:
        _intent_for(w, invoice)


# -- outcomes --------------------------------------------------------------------------------------


def mark_paid(w: Ledger, invoice: Obj, *, off_stripe: bool = False) -> None:
    """Paid: the subscription moves, then the invoice's own events."""
    invoice_document.close_paid(w, invoice, off_stripe=off_stripe)
    sub = subscription_of(w, invoice)
    discounts.consume(w, invoice, sub)
    if sub is not None:
        _follow(w, sub, invoice, AFTER_PAID)
    w.emit("invoice.updated", invoice)
    w.emit("invoice.paid", invoice)
    if not off_stripe:
        w.emit("invoice.payment_succeeded", invoice)


def forgive(w: Ledger, invoice: Obj, reason: str = "user_forgiven") -> None:
    """Mark uncollectible: a past-due subscription becomes active again."""
    invoice_document.close_unpaid(w, invoice, "uncollectible", reason)
    sub = subscription_of(w, invoice)
    if sub is not None and pending_updates.held(w, sub, invoice):
        pending_updates.discard(w, sub)
        w.emit("customer.subscription.updated", sub)
    elif sub is not None:
        _follow(w, sub, invoice, AFTER_UNCOLLECTIBLE)
    w.emit("invoice.updated", invoice)
    w.emit("invoice.marked_uncollectible", invoice)


def annul(w: Ledger, invoice: Obj) -> None:
    """Void: ignored from now on, so the subscription follows the invoice before it."""
    invoice_document.close_unpaid(w, invoice, "void")
    sub = subscription_of(w, invoice)
    if sub is not None:
        if pending_updates.held(w, sub, invoice):
            pending_updates.discard(w, sub)
        elif sub["status"] == "incomplete":
            w.touch(sub)
            sub |= {"status": "incomplete_expired", "ended_at": w.now}
        elif sub["status"] == "past_due":
            before = deciding_invoice(w, sub)
            if before is None or before["status"] in ("paid", "uncollectible"):
                w.touch(sub)["status"] = "active"
        if w.notes.get(sub["id"], NOTHING).get("resuming", NOTHING).get("invoice") == invoice["id"]:
            standing.stay_paused(w, sub)
        w.emit("customer.subscription.updated", sub)
    w.emit("invoice.updated", invoice)
    w.emit("invoice.voided", invoice)


def _follow(w: Ledger, sub: Obj, invoice: Obj, table: dict[str, str]) -> None:
    """Status follows the most recent invoice."""
    if pending_updates.held(w, sub, invoice):
        pending_updates.apply(w, sub)
        return
    resuming = w.notes.get(sub["id"], NOTHING).get("resuming")
    if resuming and resuming["invoice"] == invoice["id"]:
        standing.come_back(w, sub)
        return
    newest = deciding_invoice(w, sub)
    if newest is not None and newest["id"] != invoice["id"]:
        return
    if sub["status"] == "paused" and w.account["auto_resume"] and _paused_by_failure(sub):
        standing.come_back(w, sub)
        return
    if sub["status"] in table:
        w.touch(sub)["status"] = table[sub["status"]]
        if sub["status"] == "active" and (sub["trial_end"] or 0) > w.now:
            sub["status"] = "trialing"
    w.emit("customer.subscription.updated", sub)


def _paused_by_failure(sub: Obj) -> bool:
    return str(sub["status_details"]["paused"]["subscription"]["type"]) in PAUSED_BY_FAILURE


def failed(w: Ledger, invoice: Obj, outcome: str, manual: bool, charged: bool = True) -> str:
    """An attempt failed: count it, plan the next, move the subscription, tell."""
    sub = subscription_of(w, invoice)
    w.touch(invoice)
    note = w.note(invoice["id"])
    first = "first_failure" not in note
    if not note.pop("counted", False) and (first or (not manual and charged)):
        invoice["attempt_count"] += 1
    invoice["attempted"] = True
    if first:
        note["first_failure"] = w.now
    if not manual or first:
        note["tries"] = note.get("tries", -1) + 1
        invoice["next_payment_attempt"] = _next_try(w, invoice, sub, note)
    over = (not manual or first) and invoice["next_payment_attempt"] is None and _retried(invoice, sub)
    if over:
        invoice["auto_advance"] = False
    if sub is not None:
        _fall(w, sub, invoice, first, over)
    w.emit("invoice.updated", invoice)
    action = outcome in (AUTHENTICATE, "authentication_required")
    if charged:
        w.emit("invoice.payment_action_required" if action else "invoice.payment_failed", invoice)
    return outcome


def _retried(invoice: Obj, sub: Obj | None) -> bool:
    return bool(invoice["auto_advance"]) and sub is not None and invoice["billing_reason"] in RETRIED


def _next_try(w: Ledger, invoice: Obj, sub: Obj | None, note: Obj) -> int | None:
    tries = int(note["tries"])
    if not _retried(invoice, sub) or tries >= len(RETRY_DAYS) or not w.account["retries"]:
        return None
    return int(note["first_failure"]) + RETRY_DAYS[tries] * DAY


def _fall(w: Ledger, sub: Obj, invoice: Obj, first: bool, over: bool) -> None:
    """Where a failed payment takes the subscription; nowhere, where only a change waits for it."""
    if pending_updates.held(w, sub, invoice):
        return
    newest = deciding_invoice(w, sub)
    if newest is not None and newest["id"] != invoice["id"]:
        return
    flexible = sub["billing_mode"]["type"] == "flexible"
    resuming = w.notes.get(sub["id"], NOTHING).get("resuming")
    if resuming and resuming["invoice"] == invoice["id"]:
        return
    renewal = invoice["billing_reason"] == "subscription_cycle"
    if first and renewal and flexible and w.account["first_failure_pause"] and sub["status"] == "active":
        standing.pause(w, sub, "first_payment_failure")
        return
    if sub["status"] in AFTER_FAILED:
        w.touch(sub)["status"] = AFTER_FAILED[sub["status"]]
    if over:
        RETRIES_END[str(w.account["retries_end"])](w, sub)
    w.emit("customer.subscription.updated", sub)


def _end_canceled(w: Ledger, sub: Obj) -> None:
    standing.end(w, sub, reason="payment_failed")


def _end_unpaid(w: Ledger, sub: Obj) -> None:
    w.touch(sub)["status"] = "unpaid"


def _end_past_due(w: Ledger, sub: Obj) -> None:
    pass


def _end_paused(w: Ledger, sub: Obj) -> None:
    if sub["billing_mode"]["type"] == "flexible":
        standing.pause(w, sub, "final_payment_failure")
    else:
        standing.end(w, sub, reason="payment_failed")


RETRIES_END = {
    "cancel": _end_canceled, "unpaid": _end_unpaid, "past_due": _end_past_due, "pause": _end_paused,
}  # fmt: skip
