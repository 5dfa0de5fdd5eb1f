"""POST /v1/invoices/create_preview: the invoice that a change would make, made by the change itself and taken back."""

from __future__ import annotations

import copy

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, StripeError, invalid, missing
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import HOUR, earliest_end
from interlock.api.sandbox.core.resource import Route
from interlock.api.sandbox.objects import (
    balances,
    customers,
    drafts,
    invoice_document,
    invoice_items,
    renewals,
    subscription_schedules,
)
from interlock.api.sandbox.objects.subscription_changes import (
    cancel_subscription,
    pause_subscription,
    resume_subscription,
    update_subscription,
)
from interlock.api.sandbox.objects.subscriptions import discount, open_subscription

CHANGES = ("items", "trial_end", "billing_cycle_anchor", "cancel_at", "cancel_at_period_end", "proration_behavior",
           "proration_date")  # fmt: skip
INSTEAD = ("cancel_now", "pause", "resume_at")


def create_preview(w: Ledger, p: Obj) -> Obj:
    """What is due now, where the change bills at once, else the next renewal; kept nowhere, no event, no redemption."""
    details: Obj = p.get("subscription_details") or NOTHING
    if p.get("subscription") and (p.get("schedule") or p.get("schedule_details")):
        raise invalid("You may only specify one of these parameters: subscription, schedule.", "schedule")
    if details and p.get("schedule_details"):
        raise invalid("You may only specify one of these parameters: subscription_details, schedule_details.",
                      "schedule_details")  # fmt: skip
    if details.get("proration_date") is not None:
        _check_date(p, details)
    shown = w.rehearse(lambda: _preview(w, p, details))
    shown["id"] = w.new_id("upcoming_in_")
    shown["lines"]["url"] = f"/v1/invoices/{shown['id']}/lines"
    for line in shown["lines"]["data"]:
        line["invoice"] = shown["id"]
    return shown


def _check_date(p: Obj, details: Obj) -> None:
    if not p.get("subscription"):
        raise missing("subscription")
    if not details.get("items") and details.get("trial_end") is None:
        raise invalid("`proration_date` needs one of `items` and `trial_end`.",
                      "subscription_details[proration_date]")  # fmt: skip


def _preview(w: Ledger, p: Obj, details: Obj) -> Obj:
    sub = _of_a_schedule(w, p) if p.get("schedule") else _subscription(w, p, details)
    for given in p.get("invoice_items") or EMPTY:
        if not given.get("invoiceitem"):
            invoice_items.create_invoiceitem(w, given | {"customer": sub["customer"], "subscription": sub["id"]})
    if "discounts" in p:
        discount(w, w.touch(sub), p)
    recurring = p.get("preview_mode") == "recurring"
    changes = {name: details[name] for name in CHANGES if name in details}
    if recurring:
        changes = changes | {"proration_behavior": "none"}
        changes.pop("proration_date", None)
    _act(w, sub, p, details, changes)
    behavior = changes.get("proration_behavior") or (p.get("schedule_details") or NOTHING).get("proration_behavior")
    at_once = behavior == "always_invoice" or any(details.get(name) for name in INSTEAD)
    made = next((e["data"]["object"] for e in w.fresh_events if e["type"] == "invoice.created"), None)
    renews = (made is None and not at_once) or recurring
    if renews:
        made = _renewal(w, sub)
    elif made is None:
        made = _nothing(w, sub)
    shown: Obj = copy.deepcopy(made)
    if recurring:
        _only_recurring(w, shown)
    return _dressed(w, shown, sub, details, renews)


def _subscription(w: Ledger, p: Obj, details: Obj) -> Obj:
    """Whose next invoice is asked for; one that is to be made, where only items are given."""
    if name := p.get("subscription"):
        sub = w.of("subscription", name, "subscription")
        if p.get("customer") and p["customer"] != sub["customer"]:
            raise invalid(f"No such subscription: '{name}'", "subscription", "resource_missing")
        return sub
    customer = w.of("customer", p["customer"], "customer") if p.get("customer") else None
    if details.get("items"):
        given = {key: details[key] for key in ("items", "trial_end", "billing_mode", "metadata") if key in details}
        given |= {key: p[key] for key in ("discounts", "currency") if key in p} | {
            "payment_behavior": "default_incomplete"
        }
        return open_subscription(w, customer or customers.create_customer(w, {}), given)
    if customer is None:
        raise missing("customer")
    living = [sub for sub in w.of_customer("subscription", customer["id"]) if sub["status"] in renewals.BILLED]
    if not living:
        raise _none(customer["id"])
    return min(living, key=earliest_end)


def _of_a_schedule(w: Ledger, p: Obj) -> Obj:
    """The subscription of a schedule, after the changes of it that are asked about."""
    schedule = w.of("subscription_schedule", p["schedule"], "schedule")
    given: Obj = p.get("schedule_details") or NOTHING
    changes = {name: given[name] for name in ("phases", "end_behavior", "proration_behavior") if name in given}
    if changes:
        subscription_schedules.update_schedule(w, changes, schedule["id"])
    if schedule["subscription"] is None:
        raise _none(schedule["customer"])
    return w.get("subscription", schedule["subscription"])


def _none(customer: str) -> StripeError:
    return StripeError(404, f"No upcoming invoices for customer: {customer}", code="invoice_upcoming_none")


def _act(w: Ledger, sub: Obj, p: Obj, details: Obj, changes: Obj) -> None:
    prorates = details.get("proration_behavior", "create_prorations") != "none"
    if not p.get("subscription"):
        return
    if details.get("cancel_now"):
        cancel_subscription(w, {"prorate": prorates, "invoice_now": True}, sub["id"])
    elif given := details.get("pause"):
        if given.get("invoicing_behavior") != "invoice":
            raise invalid("A pause can only be previewed with `invoicing_behavior=invoice`.",
                          "subscription_details[pause][invoicing_behavior]")  # fmt: skip
        pause_subscription(w, given, sub["id"])
    elif details.get("resume_at"):
        names = ("billing_cycle_anchor", "proration_behavior")
        resume_subscription(w, {name: details[name] for name in names if name in details}, sub["id"])
    elif changes:
        update_subscription(w, changes, sub["id"])


def _renewal(w: Ledger, sub: Obj) -> Obj:
    at = earliest_end(sub)
    if sub["status"] not in renewals.BILLED or (sub["cancel_at"] is not None and sub["cancel_at"] <= at):
        raise _none(sub["customer"])
    if sub["status"] == "trialing":
        w.touch(sub)["status"] = "active"
    renewals.renew(w, sub)
    return w.get("invoice", sub["latest_invoice"])


def _nothing(w: Ledger, sub: Obj) -> Obj:
    """A change that owes nothing now."""
    return drafts.draft_invoice(w, sub, reason="subscription_update", lines=[])


def _only_recurring(w: Ledger, shown: Obj) -> None:
    lines: list[Obj] = shown["lines"]["data"]
    shown["lines"]["data"] = [line for line in lines if (line["parent"]["subscription_item_details"] or
                              {"invoice_item": ""})["invoice_item"] is None]  # fmt: skip
    invoice_document.total_up(w, shown)


def _dressed(w: Ledger, shown: Obj, sub: Obj, details: Obj, renews: bool) -> Obj:
    """As a draft that is not there yet, with what the customer's balance does to it."""
    balance = int(w.get("customer", shown["customer"])["balance"] or 0) if renews else _balance_before(w, shown)
    due, after = balances.settled(shown["total"], balance, shown["currency"])
    at = shown["period_end"] if renews else w.now
    shown |= {
        "status": "draft", "billing_reason": "upcoming", "number": None, "auto_advance": False, "created": at,
        "starting_balance": balance, "ending_balance": after, "amount_due": due, "amount_remaining": due,
        "automatically_finalizes_at": None, "webhooks_delivered_at": None,
        "next_payment_attempt": at + HOUR if shown["collection_method"] == "charge_automatically" else None,
    }  # fmt: skip
    if shown["parent"] and details:
        shown["parent"]["subscription_details"]["subscription_proration_date"] = details.get("proration_date") or w.now
    return shown


def _balance_before(w: Ledger, shown: Obj) -> int:
    """The balance that the invoice met: paying for it in the rehearsal has moved it."""
    made = w.find("invoice", shown["id"]) or shown
    moved = sum(int(row["amount"]) for row in w.all("customer_balance_transaction") if row["invoice"] == made["id"])
    return int(w.get("customer", shown["customer"])["balance"] or 0) - moved


ROUTES = (Route("POST", "invoices/create_preview", "invoice_create_preview", create_preview),)
