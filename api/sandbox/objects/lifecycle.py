"""What the passing of time does to subscriptions and their invoices."""

from __future__ import annotations

from collections.abc import Callable

from interlock.api.sandbox.core.errors import NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY, HOUR, earliest_end, period_end
from interlock.api.sandbox.core.rules import Rule, one
from interlock.api.sandbox.objects import collection, invoice_document, pending_updates

INCOMPLETE_FOR = 23 * HOUR
TRIAL_WARNING = 3 * DAY
BILLED = frozenset({"trialing", "active", "past_due", "unpaid"})


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


def warn_of_trial_end(w: Ledger, sub: Obj) -> None:
    """`trial_will_end`, once per trial end."""
    w.note(sub["id"])["warned"] = sub["trial_end"]
    w.emit("customer.subscription.trial_will_end", sub, then_updated=True)


def ended_without_method(w: Ledger, sub: Obj) -> bool:
    """Pause or cancel, as `missing_payment_method` says, when nothing could be charged. Done so?"""
    behavior = ((sub["trial_settings"] or NOTHING).get("end_behavior") or NOTHING).get("missing_payment_method")
    if sub["collection_method"] == "charge_automatically" and not _has_method(w, sub):
        if behavior == "cancel":
            collection.end(w, sub, reason=None)
            return True
        if behavior == "pause":
            collection.pause(w, sub, "trial_end_without_payment_method")
            return True
    return False


def _end_trial(w: Ledger, sub: Obj) -> None:
    if not ended_without_method(w, sub):
        w.touch(sub)["status"] = "active"
        renew(w, sub)


def _has_method(w: Ledger, sub: Obj) -> bool:
    customer = w.get("customer", sub["customer"])
    return bool(
        sub["default_payment_method"] or sub["default_source"] or customer.get("default_source")
        or (customer.get("invoice_settings") or NOTHING).get("default_payment_method")
    )  # fmt: skip


def _period_ends(_w: Ledger, sub: Obj) -> int | None:
    return earliest_end(sub) if sub["items"]["data"] else None


def renew(w: Ledger, sub: Obj) -> None:
    """The next period of each item that is due, and the draft that bills it."""
    w.touch(sub)
    mark = len(w.fresh_events)
    lines: list[Obj] = []
    now = earliest_end(sub)
    past = (min(int(i["current_period_start"]) for i in sub["items"]["data"]), now)
    for item in sub["items"]["data"]:
        if item["current_period_end"] > now:
            continue
        start = int(item["current_period_end"])
        anchor = int(sub["billing_cycle_anchor"])
        item |= {
            "current_period_start": start,
            "current_period_end": period_end(item["price"]["recurring"], min(anchor, start), start),
        }
        lines.append(
            invoice_document.new_line(
                w,
                price=item["price"],
                quantity=usage(w, sub, item, past),
                sub=sub,
                item=item,
                period=(start, item["current_period_end"]),
            )
        )
    stopped = sub["status"] == "unpaid" or sub["pause_collection"] is not None
    invoice = collection.draft_invoice(
        w, sub, reason="subscription_cycle", lines=lines, period=past, auto_advance=not stopped
    )
    w.emit("customer.subscription.updated", sub, at=mark)
    behavior = (sub["pause_collection"] or NOTHING).get("behavior")
    if behavior in ("void", "mark_uncollectible"):
        invoice_document.finalize(w, invoice)
        PAUSED_COLLECTION[behavior](w, invoice)


PAUSED_COLLECTION: dict[str, Callable[[Ledger, Obj], None]] = {
    "void": collection.annul,
    "mark_uncollectible": lambda w, invoice: collection.forgive(w, invoice, "subscription_paused"),
}


def usage(w: Ledger, sub: Obj, item: Obj, period: tuple[int, int]) -> int:
    """The quantity to bill: the item's, or for metered prices what the meter counted in the period."""
    recurring = item["price"]["recurring"]
    meter = w.find("billing.meter", recurring.get("meter"))
    if meter is None:
        return int(item.get("quantity", 0 if recurring["usage_type"] == "metered" else 1))
    values = [float(e["payload"].get("value", 0)) for e in w.all("billing.meter_event")
              if e["event_name"] == meter["event_name"]
              and e["payload"].get("stripe_customer_id") == sub["customer"]
              and period[0] <= e["timestamp"] < period[1]]  # fmt: skip
    return int(FORMULAS[str(meter["default_aggregation"]["formula"])](values))


def _last(values: list[float]) -> float:
    return values[-1] if values else 0


FORMULAS: dict[str, Callable[[list[float]], float]] = {"sum": sum, "count": len, "last": _last}


def _cancel_at(_w: Ledger, sub: Obj) -> int | None:
    return sub["cancel_at"]


def _cancel(w: Ledger, sub: Obj) -> None:
    collection.end(w, sub, reason=None)


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
