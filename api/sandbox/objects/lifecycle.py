"""What the passing of time does to subscriptions and their invoices."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY, HOUR, earliest_end
from interlock.api.sandbox.core.rules import Rule, one
from interlock.api.sandbox.objects import (
    collection,
    drafts,
    invoice_document,
    pending_updates,
    schedule_state,
    standing,
)
from interlock.api.sandbox.objects.renewals import BILLED, PAUSED_COLLECTION, metered_lines, renew
from interlock.api.sandbox.objects.trials import ended_without_method, warn_of_trial_end

INCOMPLETE_FOR = 23 * HOUR
TRIAL_WARNING = 3 * DAY


# -- subscriptions ---------------------------------------------------------------------------------


def _incomplete_until(_w: Ledger, sub: Obj) -> int:
    return int(sub["created"]) + INCOMPLETE_FOR


def _expire_incomplete(w: Ledger, sub: Obj) -> None:
    w.touch(sub)
    sub |= {"status": "incomplete_expired", "ended_at": w.now}
    w.emit("customer.subscription.updated", sub)
    invoice = w.find("invoice", sub["latest_invoice"])
    if invoice and invoice["status"] == "open":
        invoice_document.close_unpaid(w, invoice, "void")
        w.emit("invoice.updated", invoice)
        w.emit("invoice.voided", invoice)


def _warn_at(w: Ledger, sub: Obj) -> int | None:
    if w.notes.get(sub["id"], NOTHING).get("warned") == sub["trial_end"]:
        return None
    return max(int(sub["trial_end"]) - TRIAL_WARNING, int(sub["trial_start"]))


def _end_trial(w: Ledger, sub: Obj) -> None:
    if not ended_without_method(w, sub):
        w.touch(sub)["status"] = "active"
        renew(w, sub)


def _period_ends(_w: Ledger, sub: Obj) -> int | None:
    return earliest_end(sub) if sub["items"]["data"] else None


def _cancel_at(_w: Ledger, sub: Obj) -> int | None:
    return sub["cancel_at"]


def _cancel(w: Ledger, sub: Obj) -> None:
    schedule_state.close_with(w, sub, "completed")
    used = metered_lines(w, sub, w.now)
    standing.end(w, sub, reason=None)
    if used:
        drafts.draft_invoice(w, sub, reason="subscription_cycle", lines=used)


def _collection_resumes(_w: Ledger, sub: Obj) -> int | None:
    return (sub["pause_collection"] or NOTHING).get("resumes_at")


def _resume_collection(w: Ledger, sub: Obj) -> None:
    w.touch(sub)["pause_collection"] = None
    w.emit("customer.subscription.updated", sub)


def _resuming_until(w: Ledger, sub: Obj) -> int | None:
    return (w.notes.get(sub["id"], NOTHING).get("resuming") or NOTHING).get("until")


def _pending_until(w: Ledger, sub: Obj) -> int | None:
    return pending_updates.until(w, sub)


def _pending_lapses(w: Ledger, sub: Obj) -> None:
    collection.annul(w, w.get("invoice", w.notes[sub["id"]]["pending"]["invoice"]))


def _resumption_lapses(w: Ledger, sub: Obj) -> None:
    invoice = w.get("invoice", w.notes[sub["id"]]["resuming"]["invoice"])
    collection.annul(w, invoice)


# -- invoices --------------------------------------------------------------------------------------


def _finalizes_at(_w: Ledger, invoice: Obj) -> int | None:
    return invoice["automatically_finalizes_at"] if invoice["auto_advance"] else None


def _finalize(w: Ledger, invoice: Obj) -> None:
    sub = collection.subscription_of(w, invoice)
    invoice_document.finalize(w, invoice)
    behavior = ((sub or NOTHING).get("pause_collection") or NOTHING).get("behavior")
    if behavior in PAUSED_COLLECTION:
        PAUSED_COLLECTION[behavior](w, invoice)
    else:
        collection.collect(w, invoice)


def _retries_at(_w: Ledger, invoice: Obj) -> int | None:
    return invoice["next_payment_attempt"]


def _retry(w: Ledger, invoice: Obj) -> None:
    collection.collect(w, invoice)


def _overdue_at(w: Ledger, invoice: Obj) -> int | None:
    return None if w.notes.get(invoice["id"], NOTHING).get("overdue") else invoice["due_date"]


def _fall_overdue(w: Ledger, invoice: Obj) -> None:
    w.note(invoice["id"])["overdue"] = True
    sub = collection.subscription_of(w, invoice)
    newest = collection.deciding_invoice(w, sub) if sub else None
    if sub is not None and newest is invoice and sub["status"] == "active":
        w.touch(sub)["status"] = "past_due"
        w.emit("customer.subscription.updated", sub)
    w.emit("invoice.overdue", invoice)


def _trial_end(_w: Ledger, sub: Obj) -> int:
    return int(sub["trial_end"])


RULES: dict[str, tuple[Rule, ...]] = {
    "subscription": (
        Rule("first payment not made", one("incomplete"), _incomplete_until, _expire_incomplete),
        Rule("trial will end", one("trialing"), _warn_at, warn_of_trial_end),
        Rule("cancellation date", BILLED | {"paused"}, _cancel_at, _cancel),
        Rule("trial ends", one("trialing"), _trial_end, _end_trial),
        Rule("collection resumes", BILLED, _collection_resumes, _resume_collection),
        Rule("pending update lapses", BILLED, _pending_until, _pending_lapses),
        Rule("renewal", BILLED - {"trialing"}, _period_ends, renew),
        Rule("resumption lapses", one("paused"), _resuming_until, _resumption_lapses),
    ),
    "invoice": (
        Rule("finalize", one("draft"), _finalizes_at, _finalize),
        Rule("payment attempt", one("open"), _retries_at, _retry),
        Rule("due date", one("open"), _overdue_at, _fall_overdue),
    ),
}
