"""Subscriptions changed: items, trial, planned end; canceled, paused, resumed."""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox.core.cards import OK, PROCESSING
from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, invalid, no_such
from interlock.api.sandbox.core.forms import assign, cleared, merge_metadata
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY, HOUR, earliest_end, earliest_start
from interlock.api.sandbox.core.resource import Route
from interlock.api.sandbox.objects import (
    collection,
    drafts,
    invoice_document,
    item_changes,
    meter_usage,
    pending_updates,
    schedule_phases,
    standing,
)
from interlock.api.sandbox.objects.item_changes import full_line, invoice_now
from interlock.api.sandbox.objects.planned_ends import schedule_cancel
from interlock.api.sandbox.objects.prorations import prorate
from interlock.api.sandbox.objects.subscriptions import ENDED, discount, own_method, trial_end_given

ON_INCOMPLETE = frozenset({"metadata", "description", "default_source", "default_payment_method"})
RESUME_WITHIN = {"resume_on_payment_success": 365 * DAY, "before_endive": 23 * HOUR}


# -- change ----------------------------------------------------------------------------------------


def living(w: Ledger, id_: str) -> Obj:
    """A subscription that can still change; an ended one is not there for that."""
    sub = w.get("subscription", id_)
    if sub["status"] in ENDED:
        raise no_such("subscription", id_)
    return sub


def update_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscriptions/:id"""
    sub = w.get("subscription", id_)
    _allowed(w, sub, p)
    w.touch(sub)
    if any(name in p for name in item_changes.BILLING):
        item_changes.drop(w, sub)
    _assign(w, sub, p)
    if p.get("discounts") or p.get("discounts") == "" or p.get("coupon") or p.get("promotion_code"):
        discount(w, sub, p)
    item_changes.add_invoice_items(w, sub, p)
    schedule_cancel(w, sub, p)
    if "trial_end" in p:
        trial_end_given(w, p)
    item_changes.change(w, sub, p)
    item_changes.change_trial(w, sub, p)
    schedule_phases.follow(w, sub, p)
    w.emit("customer.subscription.updated", sub)
    return sub


def _allowed(w: Ledger, sub: Obj, p: Obj) -> None:
    """Refuse what the subscription's state does not allow."""
    given = set(p) - {"expand"}
    if sub["status"] in ENDED and given - {"metadata", "cancellation_details"}:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.",
                      code="invalid_canceled_subscription_fields")  # fmt: skip
    if sub["status"] == "incomplete" and (wrong := sorted(given - ON_INCOMPLETE)):
        raise invalid(f"Cannot update {wrong[0]} on an incomplete subscription. Only metadata, description, "
                      "default_source and default_payment_method can be updated.", wrong[0],
                      "status_transition_invalid")  # fmt: skip
    if sub["schedule"] and given & {"cancel_at", "cancel_at_period_end"}:
        raise invalid(f"The subscription is managed by the subscription schedule `{sub['schedule']}`, and updating any "
                      "cancelation behavior directly is not allowed. Please update the schedule instead.")  # fmt: skip
    if sub["schedule"] and "billing_cycle_anchor" in given:  # its real words are not known
        raise invalid(f"The subscription is managed by the subscription schedule `{sub['schedule']}`, and updating its "
                      "billing cycle anchor directly is not allowed. Please update the schedule instead.")  # fmt: skip
    if p.get("payment_behavior") == "pending_if_incomplete":
        method = w.find("payment_method", collection.method_of(w, sub)) or NOTHING
        pending_updates.check(sub, p, method.get("type") != "us_bank_account", w.version)


def _assign(w: Ledger, sub: Obj, p: Obj) -> None:
    """What neither bills nor ends anything."""
    assign(sub, p, "description", "days_until_due", "collection_method", "default_source")
    merge_metadata(sub, p)
    for name in ("payment_settings", "cancellation_details", "invoice_settings"):
        if p.get(name):
            sub[name] = (sub[name] or NOTHING) | cleared(p[name])
    if end_behavior := (p.get("trial_settings") or NOTHING).get("end_behavior"):
        sub["trial_settings"]["end_behavior"] |= end_behavior
    if "default_payment_method" in p:
        name = p["default_payment_method"]
        sub["default_payment_method"] = own_method(w, sub["customer"], name) if name else None
    if "pause_collection" in p:
        given: Any = p["pause_collection"]
        sub["pause_collection"] = {"resumes_at": None} | given if given else None


# -- cancel, pause, resume -------------------------------------------------------------------------


def cancel_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """DELETE /v1/subscriptions/:id; nothing is prorated or billed unless it is asked for."""
    sub = living(w, id_)
    w.touch(sub)
    sub["canceled_at"] = w.now
    if not p.get("invoice_now"):
        _forget_prorations(w, sub)
    if p.get("prorate") and sub["status"] in ("active", "past_due"):
        prorate(w, sub, sub["items"]["data"], [], w.now, plain=True)
    if p.get("invoice_now"):
        _final_invoice(w, sub)
    standing.end(w, sub, reason="cancellation_requested", details=cleared(p.get("cancellation_details")))
    return sub


def _forget_prorations(w: Ledger, sub: Obj) -> None:
    for item in drafts.pending_items(w, sub):
        if item["proration"]:
            w.emit("invoiceitem.deleted", item)
            w.replace(item, {"id": item["id"], "object": "invoiceitem", "deleted": True})


def _final_invoice(w: Ledger, sub: Obj) -> None:
    """What is pending of it, billed now; a total that is all credit is uncollectible, and never reaches the balance.

    So the real API was recorded.
    """
    lines = [invoice_document.usage_line(w, item["price"], sub, item, meter_usage.window_of(w, item, w.now))
             for item in sub["items"]["data"] if not item_changes.licensed(item)]  # fmt: skip
    if not drafts.pending_items(w, sub) and not lines:
        return
    period = (earliest_start(sub), w.now)
    invoice = drafts.draft_invoice(w, sub, reason="subscription_cycle", lines=lines, period=period)
    if invoice["total"] < 0:
        collection.forgive(w, invoice, "subscription_canceled")
        return
    invoice_document.finalize(w, invoice)
    collection.collect(w, invoice)


def pause_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscriptions/:id/pause"""
    sub = living(w, id_)
    refusals = {
        "it is already paused": sub["status"] == "paused",
        "its status is incomplete": sub["status"] == "incomplete",
        "it is in a trial": sub["status"] == "trialing",
        "its billing_mode is not flexible": sub["billing_mode"]["type"] != "flexible",
        "its collection_method is not charge_automatically": sub["collection_method"] == "send_invoice",
        "it is managed by a schedule": bool(sub["schedule"]),
    }
    for why, so in refusals.items():
        if so:
            raise invalid(f"This subscription cannot be paused because {why}.", "subscription")
    through = ((p.get("bill_for") or NOTHING).get("outstanding_usage_through") or NOTHING).get("type", "now")
    if through == "now":
        for item in sub["items"]["data"]:
            item_changes.settle_usage(w, sub, item)
    unused = ((p.get("bill_for") or NOTHING).get("unused_time_from") or NOTHING).get("type", "now")
    if unused != "none" and sub["status"] == "active":
        since = w.now if unused == "now" else min(i["current_period_start"] for i in sub["items"]["data"])
        prorate(w, sub, sub["items"]["data"], [], since)
        if p.get("invoicing_behavior") == "invoice" and drafts.pending_items(w, sub):
            invoice_now(w, sub, [], {})
    standing.pause(w, sub, "pause_requested")
    return sub


def resume_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscriptions/:id/resume"""
    sub = living(w, id_)
    if sub["status"] != "paused":
        raise invalid("You can only resume a subscription if it is `paused`.")
    if w.notes.get(id_, NOTHING).get("resuming"):
        raise StripeError(400, "This subscription has a resumption invoice that is still open.")
    anchor = p.get("billing_cycle_anchor") or {"type": "now"}
    kind = anchor if isinstance(anchor, str) else anchor.get("type")
    if kind == "unchanged" and earliest_end(sub) > w.now:
        standing.come_back(w, sub)
        return sub
    behavior = p.get("payment_behavior") or (
        "resume_on_payment_attempt" if w.version >= "2026-09-30" else "before_endive"
    )
    _resume(w, sub, behavior)
    return sub


def _resume(w: Ledger, sub: Obj, behavior: str) -> None:
    later = behavior in RESUME_WITHIN
    before = [dict(item) for item in sub["items"]["data"]]
    anchor = sub["billing_cycle_anchor"]
    standing.restart_periods(w, sub)
    lines = [full_line(w, sub, item) for item in sub["items"]["data"]]
    invoice = drafts.draft_invoice(w, sub, reason="subscription_update", lines=lines)
    invoice_document.finalize(w, invoice)
    if later and invoice["amount_due"]:
        sub["items"]["data"], sub["billing_cycle_anchor"] = before, anchor
        until = w.now + RESUME_WITHIN[behavior]
        w.note(sub["id"])["resuming"] = {"invoice": invoice["id"], "until": until, "later": True}
        sub["pending_update"] = {
            "billing_cycle_anchor": w.now, "discount": None, "discounts": None, "expires_at": until,
            "metadata": None, "subscription_items": None, "trial_end": None, "trial_from_plan": None,
        }  # fmt: skip
        w.emit("customer.subscription.updated", sub)
        if behavior == "before_endive":
            collection.collect(w, invoice)
        else:
            collection.prepare(w, invoice)
        return
    w.note(sub["id"])["resuming"] = {"invoice": invoice["id"], "until": None}
    if collection.collect(w, invoice) not in (OK, PROCESSING):
        w.note(sub["id"]).pop("resuming", None)
        w.touch(sub)
        sub |= {"status": "past_due", "status_details": None}
        w.emit("customer.subscription.updated", sub)


def migrate_subscription(w: Ledger, _p: Obj, id_: str) -> Obj:
    """POST /v1/subscriptions/:id/migrate: classic → flexible, for good."""
    sub = w.touch(living(w, id_))
    if sub["billing_mode"]["type"] == "flexible":
        raise invalid("This subscription's billing mode is already flexible.", "billing_mode")
    flexible = {"proration_discounts": "included"}
    sub["billing_mode"] = {"type": "flexible", "flexible": flexible, "updated_at": w.now}
    w.emit("customer.subscription.updated", sub)
    return sub


ROUTES = (
    Route("POST", "subscriptions/*/migrate", "subscription_migrate", migrate_subscription),
    Route("POST", "subscriptions/*", "subscription_update", update_subscription),
    Route("DELETE", "subscriptions/*", "subscription_cancel", cancel_subscription),
    Route("POST", "subscriptions/*/pause", "subscription_pause", pause_subscription),
    Route("POST", "subscriptions/*/resume", "subscription_resume", resume_subscription),
)
