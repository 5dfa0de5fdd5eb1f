"""Subscriptions changed: items, trial, planned end; canceled, paused, resumed."""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox.core.cards import OK, PROCESSING
from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, invalid, missing, no_such
from interlock.api.sandbox.core.forms import assign, cleared, merge_metadata
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY, HOUR
from interlock.api.sandbox.core.resource import Route
from interlock.api.sandbox.objects import collection, invoice_document
from interlock.api.sandbox.objects.lifecycle import earliest_end, ended_without_method, warn_of_trial_end
from interlock.api.sandbox.objects.products import same_currency
from interlock.api.sandbox.objects.prorations import prorate
from interlock.api.sandbox.objects.subscriptions import (
    ENDED,
    discount,
    insist,
    new_item,
    own_method,
    price_for,
    quantity_of,
    schedule_cancel,
    trial_end_given,
)

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
    if sub["status"] in ENDED and set(p) - {"metadata", "cancellation_details", "expand"}:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    w.touch(sub)
    assign(sub, p, "description", "days_until_due", "collection_method")
    merge_metadata(sub, p)
    for name in ("payment_settings", "cancellation_details", "invoice_settings"):
        if p.get(name):
            sub[name] = (sub[name] or NOTHING) | cleared(p[name])
    if end_behavior := (p.get("trial_settings") or NOTHING).get("end_behavior"):
        sub["trial_settings"]["end_behavior"] |= end_behavior
    if name := p.get("default_payment_method"):
        sub["default_payment_method"] = own_method(w, sub["customer"], name)
    if "pause_collection" in p:
        given: Any = p["pause_collection"]
        sub["pause_collection"] = {"resumes_at": None} | given if given else None
    if "discounts" in p or p.get("coupon") or p.get("promotion_code"):
        discount(w, sub, p)
    schedule_cancel(w, sub, p)
    _change_items(w, sub, p)
    _change_trial(w, sub, p)
    w.emit("customer.subscription.updated", sub)
    return sub


def _change_items(w: Ledger, sub: Obj, p: Obj) -> None:
    """Prices and quantities, with what time is owed for them."""
    if not p.get("items"):
        return
    items: list[Obj] = sub["items"]["data"]
    old = [dict(item) for item in items]
    currency = sub["currency"]
    for n, given in enumerate(p["items"]):
        item = _item_named(items, given, n)
        if given.get("deleted"):
            if item is None:
                raise missing(f"items[{n}][id]")
            items.remove(item)
        elif item is None:
            start, end = w.now, earliest_end(sub) if items else w.now
            items.append(new_item(w, sub["id"], given, (start, end), f"items[{n}]"))
            same_currency(items[-1]["price"], currency, f"items[{n}][price]")
        else:
            if given.get("price") or given.get("plan") or given.get("price_data"):
                item["price"] = dict(price_for(w, given, f"items[{n}]"))
                same_currency(item["price"], currency, f"items[{n}][price]")
            if "quantity" in given:
                item["quantity"] = quantity_of(given, f"items[{n}]")
            merge_metadata(item, given)
    if not items:
        raise invalid("A subscription must have at least one active item.", "items")
    _bill_change(w, sub, old, p)


def _item_named(items: list[Obj], given: Obj, n: int) -> Obj | None:
    if "id" in given:
        for item in items:
            if item["id"] == given["id"]:
                return item
        raise no_such("subscription_item", given["id"], f"items[{n}][id]", 400)
    return None


def _interval(item: Obj) -> tuple[Any, Any]:
    return item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]


def _bill_change(w: Ledger, sub: Obj, old: list[Obj], p: Obj) -> None:
    behavior = p.get("proration_behavior", "create_prorations")
    if sub["status"] not in ("active", "past_due"):
        return
    kept = {item["id"]: item for item in old}
    anew = p.get("billing_cycle_anchor") == {"type": "now"} or any(
        item["id"] in kept and _interval(item) != _interval(kept[item["id"]]) for item in sub["items"]["data"]
    )
    if behavior != "none":
        prorate(w, sub, old, [] if anew else sub["items"]["data"], int(p.get("proration_date") or w.now))
    if anew:
        collection.restart_periods(w, sub)
        lines = [_full_line(w, sub, item) for item in sub["items"]["data"]]
        insist(invoice_now(w, sub, lines), p)
    elif behavior == "always_invoice":
        insist(invoice_now(w, sub, []), p)


def _full_line(w: Ledger, sub: Obj, item: Obj) -> Obj:
    period = (item["current_period_start"], item["current_period_end"])
    return invoice_document.new_line(w, price=item["price"], quantity=item.get("quantity", 0), sub=sub, item=item,
                          period=period)  # fmt: skip


def invoice_now(w: Ledger, sub: Obj, lines: list[Obj], reason: str = "subscription_update") -> str:
    """Bill at once: draft, finalize, collect."""
    invoice = collection.draft_invoice(w, sub, reason=reason, lines=lines)
    invoice_document.finalize(w, invoice)
    return collection.collect(w, invoice)


def _change_trial(w: Ledger, sub: Obj, p: Obj) -> None:
    given = p.get("trial_end")
    if given is None:
        return
    if given == "now":
        if sub["status"] == "trialing":
            _end_trial_now(w, sub, p)
        return
    end = trial_end_given(w, p)
    sub |= {"trial_end": end, "billing_cycle_anchor": end, "trial_start": sub["trial_start"] or w.now}
    if sub["status"] in ("active", "trialing"):
        sub["status"] = "trialing"
        for item in sub["items"]["data"]:
            item["current_period_end"] = end


def _end_trial_now(w: Ledger, sub: Obj, p: Obj) -> None:
    sub["trial_end"] = w.now
    warn_of_trial_end(w, sub)
    if ended_without_method(w, sub):
        return
    collection.restart_periods(w, sub)
    sub["status"] = "active"
    insist(invoice_now(w, sub, [_full_line(w, sub, item) for item in sub["items"]["data"]]), p)


# -- cancel, pause, resume -------------------------------------------------------------------------


def cancel_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """DELETE /v1/subscriptions/:id"""
    sub = living(w, id_)
    w.touch(sub)
    sub["canceled_at"] = w.now
    if p.get("prorate") and sub["status"] == "active":
        prorate(w, sub, sub["items"]["data"], [], w.now)
    collection.end(w, sub, reason="cancellation_requested", details=cleared(p.get("cancellation_details")))
    return sub


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
    unused = ((p.get("bill_for") or NOTHING).get("unused_time_from") or NOTHING).get("type", "now")
    if unused != "none" and sub["status"] == "active":
        since = w.now if unused == "now" else min(i["current_period_start"] for i in sub["items"]["data"])
        prorate(w, sub, sub["items"]["data"], [], since)
        if p.get("invoicing_behavior") == "invoice":
            invoice_now(w, sub, [])
    collection.pause(w, sub, "pause_requested")
    return sub


def resume_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscriptions/:id/resume"""
    sub = living(w, id_)
    if sub["status"] != "paused":
        raise invalid(f"This subscription cannot be resumed because it is not paused: it is {sub['status']}.",
                      "subscription")  # fmt: skip
    if w.notes.get(id_, NOTHING).get("resuming"):
        raise StripeError(400, "This subscription has a resumption invoice that is still open.")
    anchor = p.get("billing_cycle_anchor") or {"type": "now"}
    kind = anchor if isinstance(anchor, str) else anchor.get("type")
    if kind == "unchanged" and earliest_end(sub) > w.now:
        collection.come_back(w, sub)
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
    collection.restart_periods(w, sub)
    lines = [_full_line(w, sub, item) for item in sub["items"]["data"]]
    invoice = collection.draft_invoice(w, sub, reason="subscription_update", lines=lines)
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


ROUTES = (
    Route("POST", "subscriptions/*", "subscription_update", update_subscription),
    Route("DELETE", "subscriptions/*", "subscription_cancel", cancel_subscription),
    Route("POST", "subscriptions/*/pause", "subscription_pause", pause_subscription),
    Route("POST", "subscriptions/*/resume", "subscription_resume", resume_subscription),
)
