"""How a subscription stands: paused, resumed, begun anew, ended."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import period_end
from interlock.api.sandbox.objects import schedule_state


def invoices_of(w: Ledger, sub: Obj) -> list[Obj]:
    """The subscription's invoices, oldest first."""
    return [w.tables["invoice"][id_] for id_ in w.notes.get(sub["id"], NOTHING).get("invoices", EMPTY)
            if id_ in w.tables["invoice"]]  # fmt: skip


def pause(w: Ledger, sub: Obj, why: str) -> None:
    """→ paused: no invoices until it is resumed."""
    w.touch(sub)
    sub["status"] = "paused"
    sub["status_details"] = {
        "paused": {"type": "subscription", "subscription": {"type": why}, "transitioned_at": w.now}
    }
    _stop_retries(w, sub)
    w.emit("customer.subscription.paused", sub, then_updated=True)
    w.emit("customer.subscription.updated", sub)


def come_back(w: Ledger, sub: Obj) -> None:
    """paused → active: the period that was prepared begins to count."""
    resuming = w.note(sub["id"]).pop("resuming", None)
    w.touch(sub)
    sub |= {"status": "active", "status_details": None, "pending_update": None}
    if resuming and resuming.get("later"):
        restart_periods(w, sub)
        w.emit("customer.subscription.pending_update_applied", sub, then_updated=True)
    w.emit("customer.subscription.resumed", sub, then_updated=True)
    w.emit("customer.subscription.updated", sub)


def stay_paused(w: Ledger, sub: Obj) -> None:
    """The resumption lapsed or its invoice was voided."""
    w.note(sub["id"]).pop("resuming", None)
    w.touch(sub)["pending_update"] = None
    w.emit("customer.subscription.pending_update_expired", sub, then_updated=True)


def restart_periods(w: Ledger, sub: Obj) -> None:
    """A new cycle from now on."""
    w.touch(sub)["billing_cycle_anchor"] = w.now
    for item in sub["items"]["data"]:
        item["current_period_start"] = w.now
        item["current_period_end"] = period_end(item["price"]["recurring"], w.now, w.now)


def end(w: Ledger, sub: Obj, *, reason: str | None, details: Obj | None = None) -> None:
    """→ canceled, for good."""
    w.touch(sub)
    sub["cancellation_details"] = (sub["cancellation_details"] or NOTHING) | (details or NOTHING)
    if reason is not None:
        sub["cancellation_details"]["reason"] = reason
    sub |= {"status": "canceled", "ended_at": w.now, "canceled_at": sub["canceled_at"] or w.now,
            "pause_collection": None, "status_details": None, "pending_update": None}  # fmt: skip
    schedule_state.close_with(w, sub, "aborted" if reason == "payment_failed" else "canceled")
    for name in ("resuming", "pending"):
        w.note(sub["id"]).pop(name, None)
    _stop_retries(w, sub)
    w.emit("customer.subscription.deleted", sub)


def _stop_retries(w: Ledger, sub: Obj) -> None:
    for invoice in invoices_of(w, sub):
        if invoice["status"] in ("draft", "open") and (
            invoice["next_payment_attempt"] or invoice["automatically_finalizes_at"]
        ):
            w.touch(invoice)
            invoice |= {"auto_advance": False, "next_payment_attempt": None,
                        "automatically_finalizes_at": None}  # fmt: skip
            w.emit("invoice.updated", invoice)
